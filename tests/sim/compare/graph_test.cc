#include "tests/sim/compare/graph.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/sim/compare/topologies.h"

namespace peermesh::sim::compare {
namespace {

using std::chrono::milliseconds;

// One region, and every link takes 1 ms: times are hops.
Distances Hops(std::size_t peers) {
  return {.region = std::vector<std::uint8_t>(peers),
          .inside = milliseconds(1),
          .between = milliseconds(1),
          .jitter = Duration{}};
}

std::vector<std::int64_t> HopsFrom(const Graph& graph, std::uint32_t origin) {
  std::vector<std::int64_t> hops;
  for (const Duration time : Flood(graph, origin, Hops(graph.peers()))) {
    hops.push_back(time == Duration::max() ? -1 : time / milliseconds(1));
  }
  return hops;
}

TEST(GraphTest, InARingOfTenToTheNextTheFarthestIsFiveHopsAway) {
  EXPECT_THAT(HopsFrom(Ring(10, 1), 0), testing::ElementsAre(0, 1, 2, 3, 4, 5, 4, 3, 2, 1));
}

TEST(GraphTest, InARingOfTenToTheNextTwoTheFarthestIsThreeHopsAway) {
  EXPECT_THAT(HopsFrom(Ring(10, 2), 3), testing::ElementsAre(2, 1, 1, 0, 1, 1, 2, 2, 3, 2));
}

TEST(GraphTest, ACopyNeverReachesWhatIsNotConnected) {
  Graph graph(4);
  graph.Link(0, 1);
  graph.Link(2, 3);
  EXPECT_THAT(HopsFrom(graph, 0), testing::ElementsAre(0, 1, -1, -1));
}

TEST(GraphTest, TheFirstCopyTakesTheFastWayNotTheShortOne) {
  Graph graph(3);
  graph.Link(0, 2);  // to another region
  graph.Link(0, 1);
  graph.Link(1, 2);
  Distances distances = Hops(3);
  distances.between = milliseconds(40);
  distances.region = {0, 0, 1};
  EXPECT_EQ(Flood(graph, 0, distances)[2], milliseconds(40));
  distances.region = {0, 1, 1};
  EXPECT_EQ(Flood(graph, 0, distances)[2], milliseconds(40));
  distances.region = {0, 0, 0};
  EXPECT_EQ(Flood(graph, 0, distances)[2], milliseconds(1));
  Graph detour(3);
  detour.Link(0, 1);
  detour.Link(1, 2);
  distances.region = {0, 1, 0};
  EXPECT_EQ(Flood(detour, 0, distances)[2], milliseconds(80));
}

TEST(GraphTest, JitterStaysBelowItsBoundAndIsTheSameEachTime) {
  Distances distances{.region = std::vector<std::uint8_t>(100), .seed = 7};
  Duration least = Duration::max(), most{};
  for (std::uint32_t to = 1; to < 100; ++to) {
    const Duration time = distances.Over(0, to);
    EXPECT_EQ(distances.Over(0, to), time);
    least = std::min(least, time);
    most = std::max(most, time);
  }
  EXPECT_GE(least, milliseconds(5));
  EXPECT_LT(least, milliseconds(6)) << "a hundred draws and none is small";
  EXPECT_LE(most, milliseconds(10));
  EXPECT_GT(most, milliseconds(9)) << "a hundred draws and none is large";
}

TEST(GraphTest, UnlinkTakesBothEndsBack) {
  Graph graph = FullMesh(4);
  graph.Unlink(1, 2);
  EXPECT_FALSE(graph.linked(1, 2));
  EXPECT_FALSE(graph.linked(2, 1));
  EXPECT_THAT(graph.neighbours(1), testing::ElementsAre(0, 3));
  EXPECT_THAT(graph.neighbours(2), testing::ElementsAre(0, 3));
}

TEST(GraphTest, AFullMeshHoldsTogetherWhoeverIsGone) {
  const Graph graph = FullMesh(10);
  std::vector<bool> left(10, true);
  for (std::size_t gone = 0; gone < 9; ++gone) {
    left[gone] = false;
    EXPECT_EQ(LargestShare(graph, left), 1.0) << gone;
  }
  left[9] = false;
  EXPECT_EQ(LargestShare(graph, left), 0.0) << "nobody is left";
}

TEST(GraphTest, ARingFallsApartWhereTwoNeighboursAreGone) {
  const Graph graph = Ring(10, 2);
  std::vector<bool> left(10, true);
  left[0] = left[5] = false;
  EXPECT_EQ(LargestShare(graph, left), 1.0) << "links to the next but one go around one peer";
  left[1] = left[6] = false;
  // 2, 3, 4 and 7, 8, 9 are left.
  EXPECT_EQ(LargestShare(graph, left), 0.5);
}

}  // namespace
}  // namespace peermesh::sim::compare
