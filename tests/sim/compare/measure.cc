#include "tests/sim/compare/measure.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "mesh/base/check.h"
#include "mesh/base/rng.h"
#include "tests/sim/compare/ours.h"
#include "tests/sim/compare/topologies.h"

namespace peermesh::sim::compare {
namespace {

double Milliseconds(Duration time) { return static_cast<double>(time.count()) / 1e3; }

// All peers in random order.
std::vector<std::uint32_t> Shuffled(std::size_t peers, Rng& rng) {
  std::vector<std::uint32_t> order(peers);
  for (std::uint32_t i = 0; i < peers; ++i) order[i] = i;
  for (std::size_t i = peers; i > 1; --i) std::swap(order[i - 1], order[rng.Below(i)]);
  return order;
}

// What holds together without the first `share` of these peers.
double Without(const Graph& graph, const std::vector<std::uint32_t>& order, double share) {
  const auto gone =
      static_cast<std::size_t>(std::lround(share * static_cast<double>(order.size())));
  std::vector<bool> left(graph.peers(), true);
  for (std::size_t i = 0; i < gone; ++i) left[order[i]] = false;
  return LargestShare(graph, left);
}

constexpr double Figures::*kAll[] = {
    &Figures::links_mean, &Figures::links_max,      &Figures::idle_mean,
    &Figures::idle_max,   &Figures::median_ms,      &Figures::last_ms,
    &Figures::reached,    &Figures::survive_random, &Figures::survive_best};

}  // namespace

const char* NameOf(Way way) {
  switch (way) {
    case Way::kFullMesh: return "full mesh";
    case Way::kRing: return "ring";
    case Way::kRandom: return "random mesh";
    case Way::kLayered: return "layered by region";
    case Way::kOurs: return "PeerMesh";
  }
  return "";
}

const char* MeaningOf(Way way) {
  switch (way) {
    case Way::kFullMesh: return "everybody to everybody";
    case Way::kRing: return "each to the next two";
    case Way::kRandom: return "each dials 8, never repaired";
    case Way::kLayered: return "3 gateways in each of 4 regions";
    case Way::kOurs: return "8 neighbours each; all up to 32 peers";
  }
  return "";
}

Graph Connect(Way way, const std::vector<std::uint8_t>& region, std::uint64_t seed) {
  switch (way) {
    case Way::kFullMesh: return FullMesh(region.size());
    case Way::kRing: return Ring(region.size(), kRingNext);
    case Way::kRandom: return RandomMesh(region.size(), kRandomDials, seed);
    case Way::kLayered: return Layered(region, kGateways, seed);
    case Way::kOurs: return Ours(region.size(), seed);
  }
  return Graph(0);
}

Figures& Figures::operator+=(const Figures& other) {
  for (double Figures::*figure : kAll) this->*figure += other.*figure;
  return *this;
}

Figures Figures::operator/(double count) const {
  Figures result = *this;
  for (double Figures::*figure : kAll) result.*figure /= count;
  return result;
}

Figures Measure(const Graph& graph, const std::vector<std::uint8_t>& region, std::uint64_t seed) {
  PM_CHECK(graph.peers() == region.size() && graph.peers() > 1);
  Rng rng = Rng({seed, 0, 0, 0}).Fork("measure");
  const std::size_t peers = graph.peers();
  const std::vector<std::uint32_t> order = Shuffled(peers, rng);
  Figures figures;
  std::size_t links = 0, most = 0;
  for (std::uint32_t peer = 0; peer < peers; ++peer) {
    links += graph.degree(peer);
    most = std::max(most, graph.degree(peer));
  }
  figures.links_mean = static_cast<double>(links) / static_cast<double>(peers);
  figures.links_max = static_cast<double>(most);
  figures.idle_mean = figures.links_mean * kHeartbeatBytes / kHeartbeatSeconds;
  figures.idle_max = figures.links_max * kHeartbeatBytes / kHeartbeatSeconds;

  std::vector<Duration> times = Flood(graph, order.front(), {.region = region, .seed = seed});
  std::sort(times.begin(), times.end());
  while (times.back() == Duration::max()) times.pop_back();
  figures.reached = static_cast<double>(times.size()) / static_cast<double>(peers);
  // Without the origin, which is the first.
  figures.median_ms = Milliseconds(times[times.size() / 2]);
  figures.last_ms = Milliseconds(times.back());

  figures.survive_random = Without(graph, order, kRandomGone);
  std::vector<std::uint32_t> best = order;
  std::stable_sort(best.begin(), best.end(), [&](std::uint32_t a, std::uint32_t b) {
    return graph.degree(a) > graph.degree(b);
  });
  figures.survive_best = Without(graph, best, kBestGone);
  return figures;
}

Figures Mean(Way way, std::size_t peers, std::uint64_t first, std::uint64_t seeds) {
  PM_CHECK(peers >= kFewestPeers && seeds > 0);
  Figures sum;
  for (std::uint64_t i = 0; i < seeds; ++i) {
    const std::vector<std::uint8_t> region = DrawRegions(peers, first + i);
    sum += Measure(Connect(way, region, first + i), region, first + i);
  }
  return sum / static_cast<double>(seeds);
}

}  // namespace peermesh::sim::compare
