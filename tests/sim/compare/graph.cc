#include "tests/sim/compare/graph.h"

#include <algorithm>
#include <functional>
#include <queue>
#include <utility>

#include "mesh/base/check.h"
#include "mesh/base/digest.h"

namespace peermesh::sim::compare {
namespace {

void Erase(std::vector<std::uint32_t>& list, std::uint32_t value) {
  const auto place = std::find(list.begin(), list.end(), value);
  PM_CHECK(place != list.end());
  list.erase(place);
}

}  // namespace

bool Graph::linked(std::uint32_t a, std::uint32_t b) const {
  if (degree(a) > degree(b)) std::swap(a, b);
  const auto& list = neighbours_[a];
  return std::find(list.begin(), list.end(), b) != list.end();
}

void Graph::Link(std::uint32_t a, std::uint32_t b) {
  PM_CHECK(a != b && a < peers() && b < peers());
  neighbours_[a].push_back(b);
  neighbours_[b].push_back(a);
}

void Graph::Unlink(std::uint32_t a, std::uint32_t b) {
  Erase(neighbours_[a], b);
  Erase(neighbours_[b], a);
}

Duration Distances::Over(std::uint32_t from, std::uint32_t to) const {
  const Duration base = region[from] == region[to] ? inside : between;
  const std::uint64_t link = (std::uint64_t{from} << 32) | to;
  const std::uint64_t width = static_cast<std::uint64_t>(jitter.count()) + 1;
  return base + Duration(static_cast<std::int64_t>(HashWord(HashWord(seed) ^ link) % width));
}

std::vector<Duration> Flood(const Graph& graph, std::uint32_t origin, const Distances& distances) {
  std::vector<Duration> first(graph.peers(), Duration::max());
  using Copy = std::pair<Duration, std::uint32_t>;  // when, at whom
  std::priority_queue<Copy, std::vector<Copy>, std::greater<>> copies;
  first.at(origin) = Duration{};
  copies.emplace(Duration{}, origin);
  while (!copies.empty()) {
    const auto [when, peer] = copies.top();
    copies.pop();
    if (when > first[peer]) continue;
    for (const std::uint32_t next : graph.neighbours(peer)) {
      // Whoever has it from this early on gains nothing from this link, whatever its jitter.
      if (first[next] <= when + distances.inside) continue;
      const Duration arrives = when + distances.Over(peer, next);
      if (arrives >= first[next]) continue;
      first[next] = arrives;
      copies.emplace(arrives, next);
    }
  }
  return first;
}

double LargestShare(const Graph& graph, const std::vector<bool>& left) {
  std::vector<bool> seen(graph.peers(), false);
  std::vector<std::uint32_t> open;
  std::size_t largest = 0, all = 0;
  for (std::uint32_t start = 0; start < graph.peers(); ++start) {
    if (!left[start] || seen[start]) continue;
    std::size_t part = 0;
    seen[start] = true;
    open.push_back(start);
    while (!open.empty()) {
      const std::uint32_t peer = open.back();
      open.pop_back();
      ++part;
      for (const std::uint32_t next : graph.neighbours(peer)) {
        if (!left[next] || seen[next]) continue;
        seen[next] = true;
        open.push_back(next);
      }
    }
    all += part;
    largest = std::max(largest, part);
  }
  return all == 0 ? 0 : static_cast<double>(largest) / static_cast<double>(all);
}

}  // namespace peermesh::sim::compare
