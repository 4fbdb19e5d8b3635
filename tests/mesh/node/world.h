// The world of the simulator, for tests: whatever it finds is a failure of the test.
#ifndef PEERMESH_TESTS_MESH_NODE_WORLD_H_
#define PEERMESH_TESTS_MESH_NODE_WORLD_H_

#include <gtest/gtest.h>

#include "tests/sim/world.h"

namespace peermesh::node {

using sim::AppIndex;
using sim::HostIndex;
using sim::NaiveMatch;
using sim::Tally;

struct World : sim::World {
  explicit World(std::uint64_t seed) : sim::World(seed) {
    on_failure = [](const std::string& what) { ADD_FAILURE() << what; };
  }
};

}  // namespace peermesh::node

#endif  // PEERMESH_TESTS_MESH_NODE_WORLD_H_
