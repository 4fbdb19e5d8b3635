#include "tests/sim/compare/topologies.h"

#include <algorithm>
#include <array>
#include <utility>

#include "mesh/base/check.h"
#include "mesh/base/rng.h"

namespace peermesh::sim::compare {

std::vector<std::uint8_t> DrawRegions(std::size_t peers, std::uint64_t seed) {
  std::vector<std::uint8_t> region(peers);
  for (std::size_t i = 0; i < peers; ++i) region[i] = static_cast<std::uint8_t>(i % kRegions);
  Rng rng = Rng({seed, 0, 0, 0}).Fork("regions");
  for (std::size_t i = peers; i > 1; --i) std::swap(region[i - 1], region[rng.Below(i)]);
  return region;
}

Graph FullMesh(std::size_t peers) {
  Graph graph(peers);
  for (std::uint32_t a = 0; a < peers; ++a) {
    for (std::uint32_t b = a + 1; b < peers; ++b) graph.Link(a, b);
  }
  return graph;
}

Graph Ring(std::size_t peers, std::size_t next) {
  PM_CHECK(peers > 2 * next);
  Graph graph(peers);
  for (std::uint32_t a = 0; a < peers; ++a) {
    for (std::size_t i = 1; i <= next; ++i) {
      graph.Link(a, static_cast<std::uint32_t>((a + i) % peers));
    }
  }
  return graph;
}

Graph RandomMesh(std::size_t peers, std::size_t dials, std::uint64_t seed) {
  PM_CHECK(peers > dials);
  Rng rng = Rng({seed, 0, 0, 0}).Fork("random mesh");
  Graph graph(peers);
  std::vector<std::vector<std::uint32_t>> dialled(peers);
  for (std::uint32_t a = 0; a < peers; ++a) {
    while (dialled[a].size() < dials) {
      const auto b = static_cast<std::uint32_t>(rng.Below(peers));
      const auto known = [&](std::uint32_t other) { return other == b; };
      if (a == b || std::any_of(dialled[a].begin(), dialled[a].end(), known)) continue;
      dialled[a].push_back(b);
      // Two that dial each other keep one link.
      if (!graph.linked(a, b)) graph.Link(a, b);
    }
  }
  return graph;
}

Graph Layered(const std::vector<std::uint8_t>& region, std::size_t gateways, std::uint64_t seed) {
  PM_CHECK(gateways >= 2 && region.size() > gateways * kRegions);
  Rng rng = Rng({seed, 0, 0, 0}).Fork("layered");
  Graph graph(region.size());
  std::array<std::vector<std::uint32_t>, kRegions> of_region;
  std::vector<std::uint32_t> all;
  for (std::uint32_t peer = 0; peer < region.size(); ++peer) {
    auto& own = of_region[region[peer]];
    if (own.size() < gateways) {
      for (const std::uint32_t other : all) graph.Link(peer, other);
      own.push_back(peer);
      all.push_back(peer);
    }
  }
  for (std::uint32_t peer = 0; peer < region.size(); ++peer) {
    const auto& own = of_region[region[peer]];
    PM_CHECK(own.size() == gateways);
    if (std::find(own.begin(), own.end(), peer) != own.end()) continue;
    const std::uint64_t first = rng.Below(gateways);
    const std::uint64_t second = (first + 1 + rng.Below(gateways - 1)) % gateways;
    graph.Link(peer, own[first]);
    graph.Link(peer, own[second]);
  }
  return graph;
}

}  // namespace peermesh::sim::compare
