// The state of a checker. Private to checker.cc (records as they come), accounts.cc (what was owed)
// and books.cc (what metrics said).
#ifndef PEERMESH_TESTS_HISTORY_CHECKER_IMPL_H_
#define PEERMESH_TESTS_HISTORY_CHECKER_IMPL_H_

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/container/node_hash_map.h"
#include "mesh/base/limits.h"
#include "tests/history/checker.h"

namespace peermesh::history {

inline constexpr std::int64_t kNotYet = INT64_MAX;

class Checker::Impl {
 public:
  explicit Impl(std::vector<std::string> names) : names_(std::move(names)) {}
  void Add(const Record& record);
  Report Finish();

 private:
  using ProcessIndex = std::uint32_t;
  using MessageIndex = std::uint32_t;
  static constexpr std::uint32_t kNone = UINT32_MAX;

  // A peer's process: everything under one numbering.
  struct Process {
    std::uint16_t peer = 0;
    std::uint64_t epoch = 0;
    std::int64_t began = 0;  // when it was first heard of
    std::int64_t ended = kNotYet;
    bool killed = false;
    std::uint64_t unanswered = 0;  // invoked there, outcome not known: numbers that may exist
    std::uint64_t delivered = 0;   // to sessions there
    std::uint64_t accepted_count = 0, refused_rate = 0, refused_other = 0;
    std::vector<Record> books;
    std::array<std::uint64_t, kChannels> highest{};               // number known to be given out
    std::map<std::uint32_t, std::vector<MessageIndex>> accepted;  // by subject, as accepted
  };

  enum class State : std::uint8_t { kPending, kAccepted, kRefused, kUnknown };
  enum class NumberedBy : std::uint8_t { kNobody, kDelivery, kAcceptance };
  struct Message {
    std::uint64_t id = 0;
    std::int64_t invoked = 0;
    std::int64_t accepted = kNotYet;
    std::uint64_t sequence = 0;
    std::uint32_t subject = 0;
    std::uint32_t crc = 0;
    std::uint32_t actor = 0;
    std::uint32_t target = 0;  // the peer + 1; 0: none
    ProcessIndex process = kNone;
    std::uint8_t channel = 0;
    State state = State::kPending;
    NumberedBy numbered = NumberedBy::kNobody;
    bool delivered = false;
  };

  using StreamKey = std::uint64_t;  // process and channel
  static StreamKey KeyOf(ProcessIndex process, std::uint32_t channel) {
    return std::uint64_t{process} << 8 | channel;
  }
  struct Range {
    std::uint64_t first = 0, last = 0;
    std::uint8_t reason = 0;  // of a gap
  };
  // What one session saw of a channel of a process.
  struct Stream {
    std::uint64_t last = 0;
    std::vector<Range> gaps;
  };
  struct Subscription {
    std::uint32_t pattern = 0;
    std::int64_t confirmed = kNotYet;
    std::int64_t ended = kNotYet;
    bool peers_missing = false;
    bool cancelled = false;  // by its application, while the session went on
    absl::flat_hash_map<StreamKey, std::vector<std::uint64_t>> delivered;
    std::map<ProcessIndex, std::int64_t> first_heard;  // with peers_missing only
  };
  struct Session {
    std::uint16_t peer = 0;
    ProcessIndex process = kNone;
    std::int64_t closed = kNotYet;
    absl::flat_hash_map<StreamKey, Stream> streams;
    std::map<std::uint32_t, Subscription> subscriptions;
  };
  struct Fault {
    bool bit = false;
  };

  // checker.cc
  ProcessIndex ProcessOf(std::uint16_t peer, std::uint64_t epoch);
  Session* FindSession(const Record& record);
  Message* FindMessage(const Record& record);
  void OnProcess(const Record& record);
  void OnSession(const Record& record);
  void OnSubscription(const Record& record);
  void OnInvoke(const Record& record);
  void OnAnswer(const Record& record);
  void OnAccepted(const Record& record, Message& message);
  void OnDeliver(const Record& record);
  bool CheckNumber(const Record& record, const Session& session, Message& message);
  void CountForMatching(Session& session, StreamKey key, const Message& message);
  void CheckOrder(const Record& record, Session& session, Subscription* subscription,
                  const Message& message);
  void OnGap(const Record& record);
  void Hear(const Session& session, ProcessIndex origin, std::int64_t now);
  bool WasDelivered(const Session& session, StreamKey key, std::uint64_t sequence) const;
  bool Matches(std::uint32_t pattern, std::uint32_t subject);
  void Complain(Invariant invariant, const Record& record, std::string what);
  void Keep(Violation violation);
  std::string Name(std::uint64_t line) const;
  std::string PeerName(std::uint16_t peer) const;

  // books.cc
  void OnBooks(const Record& record);
  void CheckBooks();
  void CheckCounter(const Process& process, const Record& counter);
  void CheckAnnounced(ProcessIndex index, const Record& counter);
  void CountRefusal(const Record& record, const Message& message);

  // accounts.cc
  void Settle();
  void SettleSubscription(std::uint32_t actor, Session& session, std::uint32_t id,
                          Subscription& subscription);
  void SettleProcess(std::uint32_t actor, Session& session, std::uint32_t id,
                     Subscription& subscription, ProcessIndex origin,
                     const std::vector<MessageIndex>& accepted);
  void Missing(std::uint32_t actor, const Session& session, std::uint32_t id,
               const Subscription& subscription, const Message& message);
  std::int64_t LinkedSince(const Session& session, const Subscription& subscription,
                           ProcessIndex origin) const;
  void CheckNumbersAreUnique();
  void CheckGapsEndAtNumbers();
  void Doubt();

  // Constant after construction.
  const std::vector<std::string> names_;

  // What is known.
  std::vector<Process> processes_;
  std::map<std::pair<std::uint16_t, std::uint64_t>, ProcessIndex> process_index_;
  std::map<std::uint16_t, std::uint64_t> newest_epoch_;  // by peer, as started
  std::vector<Message> messages_;
  absl::flat_hash_map<std::uint64_t, MessageIndex> message_index_;
  absl::flat_hash_set<std::uint64_t> unreached_;  // message and peer
  absl::node_hash_map<std::uint32_t, Session> sessions_;
  absl::flat_hash_map<std::uint64_t, std::int64_t> linked_;  // publishing, subscribing process
  // The same processes and a pattern; not empty: all that was known is in it.
  absl::flat_hash_map<std::pair<std::uint64_t, std::uint32_t>, std::int64_t> told_;
  absl::flat_hash_map<std::uint64_t, bool> matches_;  // pattern, subject
  std::map<std::uint32_t, Fault> faults_;
  std::int64_t quiet_ = kNotYet;
  std::int64_t last_ns_ = INT64_MIN;

  Report report_;
};

}  // namespace peermesh::history

#endif  // PEERMESH_TESTS_HISTORY_CHECKER_IMPL_H_
