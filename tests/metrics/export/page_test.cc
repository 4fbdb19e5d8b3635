#include "metrics/export/page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <limits>
#include <string>

namespace peermesh::metrics {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr std::array<double, 2> kBounds = {0.5, 1};

TEST(PageTest, RendersCountersGaugesAndHistograms) {
  Page page;
  page.Counter("peermesh_messages_total", "Messages.")
      .Add({{"direction", "in"}}, 3)
      .Add({{"direction", "out"}}, 4);
  page.Gauge("peermesh_links", "Links.").Add(2);
  page.Histogram("peermesh_rtt_seconds", "Round trips.", kBounds)
      .Add({}, std::array<std::uint64_t, 3>{1, 2, 4}, 7.5);
  EXPECT_EQ(page.Text(),
            "# HELP peermesh_messages_total Messages.\n"
            "# TYPE peermesh_messages_total counter\n"
            "peermesh_messages_total{direction=\"in\"} 3\n"
            "peermesh_messages_total{direction=\"out\"} 4\n"
            "# HELP peermesh_links Links.\n"
            "# TYPE peermesh_links gauge\n"
            "peermesh_links 2\n"
            "# HELP peermesh_rtt_seconds Round trips.\n"
            "# TYPE peermesh_rtt_seconds histogram\n"
            "peermesh_rtt_seconds_count 7\n"
            "peermesh_rtt_seconds_sum 7.5\n"
            "peermesh_rtt_seconds_bucket{le=\"0.5\"} 1\n"
            "peermesh_rtt_seconds_bucket{le=\"1\"} 3\n"
            "peermesh_rtt_seconds_bucket{le=\"+Inf\"} 7\n"
            "# HELP peermesh_metrics_conflicts Series left out of this page: named twice, or too "
            "many of one family.\n"
            "# TYPE peermesh_metrics_conflicts gauge\n"
            "peermesh_metrics_conflicts 0\n");
}

TEST(PageTest, ValuesComeOutExactly) {
  Page page;
  page.Gauge("peermesh_a", "A.").Add(9007199254740991.0);
  page.Gauge("peermesh_b", "B.").Add(0.1);
  page.Gauge("peermesh_c", "C.").Add(std::numeric_limits<double>::infinity());
  EXPECT_THAT(page.Text(), HasSubstr("peermesh_a 9007199254740991\n"));
  EXPECT_THAT(page.Text(), HasSubstr("peermesh_b 0.1\n"));
  EXPECT_THAT(page.Text(), HasSubstr("peermesh_c +Inf\n"));
}

TEST(PageTest, TwoSourcesMayFillOneFamily) {
  Page page;
  page.Counter("peermesh_refusals_total", "Refusals.").Add({{"reason", "a"}}, 1);
  page.Gauge("peermesh_links", "Links.").Add(0);
  page.Counter("peermesh_refusals_total", "Refusals.").Add({{"reason", "b"}}, 2);
  EXPECT_THAT(
      page.Text(),
      HasSubstr(
          "peermesh_refusals_total{reason=\"a\"} 1\npeermesh_refusals_total{reason=\"b\"} 2\n"));
}

TEST(PageTest, ASeriesThatComesTwiceIsLeftOutAndCounted) {
  Page page;
  page.Gauge("peermesh_links", "Links.")
      .Add({{"a", "1"}, {"b", "2"}}, 1)
      .Add({{"b", "2"}, {"a", "1"}}, 7)
      .Add({{"a", "1"}}, 2);
  EXPECT_THAT(page.Text(), Not(HasSubstr(" 7\n")));
  EXPECT_THAT(page.Text(), HasSubstr("peermesh_links{a=\"1\"} 2\n"));
  EXPECT_THAT(page.Text(), HasSubstr("peermesh_metrics_conflicts 1\n"));
}

TEST(PageTest, AFamilyHasABound) {
  Page page;
  auto family = page.Gauge("peermesh_links", "Links.");
  for (std::size_t i = 0; i < kMaxSeriesPerFamily + 5; ++i)
    family.Add({{"n", std::to_string(i)}}, 1);
  EXPECT_THAT(page.Text(), HasSubstr("n=\"999\""));
  EXPECT_THAT(page.Text(), Not(HasSubstr("n=\"1000\"")));
  EXPECT_THAT(page.Text(), HasSubstr("peermesh_metrics_conflicts 5\n"));
}

TEST(PageTest, LabelValuesCannotBreakTheFormat) {
  Page page;
  page.Gauge("peermesh_links", "Links.").Add({{"name", "a\"b\\c\nd\xff"}}, 1);
  EXPECT_THAT(page.Text(), HasSubstr("peermesh_links{name=\"a\\\"b\\\\c\\nd?\"} 1\n"));
}

TEST(PageDeathTest, AWrongNameIsABug) {
  Page page;
  EXPECT_DEATH(page.Counter("peermesh_messages", "No _total."), "broken invariant");
  EXPECT_DEATH(page.Gauge("peermesh_links_total", "A gauge."), "broken invariant");
  EXPECT_DEATH(page.Gauge("peermesh-links", "Hyphen."), "broken invariant");
  EXPECT_DEATH(page.Gauge("", "Empty."), "broken invariant");
  EXPECT_DEATH(page.Gauge("peermesh_links", ""), "broken invariant");
  EXPECT_DEATH(page.Gauge("peermesh_links", "Links.").Add({{"le", "1"}}, 1), "broken invariant");
  EXPECT_DEATH(page.Gauge("peermesh_links", "Links.").Add({{"Peer", "1"}}, 1), "broken invariant");
  EXPECT_DEATH(page.Histogram("peermesh_h", "H.", std::array{1.0, 1.0}), "broken invariant");
  EXPECT_DEATH(
      page.Histogram("peermesh_h", "H.", kBounds).Add({}, std::array<std::uint64_t, 2>{}, 0),
      "broken invariant");
  page.Gauge("peermesh_x", "X.");
  EXPECT_DEATH(page.Histogram("peermesh_x", "X.", kBounds), "broken invariant");
}

}  // namespace
}  // namespace peermesh::metrics
