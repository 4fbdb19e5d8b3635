// What two overlays say to each other, on a link between them. Ids only: whoever carries a message
// sees to it that the receiver can find out where they live.
#ifndef PEERMESH_MESH_OVERLAY_MESSAGE_H_
#define PEERMESH_MESH_OVERLAY_MESSAGE_H_

#include <cstddef>
#include <cstdint>
#include <variant>
#include <vector>

#include "mesh/base/id.h"

namespace peermesh::overlay {

// Ids in one message: a shuffle carries 1 + 3 + 4 (HyParView, section 4.3), an answer as many.
inline constexpr std::size_t kMostCandidates = 8;
// No walk may be longer, whatever it says.
inline constexpr std::uint8_t kMostHops = 6;

// The sender is new, or alone: it wants neighbours, and others to hear of it.
struct Join {};

// Somebody new, on a random walk: at its end it gets a neighbour, half way it is noted.
struct ForwardJoin {
  PeerId joiner;
  std::uint8_t ttl = 0;  // hops left
};

enum class Urgency : std::uint8_t { kLow = 1, kHigh = 2, kSwap = 3 };

// Let us be neighbours. High: the sender has too few, and the receiver should part with another.
// Swap: the sender has enough; both part with one, and it names the receiver's to its own.
struct Neighbor {
  Urgency urgency = Urgency::kLow;
  std::vector<PeerId> neighbors;  // of the sender: one of both may be parted with, and nobody lost
};

struct NeighborReply {
  bool accepted = false;
  std::vector<PeerId> candidates;  // to try instead, or later
};

// We are neighbours no more.
struct Disconnect {
  std::vector<PeerId> candidates;  // who looks for neighbours; the first one has a place for sure.
                                   // None: somebody who looks for one will ask
};

// A sample of whom the origin knows, on a random walk; the answer comes back the same way.
struct Shuffle {
  std::uint64_t walk = 0;  // drawn by the origin
  std::uint8_t ttl = 0;
  std::vector<PeerId> sample;  // the origin first
};

struct ShuffleReply {
  std::uint64_t walk = 0;
  std::vector<PeerId> sample;
};

using Message =
    std::variant<Join, ForwardJoin, Neighbor, NeighborReply, Disconnect, Shuffle, ShuffleReply>;

}  // namespace peermesh::overlay

#endif  // PEERMESH_MESH_OVERLAY_MESSAGE_H_
