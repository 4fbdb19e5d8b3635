// What is known of one neighbour: on which channels it gets pieces unasked, what it has still to be
// told, and how it keeps its word.
//
// Announcements gather and leave together: with something else that goes to this neighbour, or on
// their own after Config::announce. Of two neighbours the one with the smaller id tells sooner:
// whoever hears that the other has a piece need not announce it any more, and with equal delays
// both would tell at the same time. Measured at 1,000 peers with 8 neighbours: 3.3 announcements of
// a piece reach a peer, over 6 links on which it is not sent.
//
// Bounds: kMaxAnnounced ranges wait, 256 bytes idle. Not thread-safe; owned by the node's turn.
#ifndef PEERMESH_MESH_BROADCAST_NEIGHBOR_H_
#define PEERMESH_MESH_BROADCAST_NEIGHBOR_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "mesh/base/digest.h"
#include "mesh/base/time.h"
#include "mesh/broadcast/piece.h"

namespace peermesh::broadcast {

inline constexpr std::size_t kMaxAnnounced = 64;                       // protocols.md section 4(d)
inline constexpr Duration kAnnounce = std::chrono::milliseconds(100);  // protocols.md section 4(d)
inline constexpr Duration kAnnounceSooner = std::chrono::milliseconds(60);  // measured
// A question is answered by then, or not at all: ten times a usual round trip (guess).
inline constexpr Duration kPatience = std::chrono::seconds(1);
inline constexpr std::uint32_t kMaxAsked = 64;  // ranges in kPatience; protocols.md section 4(d)
// Ranges asked of us in a second, and at once: three times what an honest neighbour may ask.
inline constexpr std::int64_t kMaxServedPerSecond = 200;
static_assert(kMaxServedPerSecond >= 3 * kMaxAsked);
inline constexpr std::uint32_t kMaxBroken = 3;                      // promises in a row
inline constexpr Duration kDisbelief = std::chrono::seconds(60);    // after so many
inline constexpr Duration kPruneBackOff = std::chrono::seconds(1);  // gossipsub: 60 s; guess

struct Neighbor {
  PeerId id;
  std::uint32_t number = 0;                 // never used again; increasing
  std::uint64_t eager = ~std::uint64_t{0};  // a bit for each channel
  Duration round_trip{};                    // smoothed; 0: not known yet

  // What it is told next, and when.
  std::vector<Range> announcements;
  Instant announce_at = kNever;
  Instant announced_last{};  // when the latest of them was noted

  bool IsEager(std::uint32_t channel) const { return (eager >> channel & 1) != 0; }
  void MakeEager(std::uint32_t channel) { eager |= std::uint64_t{1} << channel; }
  // It pruned us, or we it.
  void Pruned(Instant now, std::uint64_t channels);
  bool WasPrunedLately(Instant now, std::uint32_t channel) const {
    return now < pruned_at_ + kPruneBackOff && (pruned_ >> channel & 1) != 0;
  }

  // True if it is time to tell, because there is no room for more.
  bool Announce(Instant now, const Range& range, Instant at);
  // It has these already.
  void NeedNotHear(const Stream& stream, std::uint64_t first, std::uint64_t next);

  // Whether it may be asked for one more range, or may ask us.
  bool TakeAsk(Instant now);
  bool TakeServe(Instant now);

  bool IsBelieved(Instant now) const { return now >= disbelieved_until_; }
  void KeptPromise() { broken_ = 0; }
  void BrokePromise(Instant now);

  void CheckInvariants() const;
  void AddTo(Digest& digest) const;

 private:
  std::uint64_t pruned_ = 0;
  Instant pruned_at_{-kPruneBackOff};
  Instant asked_since_{};
  std::uint32_t asked_ = 0;
  std::uint32_t broken_ = 0;
  Instant served_until_{};  // what it asked for is paid for then
  Instant disbelieved_until_{Duration::min()};
};

}  // namespace peermesh::broadcast

#endif  // PEERMESH_MESH_BROADCAST_NEIGHBOR_H_
