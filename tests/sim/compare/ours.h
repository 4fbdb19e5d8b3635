// The links that peers of this mesh keep, as far as a comparison of shapes needs them.
//
// Up to 32 peers everybody is linked to everybody. Beyond, each has 8 neighbours: 4 that it chose
// itself and that no request of others takes from it, and 4 that chose it. The graph grows as the
// overlay does: a newcomer chooses 4 peers at random; each makes room by letting go one of those
// that chose it, and who was let go chooses the newcomer instead. So every degree stays 8, and no
// link is where it is because of when a peer came.
#ifndef PEERMESH_TESTS_SIM_COMPARE_OURS_H_
#define PEERMESH_TESTS_SIM_COMPARE_OURS_H_

#include <cstddef>
#include <cstdint>

#include "tests/sim/compare/graph.h"

namespace peermesh::sim::compare {

inline constexpr std::size_t kEverybodyUpTo = 32;  // architecture, section 5
inline constexpr std::size_t kChosen = 4;          // of 8 neighbours: those it chose itself

Graph Ours(std::size_t peers, std::uint64_t seed);

// The same growth from the first peers on, without the full mesh of a few: peers > 8.
Graph GrowRegular(std::size_t peers, std::uint64_t seed);

}  // namespace peermesh::sim::compare

#endif  // PEERMESH_TESTS_SIM_COMPARE_OURS_H_
