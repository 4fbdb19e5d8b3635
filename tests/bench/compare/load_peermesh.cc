// A load program (load.h) on the C++ library of PeerMesh.
//
//   load_peermesh ROLE --target SOCKET|HOST:PORT [--identity DIRECTORY] ...
//
// Sessions as they are by default: what is published while a write is under way travels together,
// the session's window holds publishers back. Subscribers say BLOCK, so that nothing is dropped,
// and take events on the session's thread, as session.h advises for speed.
#include <fmt/format.h>

#include <utility>
#include <variant>

#include "client/peermesh.h"
#include "server/process/memory.h"
#include "server/tls/process.h"
#include "tests/bench/compare/load.h"

namespace peermesh::bench {
namespace {

constexpr std::chrono::seconds kTimeout(30);

class Application final : public Connection {
 public:
  explicit Application(Wish wish) : on_message_(std::move(wish.on_message)) {
    client::Options options;
    (wish.identity.empty() ? options.socket : options.address) = wish.target;
    options.identity = wish.identity;
    options.label = "bench";
    auto client = client::Client::Connect(options);
    if (!client.ok()) Fail(client.status().ToString());
    client_ = *std::move(client);

    client::SessionOptions session;
    session.reconnect = false;
    session.subjects = std::move(wish.patterns);
    if (on_message_) session.on_events = [this](std::span<client::Event> events) { Take(events); };
    if (!wish.lossy) {
      session.on_overflow = OnOverflow::kBlock;
      session.block_timeout = kTimeout;
    }
    auto opened = client_->OpenSession(std::move(session));
    if (!opened.ok()) Fail(opened.status().ToString());
    session_ = *std::move(opened);
  }

  void Publish(const std::string& subject, std::string_view payload) override {
    const auto sent = session_->Publish(subject, std::string(payload));
    if (!sent.ok()) Fail(sent.status().ToString());
  }

  void PublishAll(const std::string& subject, const std::vector<std::string>& payloads) override {
    std::vector<client::Message> messages(payloads.size());
    for (std::size_t i = 0; i < payloads.size(); ++i) {
      messages[i].subject = subject;
      messages[i].payload = payloads[i];
    }
    const auto sent = session_->Publish(std::move(messages));
    if (!sent.ok()) Fail(sent.status().ToString());
  }

  void Flush() override {
    if (const auto status = session_->Flush(kTimeout); !status.ok()) Fail(status.ToString());
  }

 private:
  void Take(std::span<client::Event> events) {
    for (const client::Event& event : events) {
      if (const auto* received = std::get_if<client::Received>(&event)) {
        on_message_(received->message.payload);
      }
    }
  }

  const Handler on_message_;
  std::unique_ptr<client::Client> client_;
  std::unique_ptr<client::Session> session_;
};

}  // namespace
}  // namespace peermesh::bench

int main(int argc, char** argv) {
  peermesh::TuneAllocator();
  if (const auto status = peermesh::tls::InitProcess(peermesh::tls::Signals::kLeave);
      !status.ok()) {
    peermesh::bench::Fail(status.ToString());
  }
  return peermesh::bench::Main(argc, argv, [](peermesh::bench::Wish wish) {
    return std::make_unique<peermesh::bench::Application>(std::move(wish));
  });
}
