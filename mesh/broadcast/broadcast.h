// How a piece reaches everybody: epidemic broadcast trees (Plumtree) over the neighbours, one tree
// for each channel, shared by all origins.
//
// Rules:
//  * A piece goes at once to the neighbours that are eager on its channel; the others are told, a
//    little later and many at a time, that it is here, if possible with what is said to them
//    anyway: of all that a broadcast costs, messages of their own for this were a quarter. Every
//    neighbour begins eager.
//  * The first to deliver becomes eager; one that delivers what is known is asked to stop, if there
//    are `eager_parents` others. What is left after two pieces is a tree.
//  * Who hears of numbers that do not come asks for them, which also makes that branch eager: trees
//    mend themselves where they are used. Asking waits for the slower branches first, less the time
//    that the announcement waited; asking too soon makes every tree swing between two shapes.
//  * An announcement from kOptimise links nearer than the piece that came changes the branch. Only
//    with kMinOptimise neighbours: in a mesh so small that a peer has fewer, no path is too long.
//  * Within a stream everything is delivered in order and once. A hole holds back what follows
//  until
//    it is filled, for HoldBack() or until too much waits; then it is reported, and on. The least
//    hold-back is longer than three questions take, because a hole is often noticed by a whole
//    branch, filled at its top, and must travel down it.
//  * Every number ends as delivered or Missing. After a Missing that no signed piece proved, the
//    numbers may still be delivered (windows.h says why).
//  * Two new neighbours tell each other how far they are in every stream. A peer without anybody's
//    complete positions is new: streams begin where it meets them. Later, they begin at number 1. A
//    new peer does not call its positions complete, and after kBeginning it is not new any more.
//
// What an attacker with a valid certificate gains at best: as a neighbour, it delays pieces by one
// question (it announces and does not send), three times a minute, and once per hole as the eager
// branch that stops; it makes us report numbers missing that never were, for at most kMaxHoles at a
// time, which suppresses nothing; it costs kMaxHolesPerNeighbor holes, kMaxServedPerSecond answers.
// As the first neighbour of a new peer it can make old numbers look missing. As an origin it can
// spoil its own streams. `hops` is believed for choosing a branch only; one that lies about
// `waited` is asked sooner, and can become a branch no better than by sending unasked. Nothing is
// noted as seen before its signature holds: Receive is not called earlier.
//
// Bounds: here, windows.h, missing.h, cache.h, neighbor.h, trees.h. Idle, with eight neighbours,
// under 3 KiB. Not thread-safe; owned by the node's turn.
#ifndef PEERMESH_MESH_BROADCAST_BROADCAST_H_
#define PEERMESH_MESH_BROADCAST_BROADCAST_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "mesh/base/id.h"
#include "mesh/base/rng.h"
#include "mesh/base/time.h"
#include "mesh/broadcast/cache.h"
#include "mesh/broadcast/missing.h"
#include "mesh/broadcast/neighbor.h"
#include "mesh/broadcast/piece.h"
#include "mesh/broadcast/trees.h"
#include "mesh/broadcast/windows.h"

namespace peermesh::broadcast {

// In one message; more is no honest peer's.
inline constexpr std::size_t kMaxRanges = 512;
// Of one answer, whatever was asked for: the rest is asked for again.
inline constexpr std::size_t kMaxServedPieces = 64;
inline constexpr std::uint64_t kMaxServedBytes = kLinkQueueBytes / 2;
static_assert(kMaxServedBytes >= kMaxPublishBytes);
// What waits behind holes: of one stream, and in all (architecture.md section 5; guess).
inline constexpr std::uint64_t kMaxHeldBytesPerStream = 1u << 20;
inline constexpr std::uint64_t kMaxHeldBytes = 16u << 20;
inline constexpr std::size_t kMaxHeldPerStream = 1024;  // pieces; their frames wait with them
// Numbers between what is expected and what came; beyond, the window moves on.
inline constexpr std::uint64_t kMaxAhead = 65536;
// Numbers of which only a word is known are given up after so many questions to each announcer, or
// after this time.
inline constexpr std::uint32_t kMaxRounds = 3;
inline constexpr Duration kTailDeadline = std::chrono::seconds(15);
inline constexpr Duration kMinHoldBack = std::chrono::seconds(2);  // 20 links of 50 ms, and asking
inline constexpr Duration kMaxHoldBack = std::chrono::seconds(5);
inline constexpr std::uint32_t kOptimise = 7;   // Plumtree, section 5; protocols.md section 4(a)
inline constexpr std::size_t kMinOptimise = 5;  // guess: a full mesh of six has no tree to mend
inline constexpr Duration kBeginning =
    std::chrono::seconds(5);  // guess: ten round trips and a dial
inline constexpr Duration kUsualRoundTrip =
    std::chrono::milliseconds(100);  // until one is measured

struct Config {
  std::size_t eager_parents = 1;  // r: neighbours that may send the same piece; 1 to 3
  // How long an announcement may wait for company (TakeAnnouncements): above kAnnounceSooner, at
  // most kMaxWaited. Without any company, more than kAnnounce only delays repair.
  Duration announce = kAnnounce;
};

// Send the piece to this neighbour.
struct Push {
  PeerId peer;
  PieceRef piece;
  std::uint32_t hops = 0;
};
// Say this to this neighbour.
struct Send {
  PeerId peer;
  Message message;
};
// In order of numbers within each stream, each number at most once.
struct Deliver {
  PieceRef piece;
  PeerId from;              // the neighbour it came from
  std::uint64_t first = 0;  // numbers before this one are known already
};
// [from, to] will not come, or not in time.
struct Missing {
  Stream stream;
  std::uint64_t from = 0;
  std::uint64_t to = 0;
};
using Wish = std::variant<Push, Send, Deliver, Missing>;
using Wishes = std::vector<Wish>;

struct Stats {
  std::uint64_t pieces = 0, duplicates = 0, late = 0;  // received
  std::uint64_t announced = 0, heard_of = 0;           // ranges, sent and received
  std::uint64_t grafts_sent = 0, grafts_served = 0, grafts_unserved = 0;
  std::uint64_t prunes_sent = 0, missing_messages = 0;
  std::uint64_t grafts_ignored = 0;      // too many from one neighbour
  std::uint64_t grafts_in_back_off = 0;  // of what was pruned within kPruneBackOff
  std::uint64_t claims_ignored = 0;      // ranges by neighbours not believed, or that have too many
  std::uint64_t promises_broken = 0;     // announced, asked for, never sent
  std::uint64_t optimised = 0;           // branches changed for a shorter one
  std::uint64_t refused = 0;  // pieces of processes long gone, or that cannot be numbered
};

class Broadcast {
 public:
  // Nothing is drawn so far.
  Broadcast(PeerId self, Config config, Rng rng);

  // One that is up already begins anew. At most kMaxLinks.
  void NeighborUp(Instant now, PeerId peer, Wishes& out);
  void NeighborDown(Instant now, PeerId peer, Wishes& out);
  void RoundTrip(PeerId peer, Duration round_trip);

  // A piece of our own. Not delivered here.
  void Publish(Instant now, PieceRef piece, Wishes& out);
  // From a neighbour; its signature holds.
  void Receive(Instant now, PeerId from, PieceRef piece, std::uint32_t hops, Wishes& out);
  // False: no honest peer says this.
  bool Receive(Instant now, PeerId from, const Message& message, Wishes& out);
  // A Push did not fit the queue to this neighbour: it is told instead, and grafts when it can.
  void NotSent(Instant now, PeerId peer, PieceRef piece, Wishes& out);
  // The process that numbered these streams is gone for good.
  void Forget(PeerId origin, std::uint64_t epoch);

  void Wake(Instant now, Wishes& out);
  Instant NextWake() const;
  // What this neighbour is to be told, for something that goes to it now: it need not be told
  // again.
  IHave TakeAnnouncements(Instant now, PeerId peer);

  // True if pieces of this channel go to this neighbour unasked.
  bool IsEager(PeerId peer, std::uint32_t channel) const;
  // The number that is expected next; nullopt for a stream nothing is known of.
  std::optional<std::uint64_t> Expected(const Stream& stream) const;
  // What waits behind a hole is reported at the latest after this.
  Duration HoldBack() const;
  const Stats& stats() const { return stats_; }
  std::uint64_t cached_bytes() const { return cache_.bytes(); }
  std::uint64_t held_bytes() const { return held_bytes_; }
  std::size_t holes() const { return counts_.total(); }
  void CheckInvariants() const;
  std::uint64_t Digest() const;

 private:
  using Asks = std::map<std::uint32_t, std::vector<Range>>;  // by neighbour

  Neighbor* Find(const PeerId& peer);
  const Neighbor* Find(const PeerId& peer) const;
  Neighbor* ByNumber(std::uint32_t number);
  bool IsNew(Instant now) const;

  // broadcast.cc: trees and the way on.
  void Forward(Instant now, std::uint32_t from, const PieceRef& piece, std::uint32_t hops,
               Wishes& out);
  void Duplicate(Instant now, Neighbor& sender, const Window& window, const Piece& piece,
                 Wishes& out);
  void PruneIt(Instant now, Neighbor& neighbor, std::uint32_t channel, Wishes& out);

  // telling.cc: announcements.
  void Tell(Instant now, Neighbor& neighbor, const Range& range, Wishes& out);
  IHave TakeFrom(Instant now, Neighbor& neighbor);
  void Flush(Instant now, Neighbor& neighbor, Wishes& out);
  void FlushDue(Instant now, Wishes& out);

  // messages.cc: what neighbours say, and what is answered.
  void Handle(Instant now, Neighbor& from, const IHave& message, Wishes& out);
  void Handle(Instant now, Neighbor& from, const Graft& message, Wishes& out);
  void Handle(Instant now, Neighbor& from, const Prune& message, Wishes& out);
  void Handle(Instant now, Neighbor& from, const Positions& message, Wishes& out);
  void Improve(Instant now, Neighbor& from, const Range& range, const Window& window, Wishes& out);
  void Serve(Instant now, Neighbor& to, const Graft& message, Wishes& out);

  // repair.cc: order and holes.
  bool Admit(Instant now, const Stream& stream, bool signed_by_origin, Wishes& out);
  Window* Open(Instant now, const Piece& piece, Wishes& out);
  void StepBack(Instant now, Window& window, const Piece& piece);
  void Accept(Instant now, Window& window, std::uint32_t sender, const PeerId& from,
              const PieceRef& piece, Wishes& out);
  void Claim(Instant now, Neighbor& from, Window& window, const Range& range, bool also_before,
             Duration waited, Wishes& out);
  void Advance(Instant now, Window& window, Wishes& out);
  void DeliverOne(Window& window, const PieceRef& piece, const PeerId& from, Wishes& out);
  void Report(Instant now, Window& window, std::uint64_t next, bool proved, Wishes& out);
  void GiveUp(Instant now, Hole& hole);
  void GiveUpAll(Instant now, Window& window, Wishes& out);
  void KeepBounds(Instant now, Window& window, Wishes& out);
  void Judge(Instant now, Holes& holes, const Piece& piece, std::uint32_t sender);
  void Rearm(Instant now, Window& window);

  // asking.cc: when and whom to ask.
  Duration FirstAsk() const;  // after an announcement
  Duration NextAsk() const;   // after a question
  void StepHoles(Instant now, Window& window, Asks& asks);
  bool Ask(Instant now, Window& window, Hole& hole, Asks& asks);

  // Constant after construction.
  const PeerId self_;
  const Config config_;
  // State.
  std::vector<Neighbor> neighbors_;  // at most kMaxLinks, in order of number
  std::uint32_t next_number_ = 1;
  Trees trees_;
  Windows windows_;
  Cache cache_;
  HoleCounts counts_;
  std::map<std::pair<Instant, std::uint64_t>, Window*> timers_;  // of those with a backlog
  Instant announce_at_ = kNever;                                 // of any neighbour, or earlier
  std::uint64_t held_bytes_ = 0;
  Duration median_ = kUsualRoundTrip;  // of the neighbours' round trips
  Instant first_neighbor_at_ = kNever;
  bool heard_positions_ = false;
  // Statistics.
  Stats stats_;
};

}  // namespace peermesh::broadcast

#endif  // PEERMESH_MESH_BROADCAST_BROADCAST_H_
