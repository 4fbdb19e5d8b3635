// A service like many: each order opens a connection to the warehouse. And its mistake, like many:
// an order that is refused never closes it.
//
//   orders warehouse PORT
//   orders serve PORT --metrics HOST:PORT --warehouse PORT
//   orders place PORT --as NAME --each MS --item ITEM
//
// What it needs to be told who leaks, where, and when it will break: three lines, marked "ledger:".
#include <arpa/inet.h>
#include <grpcpp/grpcpp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "metrics/export/debug_pages.h"
#include "metrics/export/exporter.h"
#include "metrics/export/process.h"
#include "metrics/export/resources.h"
#include "metrics/ledger/auditor.h"
#include "metrics/ledger/fd.h"
#include "orders.grpc.pb.h"

namespace {

namespace ledger = peermesh::ledger;
namespace metrics = peermesh::metrics;

sockaddr_in Loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

int Connect(int port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = Loopback(port);
  if (fd >= 0 && ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    ::close(fd);
    return -1;
  }
  return fd;
}

// --- The service ---------------------------------------------------------------------------------

// ledger: a connection to the warehouse lives as long as the order it is for.
const ledger::Kind kConnection =
    ledger::Ledger::Process().Register(ledger::Owned("warehouse_connection"));

class Orders final : public incident::Orders::Service {
 public:
  explicit Orders(int warehouse) : warehouse_(warehouse) {}

  grpc::Status Place(grpc::ServerContext* call, const incident::Order* order,
                     incident::Receipt* receipt) override {
    // ledger: whose order it is.
    const ledger::Scope client({}, ledger::ScopeType::kClient, NameOf(*call));
    const ledger::Scope scope(client, ledger::ScopeType::kOperation,
                              "Place " + std::to_string(order->id()));
    const int fd = Connect(warehouse_);
    if (fd < 0) return {grpc::StatusCode::RESOURCE_EXHAUSTED, "no connection to the warehouse"};
    {
      const std::lock_guard lock(mutex_);
      // ledger: the connection is booked where it is made.
      open_[order->id()] = ledger::UniqueFd(fd, kConnection, scope);
    }
    if (order->item().empty())
      return {grpc::StatusCode::INVALID_ARGUMENT, "an order needs an item"};  // the mistake
    receipt->set_answer("reserved");
    const std::lock_guard lock(mutex_);
    open_.erase(order->id());
    return grpc::Status::OK;
  }

 private:
  static std::string NameOf(const grpc::ServerContext& call) {
    const auto name = call.client_metadata().find("client-name");
    return name == call.client_metadata().end()
               ? call.peer()
               : std::string(name->second.data(), name->second.size());
  }

  const int warehouse_;
  std::mutex mutex_;
  std::map<std::uint64_t, ledger::UniqueFd> open_;
};

int Serve(int port, const std::string& listen, int warehouse) {
  ledger::Auditor auditor(ledger::Ledger::Process(), {.kernel = &ledger::ReadKernel});
  metrics::Exporter exporter;
  exporter.AddSource([&auditor](metrics::Page& page) {
    metrics::CollectProcess(page);
    metrics::CollectResources(auditor.TakeSnapshot(), ledger::Ledger::Process().level(), page);
  });
  metrics::AddDebugPages(exporter, ledger::Ledger::Process(), auditor, "orders");
  if (const absl::Status status = exporter.Start(listen); !status.ok()) {
    std::fprintf(stderr, "orders: %s\n", std::string(status.message()).c_str());
    return 1;
  }
  Orders orders(warehouse);
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:" + std::to_string(port), grpc::InsecureServerCredentials());
  builder.RegisterService(&orders);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) return 1;
  std::puts("ready");
  std::fflush(stdout);
  for (;;) {  // until a signal
    std::this_thread::sleep_for(ledger::kSweepEvery);
    auditor.Sweep();
  }
}

// --- Those around it -----------------------------------------------------------------------------

int Warehouse(int port) {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int yes = 1;
  ::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  const sockaddr_in address = Loopback(port);
  if (::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      ::listen(listener, 128) != 0) {
    std::perror("orders: the warehouse cannot listen");
    return 1;
  }
  std::puts("ready");
  std::fflush(stdout);
  std::vector<int> guests;  // it waits for them to speak
  for (;;) {
    const int guest = ::accept(listener, nullptr, nullptr);
    if (guest >= 0) guests.push_back(guest);
  }
}

// Places orders until the service has none of its connections left; says so and ends.
int Place(int port, const std::string& name, int each_ms, const std::string& item) {
  const auto stub = incident::Orders::NewStub(
      grpc::CreateChannel("127.0.0.1:" + std::to_string(port), grpc::InsecureChannelCredentials()));
  static std::uint64_t next = static_cast<std::uint64_t>(::getpid()) << 32;
  for (;;) {
    grpc::ClientContext call;
    call.AddMetadata("client-name", name);
    call.set_wait_for_ready(true);
    incident::Order order;
    order.set_id(next++);
    order.set_item(item);
    incident::Receipt receipt;
    const grpc::Status status = stub->Place(&call, order, &receipt);
    if (status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED) {
      std::printf("%s: %s\n", name.c_str(), status.error_message().c_str());
      return 0;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(each_ms));
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("The service of deploy/incident.", "orders");
  app.require_subcommand(1);
  int port = 0, warehouse = 0, each = 1000;
  std::string listen, name, item;
  auto* serve = app.add_subcommand("serve", "The service");
  serve->add_option("PORT", port)->required();
  serve->add_option("--metrics", listen)->required();
  serve->add_option("--warehouse", warehouse)->required();
  auto* store = app.add_subcommand("warehouse", "What it connects to");
  store->add_option("PORT", port)->required();
  auto* place = app.add_subcommand("place", "A client of it");
  place->add_option("PORT", port)->required();
  place->add_option("--as", name)->required();
  place->add_option("--each", each, "Milliseconds between two orders");
  place->add_option("--item", item);
  CLI11_PARSE(app, argc, argv);
  if (serve->parsed()) return Serve(port, listen, warehouse);
  return store->parsed() ? Warehouse(port) : Place(port, name, each, item);
}
