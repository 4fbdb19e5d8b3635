#include "tests/sim/compare/measure.h"

#include <gtest/gtest.h>

#include "tests/sim/compare/ours.h"
#include "tests/sim/compare/topologies.h"

namespace peermesh::sim::compare {
namespace {

TEST(MeasureTest, AFullMeshIsOneHopAndSurvivesAll) {
  const Figures figures = Mean(Way::kFullMesh, 100, 1, 3);
  EXPECT_EQ(figures.links_mean, 99);
  EXPECT_EQ(figures.links_max, 99);
  // 175 bytes every two seconds on each of 99 links.
  EXPECT_EQ(figures.idle_mean, 8662.5);
  EXPECT_EQ(figures.reached, 1);
  EXPECT_EQ(figures.survive_random, 1);
  EXPECT_EQ(figures.survive_best, 1);
  // Three quarters are in other regions: one link of 40 to 45 ms.
  EXPECT_GT(figures.median_ms, 40);
  EXPECT_LE(figures.last_ms, 45);
}

TEST(MeasureTest, TheLastOfARingIsAsFarAsHalfOfItAway) {
  const std::vector<std::uint8_t> one_region(10);
  const Figures figures = Measure(Ring(10, 2), one_region, 1);
  // Three hops of 5 to 10 ms.
  EXPECT_GE(figures.last_ms, 15);
  EXPECT_LE(figures.last_ms, 30);
  EXPECT_EQ(figures.links_mean, 4);
}

TEST(MeasureTest, LayersDieWithTheirGateways) {
  const Figures figures = Mean(Way::kLayered, 1000, 1, 3);
  // 50 are killed, the 12 gateways among them: nobody left has a link.
  EXPECT_NEAR(figures.survive_best, 1.0 / 950, 1e-9);
  // Any peer keeps a gateway with a chance of about three quarters.
  EXPECT_GT(figures.survive_random, 0.5);
  EXPECT_LT(figures.survive_random, 0.95);
}

// About 0.996 of the survivors of a random 8-regular graph, 0.953 with degree 5.
TEST(MeasureTest, OursHoldsTogetherAsAnEightRegularGraphDoes) {
  const Figures figures = Mean(Way::kOurs, 200, 1, 2);
  // Of one peer at one moment: eight neighbours, one more of a walk, and links about to go.
  EXPECT_LE(figures.links_max, 14);
  EXPECT_LE(figures.links_mean, 9);
  EXPECT_LE(figures.idle_max, 1200) << "8 links would be 1,000";
  EXPECT_GT(figures.survive_random, 0.98);
  EXPECT_GT(figures.survive_best, 0.999);
}

TEST(MeasureTest, TheSameSeedsGiveTheSameFigures) {
  for (const Way way : kWays) {
    const Figures a = Mean(way, 100, 5, 2), b = Mean(way, 100, 5, 2), c = Mean(way, 100, 6, 2);
    EXPECT_EQ(a.last_ms, b.last_ms) << NameOf(way);
    EXPECT_EQ(a.survive_random, b.survive_random) << NameOf(way);
    EXPECT_NE(a.last_ms, c.last_ms) << NameOf(way);
  }
}

}  // namespace
}  // namespace peermesh::sim::compare
