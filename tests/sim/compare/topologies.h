// Ways to connect peers, each as simple as it is usually built.
#ifndef PEERMESH_TESTS_SIM_COMPARE_TOPOLOGIES_H_
#define PEERMESH_TESTS_SIM_COMPARE_TOPOLOGIES_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "tests/sim/compare/graph.h"

namespace peermesh::sim::compare {

// As many peers in each region as in the others, or one more; which ones, the seed decides.
std::vector<std::uint8_t> DrawRegions(std::size_t peers, std::uint64_t seed);

Graph FullMesh(std::size_t peers);
// Each to the `next` that follow it.
Graph Ring(std::size_t peers, std::size_t next);
// Each dials `dials` others once, at random; who was dialled keeps the link. Never repaired.
Graph RandomMesh(std::size_t peers, std::size_t dials, std::uint64_t seed);
// The first `gateways` peers of each region are all linked to each other; every other peer is
// linked to two gateways of its region.
Graph Layered(const std::vector<std::uint8_t>& region, std::size_t gateways, std::uint64_t seed);

}  // namespace peermesh::sim::compare

#endif  // PEERMESH_TESTS_SIM_COMPARE_TOPOLOGIES_H_
