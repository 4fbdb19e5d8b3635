#include "client/backoff.h"

#include <gtest/gtest.h>

namespace peermesh::client {
namespace {

TEST(BackoffTest, DoublesUpToItsLimitLessAtMostAHalf) {
  Backoff backoff;
  for (Duration most = kReconnectMin; most < 4 * kReconnectMax; most *= 2) {
    const Duration bound = std::min(most, kReconnectMax);
    const Duration wait = backoff.Next(Duration::zero());
    EXPECT_LE(wait, bound);
    EXPECT_GE(wait, bound / 2);
  }
  backoff.Reset();
  EXPECT_LE(backoff.Next(Duration::zero()), kReconnectMin);
}

TEST(BackoffTest, WaitsAtLeastAsLongAsItIsAskedTo) {
  Backoff backoff;
  EXPECT_EQ(backoff.Next(3 * kReconnectMax), 3 * kReconnectMax);
}

}  // namespace
}  // namespace peermesh::client
