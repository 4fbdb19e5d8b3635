// Who is linked to whom, and what follows from that: how far a broadcast travels, and what holds
// together when peers are gone.
#ifndef PEERMESH_TESTS_SIM_COMPARE_GRAPH_H_
#define PEERMESH_TESTS_SIM_COMPARE_GRAPH_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "mesh/base/time.h"

namespace peermesh::sim::compare {

class Graph {
 public:
  explicit Graph(std::size_t peers) : neighbours_(peers) {}

  std::size_t peers() const { return neighbours_.size(); }
  const std::vector<std::uint32_t>& neighbours(std::uint32_t peer) const {
    return neighbours_[peer];
  }
  std::size_t degree(std::uint32_t peer) const { return neighbours_[peer].size(); }
  // Looks through the shorter of both lists.
  bool linked(std::uint32_t a, std::uint32_t b) const;

  // Of two different peers that are not linked yet: the caller knows.
  void Link(std::uint32_t a, std::uint32_t b);
  // Of two linked peers.
  void Unlink(std::uint32_t a, std::uint32_t b);

 private:
  std::vector<std::vector<std::uint32_t>> neighbours_;  // in the order of linking
};

inline constexpr std::size_t kRegions = 4;

// How long a message takes over a link, one way.
struct Distances {
  std::vector<std::uint8_t> region;  // by peer
  Duration inside = std::chrono::milliseconds(5);
  Duration between = std::chrono::milliseconds(40);
  Duration jitter = std::chrono::milliseconds(5);  // at most; fixed for a link and direction
  std::uint64_t seed = 0;

  Duration Over(std::uint32_t from, std::uint32_t to) const;
};

// When each peer has the first copy if everybody passes that on over all links at once, counted
// from the origin's zero; Duration::max(): never. Making many copies costs nothing here, which
// flatters those with many links.
std::vector<Duration> Flood(const Graph& graph, std::uint32_t origin, const Distances& distances);

// The largest part that holds together, of the peers that are left; 0 if none is.
double LargestShare(const Graph& graph, const std::vector<bool>& left);

}  // namespace peermesh::sim::compare

#endif  // PEERMESH_TESTS_SIM_COMPARE_GRAPH_H_
