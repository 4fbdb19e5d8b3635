#include "tests/sim/compare/chart.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace peermesh::sim::compare {
namespace {

using testing::HasSubstr;
using testing::Not;

Row Made(Way way, std::size_t peers, double links) {
  return {way,
          peers,
          {.links_mean = links,
           .links_max = 2 * links,
           .idle_mean = 700,
           .idle_max = 700,
           .median_ms = 50,
           .last_ms = 7162,
           .reached = 1,
           .survive_random = 0.9959,
           .survive_best = 0.5}};
}

TEST(ChartTest, ShowsWhatWasMeasured) {
  const std::string svg = Chart({Made(Way::kOurs, 1000, 8), Made(Way::kRing, 1000, 4)}, 1000, 20);
  EXPECT_THAT(svg, HasSubstr("Five ways to connect 1,000 peers"));
  EXPECT_THAT(svg, HasSubstr("mean of 20 seeds"));
  EXPECT_THAT(svg, HasSubstr(">8, most 16<"));
  EXPECT_THAT(svg, HasSubstr(">700 B/s<"));
  EXPECT_THAT(svg, HasSubstr(">7,162 ms<"));
  EXPECT_THAT(svg, HasSubstr(">99.6 %<")) << "nearly all is not 100 %";
  EXPECT_THAT(svg, HasSubstr("prefers-color-scheme:dark"));
}

TEST(ChartTest, LeavesOutOtherSizes) {
  const std::string svg = Chart({Made(Way::kOurs, 1000, 8), Made(Way::kOurs, 4096, 9)}, 1000, 20);
  EXPECT_THAT(svg, Not(HasSubstr(">9, most 18<")));
}

TEST(ChartTest, TheLargestBarStaysOnThePage) {
  const std::string svg =
      Chart({Made(Way::kFullMesh, 4096, 4095), Made(Way::kOurs, 4096, 8)}, 4096, 20);
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
  EXPECT_THAT(svg, Not(HasSubstr("inf")));
  EXPECT_THAT(svg, HasSubstr("4,095, most 8,190"));
}

}  // namespace
}  // namespace peermesh::sim::compare
