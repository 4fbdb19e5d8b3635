#include "tests/sim/experiment/verdict.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/sim/experiment/chart.h"
#include "tests/sim/experiment/report.h"

namespace peermesh::sim::experiment {
namespace {

using testing::HasSubstr;
using testing::Not;

Experiment Parse(const std::string& bounds) {
  auto experiment = ParseExperiment(
      "test", "# Title.\ncases name small full-a full-b\npeers 5\nwait 1s\n" + bounds);
  EXPECT_TRUE(experiment.ok()) << experiment.status();
  return *std::move(experiment);
}

Outcome Ran(const std::string& plan, std::uint64_t seed, double x, double y = 1) {
  Outcome outcome;
  outcome.plan = plan;
  outcome.seed = seed;
  outcome.figures.Set("x", x);
  outcome.figures.Set("y", y);
  outcome.figures.Set("x[1]", x);
  return outcome;
}

bool Holds(const std::string& bounds, const std::vector<Outcome>& outcomes) {
  return AllHold(Judge(Parse(bounds), outcomes));
}

TEST(VerdictTest, AMeanMayHoldWhereARunDoesNot) {
  const std::vector<Outcome> runs{Ran("small", 1, 1), Ran("small", 2, 3)};
  EXPECT_TRUE(Holds("mean x 1.9..2.1", runs));
  EXPECT_FALSE(Holds("each x 1.9..2.1", runs));
  EXPECT_TRUE(Holds("each x 1..3", runs));
  EXPECT_FALSE(Holds("mean x at most 1.99", runs));
  EXPECT_FALSE(Holds("mean x at least 2.01", runs));
}

TEST(VerdictTest, BoundsAreForTheCasesTheyName) {
  const std::vector<Outcome> runs{Ran("small", 1, 1), Ran("full-a", 1, 10), Ran("full-b", 1, 11)};
  EXPECT_TRUE(Holds("each x 10..11 at full", runs));
  EXPECT_FALSE(Holds("each x 10 at full", runs));
  EXPECT_FALSE(Holds("each x 10..11", runs));
  EXPECT_TRUE(Holds("each x 1 at small", {Ran("full-a", 1, 10)})) << "that case was not run";
}

TEST(VerdictTest, WhatIsRequiredAndNotMeasuredFails) {
  EXPECT_FALSE(Holds("each z 1", {Ran("small", 1, 1)}));
  const auto rows = Judge(Parse("each z 1"), {Ran("small", 1, 1)});
  EXPECT_THAT(Table(rows), HasSubstr("NO    each 1"));
}

TEST(VerdictTest, ABoundMayBeAMultipleOfAnotherFigure) {
  EXPECT_TRUE(Holds("mean x at most 0.1 of y", {Ran("small", 1, 1, 10)}));
  EXPECT_FALSE(Holds("mean x at most 0.1 of y", {Ran("small", 1, 1.1, 10)}));
  EXPECT_TRUE(Holds("mean x at most 0.1 of y", {Ran("small", 1, 0, 0)})) << "none of either";
}

TEST(VerdictTest, TotalsAreOverTheMeansOfAllCases) {
  const std::vector<Outcome> runs{Ran("small", 1, 0, 50), Ran("small", 2, 2, 50),
                                  Ran("full-a", 1, 1, 50)};
  EXPECT_TRUE(Holds("total x at most 0.02 of y", runs));
  EXPECT_FALSE(Holds("total x at most 0.019 of y", runs));
}

TEST(VerdictTest, EveryFigureHasARowAndRoundsOnlyIfSomethingIsRequiredOfThem) {
  const std::vector<Outcome> runs{Ran("small", 1, 0.25)};
  const std::string table = Table(Judge(Parse("mean y 1"), runs));
  EXPECT_THAT(table, HasSubstr("small  x             0.25"));
  EXPECT_THAT(table, HasSubstr("yes   mean 1"));
  EXPECT_THAT(table, Not(HasSubstr("x[1]")));
  EXPECT_THAT(Table(Judge(Parse("mean x[1] 1"), runs)), HasSubstr("x[1]"));
  EXPECT_THAT(RunLine(runs[0]), HasSubstr("seed 1 small: x 0.25, y 1,"));
}

TEST(VerdictTest, JsonHasEveryRunAndEveryRow) {
  const Experiment experiment = Parse("mean x 2..3\neach y 1");
  const std::vector<Outcome> runs{Ran("small", 1, 1), Ran("small", 2, 3)};
  const auto json = ToJson(experiment, runs, Judge(experiment, runs));
  EXPECT_EQ(json["ok"], true);
  EXPECT_EQ(json["runs"].size(), 2u);
  EXPECT_EQ(json["runs"][1]["figures"]["x"], 3);
  EXPECT_EQ(json["figures"][0]["mean"], 2);
  EXPECT_EQ(json["figures"][0]["required"], "mean 2..3");
}

TEST(VerdictTest, QuantilesAreValuesThatWereMeasured) {
  std::vector<double> values{5, 1, 4, 2, 3};
  EXPECT_EQ(Quantile(values, 0.5), 3);
  EXPECT_EQ(Quantile(values, 0.99), 5);
  EXPECT_EQ(Quantile(values, 0.0), 1);
  std::vector<double> none;
  EXPECT_EQ(Quantile(none, 0.5), 0);
}

TEST(VerdictTest, AChartHasAPanelForEachCurveThatThereIs) {
  Outcome outcome = Ran("small", 1, 1);
  outcome.curves.reach = {{0, 0}, {0.1, 0.5}, {0.2, 1}};
  outcome.curves.degrees = {{7, 10}, {8, 80}, {9, 10}};
  const std::string chart = Chart(Parse("each y 1"), {outcome});
  EXPECT_THAT(chart, HasSubstr("Title."));
  EXPECT_THAT(chart, HasSubstr("Peers that have the message"));
  EXPECT_THAT(chart, HasSubstr("Peers with so many neighbours"));
  EXPECT_THAT(chart, Not(HasSubstr("each round")));
}

}  // namespace
}  // namespace peermesh::sim::experiment
