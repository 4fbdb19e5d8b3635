#include "tests/sim/compare/topologies.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <set>

#include "tests/sim/compare/ours.h"

namespace peermesh::sim::compare {
namespace {

std::size_t Links(const Graph& graph) {
  std::size_t ends = 0;
  for (std::uint32_t peer = 0; peer < graph.peers(); ++peer) ends += graph.degree(peer);
  return ends / 2;
}

// Symmetric, no loops, no link twice.
void ExpectSimple(const Graph& graph) {
  for (std::uint32_t peer = 0; peer < graph.peers(); ++peer) {
    const auto& list = graph.neighbours(peer);
    const std::set<std::uint32_t> different(list.begin(), list.end());
    ASSERT_EQ(different.size(), list.size()) << peer << " has a link twice";
    ASSERT_EQ(different.count(peer), 0u) << peer << " is linked to itself";
    for (const std::uint32_t other : list) {
      const auto& back = graph.neighbours(other);
      ASSERT_EQ(std::count(back.begin(), back.end(), peer), 1) << peer << " and " << other;
    }
  }
}

TEST(TopologiesTest, AFullMeshHasALinkForEveryPair) {
  const Graph graph = FullMesh(12);
  ExpectSimple(graph);
  EXPECT_EQ(Links(graph), 66u);
}

TEST(TopologiesTest, InARingEachHasTwiceAsManyNeighboursAsItGoesForward) {
  const Graph graph = Ring(10, 2);
  ExpectSimple(graph);
  EXPECT_THAT(graph.neighbours(0), testing::UnorderedElementsAre(1, 2, 8, 9));
}

TEST(TopologiesTest, ARandomMeshHasAboutAsManyLinksAsDials) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    const Graph graph = RandomMesh(1000, 8, seed);
    ExpectSimple(graph);
    // 8,000 dials; two of a pair dial each other about 32 times.
    EXPECT_LE(Links(graph), 8000u);
    EXPECT_GE(Links(graph), 7930u);
    for (std::uint32_t peer = 0; peer < 1000; ++peer) ASSERT_GE(graph.degree(peer), 8u);
  }
}

TEST(TopologiesTest, RegionsAreOfOneSize) {
  std::array<std::size_t, kRegions> sizes{};
  for (const std::uint8_t region : DrawRegions(102, 3)) ++sizes.at(region);
  EXPECT_THAT(sizes, testing::ElementsAre(26, 26, 25, 25));
  EXPECT_NE(DrawRegions(102, 3), DrawRegions(102, 4));
}

TEST(TopologiesTest, LayersMeetAtTheGatewaysOnly) {
  const std::vector<std::uint8_t> region = DrawRegions(100, 1);
  const Graph graph = Layered(region, 3, 1);
  ExpectSimple(graph);
  EXPECT_EQ(Links(graph), 12u * 11 / 2 + 88 * 2);
  std::size_t gateways = 0;
  for (std::uint32_t peer = 0; peer < 100; ++peer) {
    if (graph.degree(peer) > 2) {
      ++gateways;
      continue;
    }
    for (const std::uint32_t gateway : graph.neighbours(peer)) {
      EXPECT_EQ(region[gateway], region[peer]);
      EXPECT_GE(graph.degree(gateway), 11u);
    }
  }
  EXPECT_EQ(gateways, 12u);
}

TEST(OursTest, UpTo32EverybodyIsLinkedToEverybody) { EXPECT_EQ(Links(Ours(32, 1)), 32u * 31 / 2); }

TEST(OursTest, BeyondEachHasAboutEightLinks) {
  const Graph graph = Ours(100, 1);
  ExpectSimple(graph);
  for (std::uint32_t peer = 0; peer < 100; ++peer) {
    EXPECT_GE(graph.degree(peer), 6u);
    EXPECT_LE(graph.degree(peer), 12u);
  }
}

}  // namespace
}  // namespace peermesh::sim::compare
