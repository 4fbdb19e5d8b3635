// A load program (load.h) on the C library of NATS.
//
//   load_nats ROLE --target nats://HOST:PORT|tls://HOST:PORT [--identity DIRECTORY] ...
//
// As its documentation advises. For throughput the library's own buffering, whose size --io-buffer
// can change; for round trips natsOptions_SetSendAsap. A subscriber's queue in the library has no
// limit, since the window of load.h bounds what is under way. One subscription has a delivery
// thread of its own; several share the library's pool of one thread, which keeps their order.
#include <fmt/format.h>
#include <nats/nats.h>

#include <condition_variable>
#include <mutex>
#include <utility>

#include "server/process/memory.h"
#include "tests/bench/compare/load.h"

namespace peermesh::bench {
namespace {

constexpr int kTimeoutMs = 30000;

void Check(natsStatus status, const char* call) {
  if (status != NATS_OK) Fail(fmt::format("{}: {}", call, natsStatus_GetText(status)));
}
#define NATS_CHECK(call) Check((call), #call)

class Application final : public Connection {
 public:
  explicit Application(Wish wish) : on_message_(std::move(wish.on_message)) {
    natsOptions* options = nullptr;
    NATS_CHECK(natsOptions_Create(&options));
    NATS_CHECK(natsOptions_SetURL(options, wish.target.c_str()));
    NATS_CHECK(natsOptions_SetAllowReconnect(options, false));
    NATS_CHECK(natsOptions_SetSendAsap(options, wish.low_latency));
    if (wish.io_buffer > 0) NATS_CHECK(natsOptions_SetIOBufSize(options, wish.io_buffer));
    NATS_CHECK(natsOptions_UseGlobalMessageDelivery(options, wish.patterns.size() > 1));
    if (!wish.identity.empty()) {
      const std::string ca = wish.identity + "/ca.pem", certificate = wish.identity + "/cert.pem",
                        key = wish.identity + "/key.pem";
      NATS_CHECK(natsOptions_SetSecure(options, true));
      NATS_CHECK(natsOptions_LoadCATrustedCertificates(options, ca.c_str()));
      NATS_CHECK(natsOptions_LoadCertificatesChain(options, certificate.c_str(), key.c_str()));
    }
    NATS_CHECK(natsConnection_Connect(&connection_, options));
    natsOptions_Destroy(options);
    for (const std::string& pattern : wish.patterns) Subscribe(pattern, wish.lossy);
    // The server knows the subscriptions; the driver waits until the other servers do.
    if (!wish.patterns.empty()) Flush();
  }

  ~Application() override {
    natsConnection_Close(connection_);
    {
      // Its delivery threads may still be in our handler.
      std::unique_lock lock(mutex_);
      const auto gone = [this] { return completed_ == subscriptions_.size(); };
      if (!changed_.wait_for(lock, std::chrono::seconds(30), gone)) Fail("subscriptions stay");
    }
    for (natsSubscription* subscription : subscriptions_) natsSubscription_Destroy(subscription);
    natsConnection_Destroy(connection_);
  }

  void Publish(const std::string& subject, std::string_view payload) override {
    NATS_CHECK(natsConnection_Publish(connection_, subject.c_str(), payload.data(),
                                      static_cast<int>(payload.size())));
  }

  void Flush() override { NATS_CHECK(natsConnection_FlushTimeout(connection_, kTimeoutMs)); }

 private:
  void Subscribe(const std::string& pattern, bool lossy) {
    natsSubscription*& subscription = subscriptions_.emplace_back();
    NATS_CHECK(
        natsConnection_Subscribe(&subscription, connection_, pattern.c_str(), &OnMessage, this));
    NATS_CHECK(natsSubscription_SetOnCompleteCB(subscription, &OnComplete, this));
    if (!lossy) NATS_CHECK(natsSubscription_SetPendingLimits(subscription, -1, -1));
  }

  static void OnMessage(natsConnection*, natsSubscription*, natsMsg* message, void* self) {
    static_cast<Application*>(self)->on_message_(
        {natsMsg_GetData(message), static_cast<std::size_t>(natsMsg_GetDataLength(message))});
    natsMsg_Destroy(message);
  }

  static void OnComplete(void* self) {
    auto& application = *static_cast<Application*>(self);
    const std::lock_guard lock(application.mutex_);
    ++application.completed_;
    application.changed_.notify_all();
  }

  const Handler on_message_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t completed_ = 0;  // subscriptions that will deliver no more
  natsConnection* connection_ = nullptr;
  std::vector<natsSubscription*> subscriptions_;
};

}  // namespace
}  // namespace peermesh::bench

int main(int argc, char** argv) {
  peermesh::TuneAllocator();
  return peermesh::bench::Main(argc, argv, [](peermesh::bench::Wish wish) {
    return std::make_unique<peermesh::bench::Application>(std::move(wish));
  });
}
