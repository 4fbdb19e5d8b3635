// What a node wishes for, in the words of a story: the name of the wish as in mesh/node/effect.h,
// whom it concerns, and what it holds. One wish is one line, or a head and indented lines if it is
// long.
#ifndef PEERMESH_TESTS_MESH_NODE_STORY_EFFECTS_H_
#define PEERMESH_TESTS_MESH_NODE_STORY_EFFECTS_H_

#include <string>
#include <vector>

#include "mesh/base/time.h"
#include "mesh/node/effect.h"
#include "mesh/node/node.h"
#include "tests/mesh/node/story_cast.h"

namespace peermesh::node {

std::string ShowEffect(const Cast& cast, const Effect& effect);

// The tables of `show`. Times are counted from `start`.
std::vector<std::string> ShowPeers(const std::vector<membership::PeerView>& peers, Instant start);
std::vector<std::string> ShowQueues(const Census& census);
std::vector<std::string> ShowCounters(const Stats& stats);  // those that are not 0

}  // namespace peermesh::node

#endif  // PEERMESH_TESTS_MESH_NODE_STORY_EFFECTS_H_
