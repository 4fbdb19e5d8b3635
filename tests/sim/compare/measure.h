// What five ways to connect the same peers cost and what they stand.
#ifndef PEERMESH_TESTS_SIM_COMPARE_MEASURE_H_
#define PEERMESH_TESTS_SIM_COMPARE_MEASURE_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "tests/sim/compare/graph.h"

namespace peermesh::sim::compare {

enum class Way : std::uint8_t { kFullMesh, kRing, kRandom, kLayered, kOurs };
inline constexpr std::array kWays = {Way::kFullMesh, Way::kRing, Way::kRandom, Way::kLayered,
                                     Way::kOurs};
const char* NameOf(Way way);
const char* MeaningOf(Way way);

inline constexpr std::size_t kRingNext = 2, kRandomDials = 8, kGateways = 3;
inline constexpr std::size_t kFewestPeers = kGateways * kRegions + 1;

Graph Connect(Way way, const std::vector<std::uint8_t>& region, std::uint64_t seed);

// A heartbeat on every link, each way: what a peer sends for one, and for answering one.
inline constexpr double kHeartbeatSeconds = 2;
inline constexpr double kHeartbeatBytes = 35 + 88 + 52;  // payload, framing, acknowledgement

struct Figures {
  double links_mean = 0, links_max = 0;         // of a peer
  double idle_mean = 0, idle_max = 0;           // bytes a second that a peer sends
  double median_ms = 0, last_ms = 0;            // of a broadcast, to the peers that it reaches
  double reached = 0;                           // share of the peers, nobody gone
  double survive_random = 0, survive_best = 0;  // largest part, of the peers that are left

  Figures& operator+=(const Figures& other);
  Figures operator/(double count) const;
};

inline constexpr double kRandomGone = 0.5, kBestGone = 0.05;

Figures Measure(const Graph& graph, const std::vector<std::uint8_t>& region, std::uint64_t seed);

// Mean of `seeds` seeds from `first` on; maxima are means of maxima.
Figures Mean(Way way, std::size_t peers, std::uint64_t first, std::uint64_t seeds);

}  // namespace peermesh::sim::compare

#endif  // PEERMESH_TESTS_SIM_COMPARE_MEASURE_H_
