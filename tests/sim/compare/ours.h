// The links that real peers keep, in virtual time: they join through the first three, and are left
// alone until the links nobody needs are gone.
#ifndef PEERMESH_TESTS_SIM_COMPARE_OURS_H_
#define PEERMESH_TESTS_SIM_COMPARE_OURS_H_

#include <cstddef>
#include <cstdint>

#include "mesh/base/time.h"
#include "tests/sim/compare/graph.h"

namespace peermesh::sim::compare {

inline constexpr std::size_t kSeeds = 3;
inline constexpr Duration kJoinEvery = std::chrono::milliseconds(10);
inline constexpr Duration kSettling = std::chrono::seconds(120);

Graph Ours(std::size_t peers, std::uint64_t seed);

}  // namespace peermesh::sim::compare

#endif  // PEERMESH_TESTS_SIM_COMPARE_OURS_H_
