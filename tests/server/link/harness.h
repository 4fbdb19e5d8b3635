// What the tests of this folder share: waiting for conditions, and a server on a port of its own.
#ifndef PEERMESH_TESTS_SERVER_LINK_HARNESS_H_
#define PEERMESH_TESTS_SERVER_LINK_HARNESS_H_

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "server/link/rpc_server.h"
#include "server/net/acceptor.h"

namespace peermesh::link {

// As long as a loaded machine may need; a test that passes never waits so long.
inline constexpr std::chrono::seconds kPatience{20};

// A value guarded by a lock that tests wait on.
template <class T>
class Watched {
 public:
  template <class F>
  auto With(F change) {
    const std::lock_guard lock(mutex_);
    changed_.notify_all();
    return change(value_);
  }
  // False if the condition did not come true in time.
  template <class F>
  [[nodiscard]] bool Wait(F condition, std::chrono::milliseconds patience = kPatience) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, patience, [&] { return condition(value_); });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  T value_{};
};

// For conditions nobody announces: looks again every millisecond.
[[nodiscard]] bool Eventually(const std::function<bool()>& condition);

// Open descriptors of this process.
std::size_t OpenDescriptors();

// An accept loop and a server behind it, on loopback.
class TestServer {
 public:
  explicit TestServer(RpcServerOptions options, const std::string& address = "127.0.0.1:0");
  ~TestServer();

  const std::string& address() const { return address_; }  // "127.0.0.1:port"
  RpcServer& rpc() { return *rpc_; }
  net::Acceptor& acceptor() { return *acceptor_; }
  void Stop(Duration grace = Duration::zero());

 private:
  std::unique_ptr<RpcServer> rpc_;
  std::unique_ptr<net::Acceptor> acceptor_;
  std::string address_;
};

}  // namespace peermesh::link

#endif  // PEERMESH_TESTS_SERVER_LINK_HARNESS_H_
