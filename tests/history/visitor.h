// One application's stay at a peer, written down: a session that publishes and subscribes, from its
// opening to its end, with a record for everything it does and sees.
//
// The epoch of the peer's process is in no answer; it stands in deliveries. So every visit begins
// with a message to itself, and until that arrives its records wait. Should the session end before,
// only what others may see of it is written: that the message was sent, and not what became of it.
//
// One thread calls the methods; the session's own thread brings what comes.
#ifndef PEERMESH_TESTS_HISTORY_VISITOR_H_
#define PEERMESH_TESTS_HISTORY_VISITOR_H_

#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "client/peermesh.h"
#include "tests/history/names.h"
#include "tests/history/writer.h"

namespace peermesh::history {

// Over all visits of a program.
struct Counts {
  std::uint64_t sessions = 0, invoked = 0, accepted = 0, refused = 0, unknown = 0, delivered = 0,
                gaps = 0, held = 0;
};

class Visitor {
 public:
  struct Options {
    std::string socket;             // or both of these:
    std::string address, identity;  // see client/peermesh.h
    std::vector<std::string> patterns;
    std::size_t most_bytes = 256;  // of a payload
  };
  Visitor(const Options& options, std::uint32_t actor, Names& names, Writer& writer,
          Counts& counts);
  // Ends the session at once, if Leave was not called, and writes that it is closed.
  ~Visitor();

  // Opens the session and learns the epoch.
  absl::Status Enter(Duration patience);
  // False, and nothing is written, if too much is unanswered.
  bool Publish(std::string_view subject, std::string_view target);
  // How the session ended; OK while it goes on.
  absl::Status Ended();
  // Whether the peer asked to go.
  bool AskedToLeave();
  void Leave(Duration patience);

 private:
  struct Sent {
    std::uint64_t message = 0;
    std::uint32_t channel = 0;
    std::uint32_t subject = 0;
  };
  void Take(std::span<client::Event> events);
  void TakeAnswer(const client::Published& published);
  void Answer(const client::Published& published, const Sent& sent,
              std::map<std::uint32_t, std::uint64_t>& next);
  void Deliver(const client::Received& received);
  void LearnEpoch(std::uint64_t epoch);
  void PublishLocked(std::string_view subject, std::string_view target);
  void Put(Record record);
  Record About(Event event) const;
  std::uint16_t PeerLine(const std::string& id) const;

  // Constant after construction.
  const Options options_;
  const std::uint32_t actor_;
  const std::string probe_;  // subject of the message to itself
  Names& names_;
  Writer& writer_;
  Counts& counts_;
  std::unique_ptr<client::Client> client_;

  std::mutex mutex_;
  std::condition_variable changed_;
  // Under mutex_.
  std::vector<Record> early_;  // until the epoch is known
  std::uint64_t epoch_ = 0;
  std::uint16_t peer_ = 0;
  std::uint64_t next_message_ = 1;
  std::map<std::uint64_t, std::vector<Sent>> unanswered_;  // by batch
  std::size_t unanswered_count_ = 0;
  bool asked_to_leave_ = false;

  std::unique_ptr<client::Session> session_;  // last: its thread uses all the above
};

}  // namespace peermesh::history

#endif  // PEERMESH_TESTS_HISTORY_VISITOR_H_
