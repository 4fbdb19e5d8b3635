#include "tests/sim/experiment/graph.h"

#include <algorithm>
#include <numeric>

namespace peermesh::sim::experiment {
namespace {

constexpr std::uint32_t kNotReached = UINT32_MAX;

// Every edge known at both ends; lists in order.
Graph WithoutDirections(const Graph& graph) {
  Graph both = graph;
  for (std::uint32_t node = 0; node < graph.size(); ++node) {
    for (const std::uint32_t other : graph[node]) both[other].push_back(node);
  }
  for (auto& list : both) {
    std::sort(list.begin(), list.end());
    list.erase(std::unique(list.begin(), list.end()), list.end());
  }
  return both;
}

// Sets the distance of all that `source` reaches, which it returns nearest first.
const std::vector<std::uint32_t>& Search(const Graph& graph, std::uint32_t source,
                                         std::vector<std::uint32_t>& distance,
                                         std::vector<std::uint32_t>& reached) {
  reached.assign(1, source);
  distance[source] = 0;
  for (std::size_t at = 0; at < reached.size(); ++at) {
    const std::uint32_t node = reached[at];
    for (const std::uint32_t other : graph[node]) {
      if (distance[other] != kNotReached) continue;
      distance[other] = distance[node] + 1;
      reached.push_back(other);
    }
  }
  return reached;
}

std::vector<std::size_t> ComponentSizes(const Graph& both) {
  std::vector<std::uint32_t> distance(both.size(), kNotReached), reached;
  std::vector<std::size_t> sizes;
  for (std::uint32_t node = 0; node < both.size(); ++node) {
    if (distance[node] == kNotReached)
      sizes.push_back(Search(both, node, distance, reached).size());
  }
  return sizes;
}

double Clustering(const Graph& both) {
  double sum = 0;
  for (const auto& list : both) {
    if (list.size() < 2) continue;
    std::size_t closed = 0;
    for (const std::uint32_t one : list) {
      for (const std::uint32_t other : list) {
        if (one < other && std::binary_search(both[one].begin(), both[one].end(), other)) ++closed;
      }
    }
    sum += 2.0 * static_cast<double>(closed) / static_cast<double>(list.size() * (list.size() - 1));
  }
  return sum / static_cast<double>(both.size());
}

void MeasurePaths(const Graph& both, Rng rng, GraphFigures& figures) {
  std::vector<std::uint32_t> sources(both.size());
  std::iota(sources.begin(), sources.end(), 0u);
  for (std::size_t i = 0; i < figures.path_sources; ++i) {
    std::swap(sources[i], sources[i + rng.Below(sources.size() - i)]);
  }
  std::vector<std::uint32_t> distance, reached;
  std::uint64_t sum = 0, pairs = 0;
  for (std::size_t i = 0; i < figures.path_sources; ++i) {
    distance.assign(both.size(), kNotReached);
    for (const std::uint32_t node : Search(both, sources[i], distance, reached)) {
      sum += distance[node];
      figures.path_max = std::max<std::size_t>(figures.path_max, distance[node]);
    }
    pairs += reached.size() - 1;
  }
  figures.path_mean = pairs == 0 ? 0 : static_cast<double>(sum) / static_cast<double>(pairs);
}

}  // namespace

std::size_t CountComponents(const Graph& graph) {
  return ComponentSizes(WithoutDirections(graph)).size();
}

GraphFigures MeasureGraph(const Graph& graph, Rng rng, std::size_t sources) {
  GraphFigures figures;
  if (graph.empty()) return figures;
  const Graph both = WithoutDirections(graph);
  const auto nodes = static_cast<double>(graph.size());
  const std::vector<std::size_t> sizes = ComponentSizes(both);
  figures.components = sizes.size();
  figures.largest = static_cast<double>(*std::max_element(sizes.begin(), sizes.end())) / nodes;
  std::size_t named = 0, edges = 0;
  figures.degree_min = SIZE_MAX;
  for (std::size_t node = 0; node < graph.size(); ++node) {
    const std::size_t degree = graph[node].size();
    named += degree;
    edges += both[node].size();
    ++figures.degrees[degree];
    figures.degree_min = std::min(figures.degree_min, degree);
    figures.degree_max = std::max(figures.degree_max, degree);
  }
  figures.asymmetric = edges - named;
  figures.degree_mean = static_cast<double>(named) / nodes;
  figures.clustering = Clustering(both);
  figures.path_sources = std::min(sources, graph.size());
  MeasurePaths(both, rng, figures);
  return figures;
}

}  // namespace peermesh::sim::experiment
