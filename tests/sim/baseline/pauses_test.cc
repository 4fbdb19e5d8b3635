#include "tests/sim/baseline/pauses.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

namespace peermesh::sim::baseline {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(PausesTest, EachPausedMemberStandsStillAndRunsByTurnsWithinTheBounds) {
  const PausePlan plan{.paused = 16};
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    std::map<std::uint32_t, Instant> ran_from;
    Instant last{};
    for (const Pause& pause : DrawPauses(plan, seed)) {
      EXPECT_GE(pause.from, last) << "not in order of time";
      last = pause.from;
      const auto [place, first] = ran_from.try_emplace(pause.member, plan.start);
      EXPECT_GE(pause.from - place->second, plan.running_least);
      EXPECT_LE(pause.from - place->second, plan.running_most);
      EXPECT_LE(pause.until - pause.from, plan.pause_most);
      EXPECT_LE(pause.until, plan.end());
      if (pause.until < plan.end()) {
        EXPECT_GE(pause.until - pause.from, plan.pause_least);
      }
      place->second = pause.until;
    }
    EXPECT_EQ(ran_from.size(), 16u);
    for (const auto& [member, since] : ran_from) EXPECT_GT(since + seconds(2), plan.end());
  }
}

TEST(PausesTest, ShortAndLongPausesAreAboutAsLikely) {
  std::size_t all = 0, below_a_second = 0, above_eight = 0;
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    for (const Pause& pause : DrawPauses({.paused = 8}, seed)) {
      ++all;
      below_a_second += pause.until - pause.from < seconds(1) ? 1 : 0;
      above_eight += pause.until - pause.from > seconds(8) ? 1 : 0;
    }
  }
  EXPECT_GT(below_a_second * 4, all);
  EXPECT_GT(above_eight * 8, all);
}

TEST(PausesTest, TheSeedDecidesAndMorePausedMembersChangeNothingForTheOthers) {
  const auto of = [](std::uint32_t paused, std::uint64_t seed) {
    std::map<std::uint32_t, std::vector<Pause>> by_member;
    for (const Pause& pause : DrawPauses({.paused = paused}, seed)) {
      by_member[pause.member].push_back(pause);
    }
    return by_member;
  };
  EXPECT_EQ(of(4, 1), of(4, 1));
  EXPECT_NE(of(4, 1), of(4, 2));
  const auto few = of(4, 1), many = of(32, 1);
  for (const auto& [member, pauses] : few) {
    ASSERT_TRUE(many.contains(member));
    EXPECT_EQ(many.at(member), pauses);
  }
}

TEST(PausesTest, WhoCrashesIsNeverPaused) {
  const PausePlan plan{.paused = 32};
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    std::set<std::uint32_t> paused, crashed;
    for (const Pause& pause : DrawPauses(plan, seed)) paused.insert(pause.member);
    for (const Crash& crash : DrawCrashes(plan, 10, seed)) {
      EXPECT_FALSE(paused.contains(crash.member));
      EXPECT_GE(crash.when, plan.start);
      EXPECT_LE(crash.when, plan.end());
      crashed.insert(crash.member);
    }
    EXPECT_EQ(crashed.size(), 10u);
  }
}

TEST(PausesTest, HealthyIsWhoNeitherStandsStillNorDidSoALittleWhileAgo) {
  const auto at = [](int s) { return Instant(seconds(s)); };
  const Health health(3, {{1, at(10), at(20)}}, {{2, at(30)}});
  const Duration grace = seconds(5);
  EXPECT_TRUE(health.Healthy(1, at(9), grace));
  EXPECT_FALSE(health.Healthy(1, at(10), grace));
  EXPECT_FALSE(health.Healthy(1, at(24), grace));
  EXPECT_TRUE(health.Healthy(1, at(25), grace));
  EXPECT_TRUE(health.Healthy(2, at(29), grace));
  EXPECT_FALSE(health.Healthy(2, at(30), grace));
  EXPECT_FALSE(health.Healthy(2, at(900), grace));
  EXPECT_TRUE(health.Healthy(0, at(15), grace));
}

}  // namespace
}  // namespace peermesh::sim::baseline
