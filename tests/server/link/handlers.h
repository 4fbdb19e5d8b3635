// Handlers the tests of this folder share.
#ifndef PEERMESH_TESTS_SERVER_LINK_HANDLERS_H_
#define PEERMESH_TESTS_SERVER_LINK_HANDLERS_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/link/stream.h"
#include "tests/server/link/harness.h"

namespace peermesh::link {

// Everything a stream told its handler.
struct Record {
  std::vector<std::string> messages;
  int read_ends = 0;
  int written = 0;
  std::vector<Closed> closed;
};

// Writes down what it is told; reads on by itself if wanted.
class Recorder : public StreamHandler {
 public:
  enum class Reading { kAlways, kByHand };
  explicit Recorder(Reading reading) : reading_(reading) {}

  void Attach(std::shared_ptr<Stream> stream) { stream_ = std::move(stream); }
  Stream& stream() { return *stream_; }

  void OnMessage(std::shared_ptr<const std::string> bytes) override {
    record_.With([&](Record& record) { record.messages.push_back(*bytes); });
    if (reading_ == Reading::kAlways) stream_->Read();
  }
  void OnReadEnd() override {
    record_.With([](Record& record) { ++record.read_ends; });
  }
  void OnWritten() override {
    record_.With([](Record& record) { ++record.written; });
  }
  void OnClosed(const Closed& closed) override {
    record_.With([&](Record& record) { record.closed.push_back(closed); });
  }

  template <class F>
  bool Wait(F condition, std::chrono::milliseconds patience = kPatience) {
    return record_.Wait(condition, patience);
  }
  bool WaitMessages(std::size_t count) {
    return Wait([count](const Record& record) { return record.messages.size() >= count; });
  }
  bool WaitWritten(int count) {
    return Wait([count](const Record& record) { return record.written >= count; });
  }
  // The one OnClosed, or nothing in time.
  std::optional<Closed> WaitClosed() {
    if (!Wait([](const Record& record) { return !record.closed.empty(); })) return std::nullopt;
    return record_.With([](Record& record) { return record.closed.front(); });
  }
  Record record() {
    return record_.With([](Record& record) { return record; });
  }

 private:
  const Reading reading_;
  std::shared_ptr<Stream> stream_;
  Watched<Record> record_;
};

}  // namespace peermesh::link

#endif  // PEERMESH_TESTS_SERVER_LINK_HANDLERS_H_
