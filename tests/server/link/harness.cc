#include "tests/server/link/harness.h"

#include <filesystem>
#include <iterator>

namespace peermesh::link {

bool Eventually(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  std::mutex mutex;
  std::condition_variable never;
  std::unique_lock lock(mutex);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    never.wait_for(lock, std::chrono::milliseconds(1));
  }
  return true;
}

std::size_t OpenDescriptors() {
  const std::filesystem::directory_iterator open("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(open), end(open)));
}

TestServer::TestServer(RpcServerOptions options, const std::string& address) {
  auto rpc = RpcServer::Start(std::move(options));
  EXPECT_TRUE(rpc.ok()) << rpc.status();
  rpc_ = *std::move(rpc);
  acceptor_ = *net::Acceptor::Create();
  net::ListenOptions listen;
  listen.name = "test";
  listen.address = address;
  listen.caps = net::Caps::Local();
  const auto bound =
      acceptor_->Listen(listen, [this](net::Accepted accepted) { rpc_->HandOver(std::move(accepted.fd)); });
  EXPECT_TRUE(bound.ok()) << bound.status();
  address_ = *bound;
  acceptor_->Start();
}

TestServer::~TestServer() { Stop(); }

void TestServer::Stop(Duration grace) {
  acceptor_->StopListening();
  rpc_->Shutdown(grace);
  acceptor_->Stop();
}

}  // namespace peermesh::link
