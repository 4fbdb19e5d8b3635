#include "tests/sim/experiment/graph.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace peermesh::sim::experiment {
namespace {

Rng Dice(std::uint64_t seed) { return Rng({seed, 0, 0, 0}); }

Graph Ring(std::uint32_t nodes) {
  Graph graph(nodes);
  for (std::uint32_t i = 0; i < nodes; ++i) {
    graph[i] = {(i + 1) % nodes, (i + nodes - 1) % nodes};
  }
  return graph;
}

// A ring where everybody knows the next `degree` / 2 on both sides, with its edges exchanged so
// often that nothing is left of the ring.
Graph RandomRegular(std::uint32_t nodes, std::uint32_t degree, Rng rng) {
  std::vector<std::pair<std::uint32_t, std::uint32_t>> edges;
  for (std::uint32_t i = 0; i < nodes; ++i) {
    for (std::uint32_t step = 1; step <= degree / 2; ++step)
      edges.emplace_back(i, (i + step) % nodes);
    if (degree % 2 == 1 && i < nodes / 2) edges.emplace_back(i, i + nodes / 2);
  }
  std::vector<std::set<std::uint32_t>> near(nodes);
  for (const auto& [a, b] : edges) near[a].insert(b), near[b].insert(a);
  for (std::size_t swaps = 0; swaps < 5 * edges.size(); ++swaps) {
    auto& [a, b] = edges[rng.Below(edges.size())];
    auto& [c, d] = edges[rng.Below(edges.size())];
    if (a == c || a == d || b == c || b == d || near[a].contains(d) || near[c].contains(b))
      continue;
    near[a].erase(b), near[b].erase(a), near[c].erase(d), near[d].erase(c);
    near[a].insert(d), near[d].insert(a), near[c].insert(b), near[b].insert(c);
    std::swap(b, d);
  }
  Graph graph(nodes);
  for (std::uint32_t i = 0; i < nodes; ++i) graph[i].assign(near[i].begin(), near[i].end());
  return graph;
}

TEST(GraphTest, ARingOfTenHasKnownPaths) {
  const GraphFigures figures = MeasureGraph(Ring(10), Dice(1));
  EXPECT_EQ(figures.components, 1u);
  EXPECT_EQ(figures.largest, 1);
  EXPECT_EQ(figures.asymmetric, 0u);
  EXPECT_EQ(figures.degree_mean, 2);
  EXPECT_EQ(figures.path_max, 5u);
  EXPECT_DOUBLE_EQ(figures.path_mean, (1 + 1 + 2 + 2 + 3 + 3 + 4 + 4 + 5) / 9.0);
  EXPECT_EQ(figures.clustering, 0);
  EXPECT_EQ(figures.path_sources, 10u);
}

TEST(GraphTest, InAFullMeshEverybodyIsOneStepAway) {
  Graph graph(6);
  for (std::uint32_t i = 0; i < 6; ++i) {
    for (std::uint32_t j = 0; j < 6; ++j) {
      if (i != j) graph[i].push_back(j);
    }
  }
  const GraphFigures figures = MeasureGraph(graph, Dice(1));
  EXPECT_EQ(figures.path_mean, 1);
  EXPECT_EQ(figures.path_max, 1u);
  EXPECT_EQ(figures.clustering, 1);
  EXPECT_EQ(figures.degrees.at(5), 6u);
}

TEST(GraphTest, PartsAreCountedAndPathsStayWithinThem) {
  Graph graph = Ring(6);
  graph.resize(10);  // a pair, and two alone
  graph[6] = {7};
  graph[7] = {6};
  const GraphFigures figures = MeasureGraph(graph, Dice(1));
  EXPECT_EQ(figures.components, 4u);
  EXPECT_EQ(CountComponents(graph), 4u);
  EXPECT_DOUBLE_EQ(figures.largest, 0.6);
  EXPECT_EQ(figures.degree_min, 0u);
  EXPECT_EQ(figures.path_max, 3u);
  EXPECT_DOUBLE_EQ(figures.path_mean, (6 * (1 + 1 + 2 + 2 + 3) + 2 * 1) / (6.0 * 5 + 2));
}

TEST(GraphTest, AnEdgeThatOneEndKnowsOfJoinsAndIsCounted) {
  Graph graph(3);
  graph[0] = {1};
  graph[1] = {0, 2};
  const GraphFigures figures = MeasureGraph(graph, Dice(1));
  EXPECT_EQ(figures.components, 1u);
  EXPECT_EQ(figures.asymmetric, 1u);
  EXPECT_EQ(figures.degree_min, 0u);
}

TEST(GraphTest, OneTriangleWithATailHasKnownClustering) {
  Graph graph(4);
  graph[0] = {1, 2};
  graph[1] = {0, 2};
  graph[2] = {0, 1, 3};
  graph[3] = {2};
  EXPECT_DOUBLE_EQ(MeasureGraph(graph, Dice(1)).clustering, (1 + 1 + 1 / 3.0 + 0) / 4);
}

// The calibration of the calculation itself: random regular graphs have paths of 6.36 (degree 5)
// and 4.78 (degree 8) at 10,000 nodes (research notes, section 3).
TEST(GraphTest, ARandomGraphOfTenThousandHasThePathsOfTheModel) {
  const GraphFigures five = MeasureGraph(RandomRegular(10'000, 5, Dice(1)), Dice(2));
  EXPECT_EQ(five.components, 1u);
  EXPECT_EQ(five.degree_min, 5u);
  EXPECT_EQ(five.degree_max, 5u);
  EXPECT_NEAR(five.path_mean, 6.36, 0.03);
  EXPECT_GE(five.path_max, 8u);
  EXPECT_LE(five.path_max, 9u);
  EXPECT_LT(five.clustering, 0.001);
  EXPECT_EQ(five.path_sources, 200u);
  const GraphFigures eight = MeasureGraph(RandomRegular(10'000, 8, Dice(3)), Dice(4));
  EXPECT_NEAR(eight.path_mean, 4.78, 0.03);
  EXPECT_EQ(eight.path_max, 6u);
}

TEST(GraphTest, ASampleOfSourcesIsCloseToAllOfThem) {
  const Graph graph = RandomRegular(2'000, 5, Dice(5));
  const double all = MeasureGraph(graph, Dice(1), 2'000).path_mean;
  EXPECT_NEAR(MeasureGraph(graph, Dice(6), 200).path_mean, all, 0.005 * all);
}

}  // namespace
}  // namespace peermesh::sim::experiment
