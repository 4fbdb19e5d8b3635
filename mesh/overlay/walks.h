// Where the answer to a random walk goes: each hop remembers for a while whom a walk came from.
//
// Rules, and why:
//  * A walk that was here before is not taken again, so no walk runs in circles.
//  * One answer goes back, once; what comes later or was never asked for is dropped.
//  * One neighbour may have a few walks on their way; honest ones have about one in ten seconds,
//    and a flood fills the share of its sender and nobody else's.
// What an attacker gains at best: its own walks are lost. To answer for somebody else it must have
// carried that walk, and could then answer anyway.
//
// Bounds: kMostWalks of 64 bytes, for kWalkMemory each. Not thread-safe; owned by the node's turn.
#ifndef PEERMESH_MESH_OVERLAY_WALKS_H_
#define PEERMESH_MESH_OVERLAY_WALKS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "mesh/base/digest.h"
#include "mesh/base/id.h"
#include "mesh/base/time.h"

namespace peermesh::overlay {

// Twelve hops of half a second each, and some patience.
inline constexpr Duration kWalkMemory = std::chrono::seconds(10);
// Guess: a peer passes on about six walks in 30 s, so it remembers two or three at a time.
inline constexpr std::size_t kMostWalks = 128;
inline constexpr std::size_t kMostWalksOfOne = 16;  // guess: far above what honest ones need

class Walks {
 public:
  // False: it was here before, or there is no room. `from` is ourselves for our own walks.
  [[nodiscard]] bool Remember(Instant now, std::uint64_t walk, const PeerId& from);
  // Where the answer to this walk goes; asked once.
  std::optional<PeerId> TakeBack(Instant now, std::uint64_t walk);

  void CheckInvariants() const;
  void AddTo(Digest& digest) const;

 private:
  struct Walk {
    std::uint64_t walk = 0;
    PeerId from;
    Instant until{};
    bool answered = false;
  };
  std::vector<Walk> walks_;  // in the order they came, which is the order they are forgotten in
};

}  // namespace peermesh::overlay

#endif  // PEERMESH_MESH_OVERLAY_WALKS_H_
