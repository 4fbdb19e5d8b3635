#include "tests/sim/compare/ours.h"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "tests/sim/world.h"

namespace peermesh::sim::compare {

Graph Ours(std::size_t peers, std::uint64_t seed) {
  World world(seed);
  world.keep_answers = false;
  world.keep_truth = false;
  world.checks = {.every = 4096, .all = std::chrono::minutes(10)};
  std::map<PeerId, std::uint32_t> places;
  for (std::uint32_t peer = 0; peer < peers; ++peer) {
    std::vector<HostIndex> seeds;
    while (seeds.size() < std::min<std::size_t>(kSeeds, peer)) seeds.push_back(seeds.size());
    const HostIndex host = world.Add("peer-" + std::to_string(peer), seeds);
    places[world.id(host)] = peer;
    world.Run(kJoinEvery);
  }
  world.Run(kSettling);
  Graph graph(peers);
  for (std::uint32_t peer = 0; peer < peers; ++peer) {
    for (const membership::PeerView& row : world.node(peer).Peers()) {
      if (row.self || row.connection != membership::Connection::kConnected) continue;
      const std::uint32_t other = places.at(row.id);
      if (!graph.linked(peer, other)) graph.Link(peer, other);
    }
  }
  return graph;
}

}  // namespace peermesh::sim::compare
