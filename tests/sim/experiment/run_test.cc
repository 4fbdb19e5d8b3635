#include "tests/sim/experiment/run.h"

#include <gtest/gtest.h>

#include <string>

namespace peermesh::sim::experiment {
namespace {

Outcome Ran(const std::string& text, std::uint64_t seed = 1) {
  const auto experiment = ParseExperiment("test", text);
  EXPECT_TRUE(experiment.ok()) << experiment.status();
  Outcome outcome = RunPlan(experiment->plans.at(0), seed);
  for (const std::string& failure : outcome.failures) ADD_FAILURE() << failure;
  return outcome;
}

double Of(const Outcome& outcome, const std::string& figure) {
  const auto value = outcome.figures.Find(figure);
  EXPECT_TRUE(value.has_value()) << figure << " was not measured";
  return value.value_or(-1);
}

constexpr const char* kOverlay =
    "peers 40\nshape full-mesh 0 active 5 passive 30\nlatency 1ms..5ms\n"
    "join every 20ms through 3 seeds\nwait 60s\n";

TEST(RunTest, FortyPeersBecomeOneGraph) {
  const Outcome outcome = Ran(std::string(kOverlay) + "measure graph");
  EXPECT_EQ(Of(outcome, "components"), 1);
  EXPECT_EQ(Of(outcome, "asymmetric"), 0);
  EXPECT_GE(Of(outcome, "degree_min"), 2);
  EXPECT_GT(Of(outcome, "path_mean"), 1.5);
  EXPECT_GT(outcome.peer_seconds, 40 * 60.0);
  EXPECT_FALSE(outcome.curves.degrees.empty());
}

TEST(RunTest, TheSameSeedGivesTheSameDigestAndAnotherOneDoesNot) {
  const std::string text = std::string(kOverlay) + "kill 3\nwait 20s";
  EXPECT_EQ(Ran(text).digest, Ran(text).digest);
  EXPECT_NE(Ran(text).digest, Ran(text, 2).digest);
}

TEST(RunTest, ABroadcastReachesEverybodyOverSeveralLinks) {
  const Outcome outcome =
      Ran(std::string(kOverlay) + "broadcast every 1s for 6 rounds warm-up 2 size 300 from one");
  EXPECT_EQ(Of(outcome, "missed"), 0);
  EXPECT_EQ(Of(outcome, "delivered[6]"), 1);
  EXPECT_GE(Of(outcome, "hops_last"), 2) << "40 peers are not all neighbours of one";
  EXPECT_GE(Of(outcome, "redundancy"), 0);
  EXPECT_LT(Of(outcome, "redundancy"), 0.5) << "after two rounds there is a tree";
  EXPECT_GT(Of(outcome, "last_mean"), 0.001);
  EXPECT_TRUE(outcome.curves.rounds.empty()) << "nobody failed";
  EXPECT_EQ(outcome.curves.reach.back().second, 1);
}

TEST(RunTest, WhoIsLateIsNotCountedAsDelivered) {
  const Outcome outcome =
      Ran(std::string(kOverlay) + "vanish 50%\nbroadcast every 1s for 2 rounds within 1ms");
  EXPECT_EQ(Of(outcome, "survivors"), 20);
  EXPECT_LT(Of(outcome, "delivered"), 1) << "nobody is so quick";
  EXPECT_EQ(outcome.curves.rounds.size(), 2u);
}

TEST(RunTest, CrashesAreFoundByEverybodyWhoKnewThem) {
  const Outcome outcome =
      Ran("peers 12\nlatency 1ms..5ms\njoin every 20ms through 3 seeds\nwait 30s\n"
          "crash 2 every 8s");
  EXPECT_EQ(Of(outcome, "undetected"), 0);
  EXPECT_EQ(Of(outcome, "healthy_removed"), 0);
  EXPECT_GT(Of(outcome, "detect_first_p50"), 1);
  EXPECT_GE(Of(outcome, "detect_p99"), Of(outcome, "detect_p50"));
  EXPECT_LT(Of(outcome, "detect_max"), 8);
}

TEST(RunTest, ResetConnectionsTellSoonerThanSilence) {
  const Outcome outcome =
      Ran("peers 12\nlatency 1ms..5ms\njoin every 20ms through 3 seeds\nwait 30s\n"
          "crash 2 every 8s reset");
  EXPECT_LT(Of(outcome, "detect_p99"), 2);
}

TEST(RunTest, GrowthUnderLoadLosesNothing) {
  const Outcome outcome =
      Ran("peers 12\nlatency 1ms..5ms\njoin 2 every 100ms\nload 20/s size 100\nwait 15s\n"
          "join 10 every 500ms\nwait 20s\nbalance after 10s");
  EXPECT_GT(Of(outcome, "accepted"), 500);
  EXPECT_GT(Of(outcome, "came"), 3000);
  EXPECT_EQ(Of(outcome, "missing"), 0);
  EXPECT_EQ(Of(outcome, "repeated"), 0);
}

TEST(RunTest, ASplitIsSeenAndHeals) {
  const Outcome outcome = Ran(std::string(kOverlay) + "split 50% for 1min heal within 60s");
  EXPECT_GE(Of(outcome, "components_while_split"), 2);
  EXPECT_EQ(Of(outcome, "components"), 1);
  EXPECT_EQ(Of(outcome, "forgotten"), 0);
}

TEST(RunTest, PausedMembersAreComparedWithClassicSwim) {
  const Outcome outcome =
      Ran("peers 20\nlatency 1ms..5ms\njoin every 20ms through 3 seeds\nwait 30s\n"
          "pause 4 for 30s");
  EXPECT_GE(Of(outcome, "classic_false_deaths"), 0);
  EXPECT_GE(Of(outcome, "false_beliefs"), Of(outcome, "false_deaths"));
}

TEST(RunTest, TheContactIsWatchedFromTheFirstMoment) {
  const Outcome outcome =
      Ran("peers 30\nshape full-mesh 0 active 5 passive 30\nlatency 1ms..5ms\nwatch contact\n"
          "join within 100ms through 1 seed\nwait 60s\nmeasure graph");
  EXPECT_GT(Of(outcome, "contact_links_max"), 0);
  EXPECT_LE(Of(outcome, "contact_links_max"), 12);
  EXPECT_GE(Of(outcome, "contact_open_max"), Of(outcome, "contact_links_max"));
}

TEST(RunTest, SpeedAndMemoryAreMeasured) {
  const Outcome outcome = Ran(std::string(kOverlay) + "measure memory\nmeasure speed 10s");
  EXPECT_GT(Of(outcome, "bytes_per_peer"), 1000);
  EXPECT_GT(Of(outcome, "bytes_beside_table"), 1000);
  EXPECT_LT(Of(outcome, "bytes_beside_table"), Of(outcome, "bytes_per_peer") - 1000);
  EXPECT_GT(Of(outcome, "rows_per_peer"), 10);
  EXPECT_GT(Of(outcome, "peer_seconds_per_core_second"), 0);
}

}  // namespace
}  // namespace peermesh::sim::experiment
