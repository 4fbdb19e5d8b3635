#include "tests/sim/compare/ours.h"

#include <algorithm>
#include <array>
#include <vector>

#include "mesh/base/check.h"
#include "mesh/base/rng.h"
#include "tests/sim/compare/topologies.h"

namespace peermesh::sim::compare {
namespace {

// For each peer the ones that chose it: always kChosen of them.
using ChosenBy = std::vector<std::array<std::uint32_t, kChosen>>;

// One link of the newcomer: to `contact`, which lets go `gone`, which chooses the newcomer.
void Split(Graph& graph, ChosenBy& chosen_by, std::uint32_t newcomer, std::size_t slot, Rng& rng) {
  for (;;) {
    const auto contact = static_cast<std::uint32_t>(rng.Below(newcomer));
    std::uint32_t& gone = chosen_by[contact][rng.Below(kChosen)];
    if (contact == newcomer || gone == newcomer) continue;
    if (graph.linked(newcomer, contact) || graph.linked(newcomer, gone)) continue;
    graph.Unlink(contact, gone);
    graph.Link(newcomer, contact);
    graph.Link(newcomer, gone);
    chosen_by[newcomer][slot] = gone;
    gone = newcomer;
    return;
  }
}

}  // namespace

Graph GrowRegular(std::size_t peers, std::uint64_t seed) {
  constexpr std::uint32_t kFirst = 2 * kChosen + 1;
  PM_CHECK(peers >= kFirst);
  Rng rng = Rng({seed, 0, 0, 0}).Fork("ours");
  Graph graph(peers);
  ChosenBy chosen_by(peers);
  // The first nine know each other; each chose the four after it.
  for (std::uint32_t peer = 0; peer < kFirst; ++peer) {
    for (std::uint32_t i = 0; i < kChosen; ++i) {
      const std::uint32_t other = (peer + i + 1) % kFirst;
      graph.Link(peer, other);
      chosen_by[other][i] = peer;
    }
  }
  for (std::uint32_t newcomer = kFirst; newcomer < peers; ++newcomer) {
    for (std::size_t slot = 0; slot < kChosen; ++slot) {
      Split(graph, chosen_by, newcomer, slot, rng);
    }
  }
  return graph;
}

Graph Ours(std::size_t peers, std::uint64_t seed) {
  return peers <= kEverybodyUpTo ? FullMesh(peers) : GrowRegular(peers, seed);
}

}  // namespace peermesh::sim::compare
