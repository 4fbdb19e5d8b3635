#include "mesh/membership/local_health.h"

#include <gtest/gtest.h>

namespace peermesh::membership {
namespace {

using namespace std::chrono_literals;

void Succeed(LocalHealth& health, int times) {
  for (int i = 0; i < times; ++i) health.Succeeded();
}

TEST(LocalHealthTest, EverySignOfTroubleMakesTimersLonger) {
  LocalHealth health;
  EXPECT_EQ(health.multiplier(), 1);
  health.Missed();
  EXPECT_EQ(health.multiplier(), 2);
  health.Refuted();
  EXPECT_EQ(health.multiplier(), 3);
  health.Lagged(251ms);
  EXPECT_EQ(health.multiplier(), 4);
  health.Lagged(250ms);
  EXPECT_EQ(health.multiplier(), 4) << "as late as any process may be";
}

TEST(LocalHealthTest, ItIsNeverBelowOneNorAboveNine) {
  LocalHealth health;
  Succeed(health, 100);
  EXPECT_EQ(health.multiplier(), 1);
  for (int i = 0; i < 100; ++i) health.Missed();
  EXPECT_EQ(health.multiplier(), 9);
}

TEST(LocalHealthTest, ARoundOfHeartbeatsDoesNotClearIt) {
  LocalHealth health;
  for (int i = 0; i < 3; ++i) health.Missed();
  Succeed(health, 8);
  EXPECT_EQ(health.multiplier(), 3);
  Succeed(health, 7);
  EXPECT_EQ(health.multiplier(), 3);
  Succeed(health, 1);
  EXPECT_EQ(health.multiplier(), 2);
}

TEST(LocalHealthTest, TroubleBetweenSuccessesStartsTheirCountAnew) {
  LocalHealth health;
  health.Missed();
  Succeed(health, 7);
  health.Missed();
  Succeed(health, 7);
  EXPECT_EQ(health.multiplier(), 3);
}

TEST(LocalHealthTest, SuccessesOfAHealthyProcessAreNoCredit) {
  LocalHealth health;
  Succeed(health, 7);
  health.Missed();
  Succeed(health, 1);
  EXPECT_EQ(health.multiplier(), 2);
}

}  // namespace
}  // namespace peermesh::membership
