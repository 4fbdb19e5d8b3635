// What a peer passes on to everybody: who is said to be gone, and the records that such words need.
//
// News floods: beyond the full mesh every peer tells its neighbours, once. When half of ten
// thousand peers die in one moment, tens of thousands of statements follow within seconds, and a
// frame for each would cost more than all that is in them. So what comes in one turn goes in one
// frame, and after a burst of kNewsBurst turns what comes in kNewsPause goes together. The death of
// one peer is told at once.
//
// A partial table has no row for most peers. What is said of them is passed on all the same, once:
// Passed remembers what was.
//
// Bounds: twice kMaxSpeakers windows of about 50 bytes in a memory; what waits came over
// links, whose frames are limited, and goes within kNewsPause. Not thread-safe; owned by the node's
// turn.
#ifndef PEERMESH_MESH_NODE_NEWS_H_
#define PEERMESH_MESH_NODE_NEWS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <unordered_map>  // lint:allow(hash): for look-ups alone
#include <utility>
#include <vector>

#include "mesh/base/id.h"
#include "mesh/base/time.h"
#include "mesh/limits/gcra.h"
#include "mesh/membership/record.h"
#include "mesh/membership/statement.h"
#include "mesh/node/frame.h"

namespace peermesh::node {

// Guesses: the voices on several deaths go at once; a pause that is no part of the seconds in which
// a death is noticed.
inline constexpr std::int64_t kNewsBurst = 32;
inline constexpr Duration kNewsPause = std::chrono::milliseconds(50);
// Those who spoke in kHeardFor; what others say then is not passed on by us. Enough for the death
// of half of sixteen thousand peers (guess), and far longer than a flood takes.
inline constexpr std::size_t kMaxSpeakers = 8192;
inline constexpr std::size_t kMostEarly = 64;  // guess: the voices on several deaths
inline constexpr Duration kHeardFor = std::chrono::seconds(30);

// Which numbers of whom were passed on. Remembers for kHeardFor at least, and twice that at most.
class Passed {
 public:
  // True if it is the first time, and there is room to remember it. A number 64 below the largest
  // is old.
  [[nodiscard]] bool TryAdd(Instant now, const PeerId& speaker, std::uint64_t number);
  void Wake(Instant now);

 private:
  struct Window {
    std::uint64_t largest = 0;
    std::uint64_t below = 0;  // bit i: largest - 1 - i was heard
    bool recent = false;      // something was, since since_
  };
  // lint:allow(hash): for look-ups, and what goes goes in any order
  std::unordered_map<std::uint64_t, Window> windows_;
  std::size_t recent_ = 0;  // of them
  Instant since_{};
};

// For a partial table.
struct Strangers {
  Passed records, statements;  // by incarnation; by the numbers of who spoke
  // About records that we have not, or not yet: they may still come; the oldest first.
  std::vector<membership::StatementRef> early;
};

class News {
 public:
  // Who it is for. Whoever has no room for a record passes it on only if it is for everybody.
  enum class Reach : std::uint8_t { kWhoKeepsIt, kEverybody };

  // `from`: who told us; it is not told.
  void Add(membership::RecordRef record, std::optional<PeerId> from,
           Reach reach = Reach::kEverybody);
  void Add(membership::StatementRef statement, std::optional<PeerId> from);
  bool empty() const { return records_.empty() && statements_.empty(); }
  // When what waits may go; kNever if nothing waits.
  Instant due() const { return empty() ? kNever : due_; }
  // Whether it goes now.
  bool TryTake(Instant now);
  // For one neighbour, records first: statements mean nothing before them.
  std::vector<ControlFrame> FramesFor(const PeerId& peer) const;
  void Clear();

 private:
  struct Record {
    membership::RecordRef record;
    std::optional<PeerId> from;
    Reach reach = Reach::kEverybody;
  };
  void AddRecords(const PeerId& peer, Reach reach, std::vector<ControlFrame>& frames) const;
  void AddStatements(const PeerId& peer, bool past, std::vector<ControlFrame>& frames) const;

  std::vector<Record> records_;
  std::vector<std::pair<membership::StatementRef, std::optional<PeerId>>> statements_;
  limits::Gcra pace_;
  Instant due_{};
};

}  // namespace peermesh::node

#endif  // PEERMESH_MESH_NODE_NEWS_H_
