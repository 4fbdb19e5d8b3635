// Proves a history, or finds what is wrong with it: one pass over its records by time, then one
// over what was owed.
//
// What is owed: a message goes to every subscription that matches it and was confirmed before the
// message was invoked. For each pair of a publishing process and a subscription
//
//   accepted = delivered + announced gaps + counted drops
//
// where a drop is counted if, in this order,
//   unreached   the acceptance named the subscriber's peer as one that may miss the message
//   killed      its process was killed, and the number lies behind the last that the session saw
//   ended       the session ended before the end of the run, and the number lies behind the last
//               that it saw; or the application cancelled the subscription
//   unlinked    the publishing process could not know the subscriber's peer wanted anything yet:
//               nothing of it had reached that process of the peer (see kLinked). No excuse for
//               processes that both live at the end, or nobody would notice that they never met.
//               The same holds for one subscription confirmed with peers missing, until it hears
//               of that process for the first time. A history whose kLinked records name patterns
//               says exactly what each process knew, and neither guess is made.
// and anything else is unexplained. Messages before the confirmation may arrive, and are checked
// for everything but this. The end is the first kQuiet.
//
// What the metrics of a process said is held against what its applications saw, as far as it can
// be proved. A counter covers what they had seen when it was asked for, and nothing that they never
// saw:
//   published   at least what was accepted by then, at most what was accepted or not answered in
//               the end
//   delivered   at least what had arrived by then, at most what arrived in the end; the latter not
//               if the process was killed, for something may have been on its way, or if a session
//               left no record
//   refused     as published; a request is 1 to 1,024 messages
//   announced   in the end: of slow_subscriber at most the numbers in gaps of this reason, if all
//               sessions stayed to the end; of others at least the numbers that any was told of
//
// Bounds: some 64 bytes for a message, 8 for a delivery to a subscription, 16 for a gap. Each fault
// is reported under one invariant, the most telling one. Not thread-safe.
#ifndef PEERMESH_TESTS_HISTORY_CHECKER_H_
#define PEERMESH_TESTS_HISTORY_CHECKER_H_

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/history/record.h"

namespace peermesh::history {

enum class Invariant : std::uint8_t {
  kPhantom,
  kRefused,
  kContent,
  kMatch,
  kTarget,
  kNumber,
  kOrder,
  kDuplicate,
  kGap,
  kUnknown,
  kOwed,
  kBooks,
  kHistory,
};
inline constexpr std::size_t kInvariants = 13;
const char* IdOf(Invariant invariant);        // "phantom"
const char* SentenceOf(Invariant invariant);  // what holds if it does

struct Violation {
  Invariant invariant{};
  std::string what;
  // What to look for in the history: a message of a stream, and a session that saw it (or not).
  std::int64_t time_ns = 0;
  std::uint64_t message = 0;
  std::uint32_t actor = 0;
  std::uint16_t origin = 0;
  std::uint64_t epoch = 0;
  std::uint32_t channel = 0;
  std::uint64_t first = 0;  // numbers
  std::uint64_t last = 0;
};
inline constexpr std::size_t kMaxViolationsKept = 100;  // the rest is counted

// What became of the messages that one peer owed to subscriptions at another.
struct Account {
  std::uint64_t accepted = 0;
  std::uint64_t delivered = 0;
  std::uint64_t gaps = 0;
  std::uint64_t unreached = 0;
  std::uint64_t killed = 0;
  std::uint64_t ended = 0;
  std::uint64_t unlinked = 0;
  std::uint64_t unexplained = 0;

  Account& operator+=(const Account& other);
};

// What the applications of one process saw.
struct ProcessCounts {
  std::uint16_t peer = 0;
  std::uint64_t epoch = 0;
  std::uint64_t accepted = 0;    // messages published there
  std::uint64_t unanswered = 0;  // and these may have been, too
  std::uint64_t delivered = 0;   // messages handed to sessions there, whatever ids they matched
  std::uint64_t books = 0;       // counters that were held against it
};

enum class Verdict : std::uint8_t { kHolds, kViolated, kInconclusive };

struct Report {
  Verdict verdict = Verdict::kInconclusive;
  std::array<std::uint64_t, kInvariants> violations{};  // by invariant
  std::vector<Violation> first;                         // by time
  std::vector<std::string> doubts;                      // why it would be inconclusive
  std::map<std::pair<std::uint16_t, std::uint16_t>, Account> accounts;  // publisher, subscriber
  Account total;
  std::vector<ProcessCounts> processes;
  std::map<std::uint16_t, std::string> peers;  // names that people read
  std::uint64_t records = 0, messages = 0, accepted = 0, refused = 0, unknown = 0, deliveries = 0,
                gaps = 0, gap_numbers = 0;
  // From the start of the younger of two processes to the last message between them that had to be
  // counted as unlinked.
  std::int64_t unlinked_longest_ns = 0;
  // Messages of sessions that ended before they were written down: books may count them.
  std::uint64_t strays = 0;
  std::uint64_t sessions = 0, subscriptions = 0, kills = 0, faults = 0;
};

// A pattern and a subject, token by token.
bool NaiveMatch(std::string_view pattern, std::string_view subject);

class Checker {
 public:
  explicit Checker(std::vector<std::string> names);
  ~Checker();

  // In the order of time.
  void Add(const Record& record);
  // Once.
  Report Finish();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace peermesh::history

#endif  // PEERMESH_TESTS_HISTORY_CHECKER_H_
