#include "metrics/ledger/trend.h"

#include <gtest/gtest.h>

namespace peermesh::ledger {
namespace {

using namespace std::chrono_literals;

TEST(TrendTest, MannKendallKnowsUpFromDown) {
  EXPECT_GT(MannKendall({1, 2, 3, 4, 5, 6, 7}), 2.6);
  EXPECT_LT(MannKendall({7, 6, 5, 4, 3, 2, 1}), -2.6);
  EXPECT_EQ(MannKendall({4, 4, 4, 4}), 0);
  // Kendall's own worked form: S = 7 - 3 for this order, n = 5, deviation sqrt(50 / 3).
  EXPECT_NEAR(MannKendall({2, 1, 4, 3, 5}), (6 - 1) / 4.0825, 1e-3);
}

TEST(TrendTest, SomeOfEveryAgeStayBehind) {
  CohortTrend leak, steady, morning;
  for (std::size_t i = 0; i < 20; ++i) {
    leak.Add(3 + i);
    steady.Add(10 + i % 3);
    morning.Add(std::min<std::size_t>(i, 4));
    EXPECT_EQ(leak.rising(), i + 1 >= CohortTrend::kWindow);
    EXPECT_FALSE(steady.rising());
    EXPECT_FALSE(morning.rising());
  }
}

TEST(TrendTest, LittlesLawFollowsTheLoadAndSeesTheLeak) {
  LittlesLaw law;
  Time now{1h};
  std::uint64_t acquired = 0, released = 0, age = 0;
  const auto minute = [&](std::uint64_t arrivals, std::uint64_t leaked) {
    now += 60s;
    acquired += arrivals;
    released += arrivals - leaked;
    age += (arrivals - leaked) * 30'000;
    law.Add(now, acquired, released, age, acquired - released + arrivals / 2);
  };
  for (int i = 0; i < 240; ++i) {
    minute(i < 120 ? 100 : 2000, 0);
    EXPECT_FALSE(law.broken(now)) << i;
  }
  int minutes = 0;
  for (; !law.broken(now) && minutes < 500; ++minutes) minute(2000, 60);
  EXPECT_LT(minutes, 150);
  EXPECT_NEAR(*law.broken(now), 2000 / 60.0 * 30, 50);
}

}  // namespace
}  // namespace peermesh::ledger
