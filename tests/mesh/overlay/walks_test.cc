#include "mesh/overlay/walks.h"

#include <gtest/gtest.h>

#include "mesh/overlay/pace.h"
#include "tests/mesh/overlay/network.h"

namespace peermesh::overlay {
namespace {

using namespace std::chrono_literals;
using testing::PeerOf;

class WalksTest : public ::testing::Test {
 protected:
  ~WalksTest() override { walks.CheckInvariants(); }
  Walks walks;
  Instant now{1h};
};

TEST_F(WalksTest, TheAnswerGoesBackOnce) {
  ASSERT_TRUE(walks.Remember(now, 1, PeerOf(5)));
  EXPECT_EQ(walks.TakeBack(now, 1), PeerOf(5));
  EXPECT_FALSE(walks.TakeBack(now, 1));
  EXPECT_FALSE(walks.TakeBack(now, 2)) << "never heard of it";
}

TEST_F(WalksTest, AWalkIsSeenOnceUntilItIsForgotten) {
  ASSERT_TRUE(walks.Remember(now, 1, PeerOf(5)));
  EXPECT_FALSE(walks.Remember(now, 1, PeerOf(6)));
  now += kWalkMemory;
  EXPECT_FALSE(walks.TakeBack(now, 1)) << "too late";
  EXPECT_TRUE(walks.Remember(now, 1, PeerOf(6)));
}

TEST_F(WalksTest, AFloodFillsTheShareOfItsSenderOnly) {
  std::uint64_t walk = 0, taken = 0;
  for (int i = 0; i < 1000; ++i) taken += walks.Remember(now, ++walk, PeerOf(1)) ? 1 : 0;
  EXPECT_EQ(taken, kMostWalksOfOne);
  EXPECT_TRUE(walks.Remember(now, ++walk, PeerOf(2)));
}

TEST_F(WalksTest, NoMoreAreRememberedThanAllowed) {
  std::uint64_t taken = 0;
  for (std::size_t i = 0; i < 1000; ++i) taken += walks.Remember(now, i, PeerOf(i)) ? 1 : 0;
  EXPECT_EQ(taken, kMostWalks);
}

TEST(PaceTest, AnIdleSpellGivesOneBurstNotTwo) {
  Pace pace;
  Instant now{1h};
  int taken = 0;
  for (int i = 0; i < 10; ++i) taken += pace.TryTake(now, 1s, 3) ? 1 : 0;
  EXPECT_EQ(taken, 3);
  EXPECT_FALSE(pace.TryTake(now + 999ms, 1s, 3));
  EXPECT_TRUE(pace.TryTake(now + 1s, 1s, 3));
  EXPECT_FALSE(pace.TryTake(now + 1s, 1s, 3));
}

}  // namespace
}  // namespace peermesh::overlay
