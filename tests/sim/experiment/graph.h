// Figures of who is whose neighbour.
//
// Paths and components are those of the graph without directions: an edge that only one end knows
// of counts for them, and is counted as asymmetric. Paths are measured from a sample of sources
// when there are many nodes: breadth-first search from each to everybody it reaches.
#ifndef PEERMESH_TESTS_SIM_EXPERIMENT_GRAPH_H_
#define PEERMESH_TESTS_SIM_EXPERIMENT_GRAPH_H_

#include <cstdint>
#include <map>
#include <vector>

#include "mesh/base/rng.h"

namespace peermesh::sim::experiment {

// For each node, whom it names: numbers of nodes, each once, not itself.
using Graph = std::vector<std::vector<std::uint32_t>>;

inline constexpr std::size_t kPathSources = 200;  // about 0.1 % off at 10,000 nodes: see graph_test

struct GraphFigures {
  std::size_t components = 0;
  double largest = 0;          // share of the nodes in the largest component
  std::size_t asymmetric = 0;  // edges that one end knows of only
  double degree_mean = 0;
  std::size_t degree_min = 0, degree_max = 0;
  std::map<std::size_t, std::size_t> degrees;  // how many nodes have so many neighbours
  double path_mean = 0;                        // edges between two nodes that reach each other
  std::size_t path_max = 0;
  std::size_t path_sources = 0;
  double clustering = 0;  // mean share of pairs of neighbours that are neighbours
};
// `rng` draws the sources.
GraphFigures MeasureGraph(const Graph& graph, Rng rng, std::size_t sources = kPathSources);

// The components alone.
std::size_t CountComponents(const Graph& graph);

}  // namespace peermesh::sim::experiment

#endif  // PEERMESH_TESTS_SIM_EXPERIMENT_GRAPH_H_
