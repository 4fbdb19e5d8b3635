#include "mesh/routing/numbering.h"

#include <gtest/gtest.h>

#include <array>
#include <optional>

#include "mesh/base/rng.h"

namespace peermesh::routing {
namespace {

PeerId Peer(std::uint8_t number) {
  PeerId id;
  id.bytes[0] = number;
  return id;
}
using Hole = Receipts::Hole;

TEST(ChannelNumbersTest, NumbersBeginAtOneAndCountPerChannel) {
  ChannelNumbers numbers;
  EXPECT_EQ(numbers.Take(3), 1u);
  EXPECT_EQ(numbers.Take(3), 2u);
  EXPECT_EQ(numbers.Take(4), 1u);
  EXPECT_EQ(numbers.next(3), 3u);
  numbers.Set(3, 10);
  EXPECT_EQ(numbers.Take(3), 10u);
}

TEST(ChannelNumbersTest, ACopyCountsOnItsOwn) {
  ChannelNumbers numbers;
  numbers.Set(7, 4);
  ChannelNumbers copy = numbers;
  EXPECT_EQ(copy.Take(7), 4u);
  EXPECT_EQ(copy.Take(63), 1u);
  EXPECT_EQ(numbers.next(7), 4u);
  EXPECT_EQ(numbers.next(63), 1u);
}

TEST(ChannelNumbersTest, ChannelsThatAreNotUsedTakeNothing) {
  EXPECT_LE(sizeof(ChannelNumbers), 8u) << "every link has two";
}

TEST(SparseNumbersTest, IsAnArrayInWhateverOrderChannelsAreUsed) {
  Rng rng({2, 7, 1, 8});
  for (int run = 0; run < 20; ++run) {
    SparseNumbers numbers;
    std::array<std::optional<std::uint64_t>, kChannels> like;
    for (int step = 0; step < 300; ++step) {
      const auto channel = static_cast<std::uint32_t>(rng.Below(kChannels));
      const std::uint64_t value = rng.Next();
      if (!like[channel]) {
        ASSERT_EQ(numbers.Find(channel), nullptr);
        ASSERT_EQ(numbers.At(channel, 9), 9u);
      }
      numbers.At(channel, 9) = value;
      like[channel] = value;
      for (std::uint32_t i = 0; i < kChannels; ++i) {
        ASSERT_EQ(numbers.Find(i) != nullptr, like[i].has_value());
        if (like[i]) {
          ASSERT_EQ(*numbers.Find(i), *like[i]);
        }
      }
    }
  }
}

TEST(ChannelNumbersDeathTest, NumbersNeverGoBack) {
  ChannelNumbers numbers;
  numbers.Set(0, 5);
  EXPECT_DEATH(numbers.Set(0, 4), "next >= now");
  EXPECT_DEATH(numbers.Take(kChannels), "kChannels");
}

class ReceiptsTest : public testing::Test {
 protected:
  void SetUp() override { EXPECT_FALSE(receipts.Begin(origin, 1)); }
  const PeerId origin = Peer(1);
  Receipts receipts;
};

TEST_F(ReceiptsTest, WhatCameBeforeTheFirstWordIsNoLoss) {
  EXPECT_EQ(receipts.Expect(origin, 0, 100), std::nullopt);
  EXPECT_TRUE(receipts.Of(origin, 0).Accept(100));
}

TEST_F(ReceiptsTest, ARunThatBeginsLaterRevealsAHoleOnce) {
  receipts.Expect(origin, 0, 1);
  EXPECT_TRUE(receipts.Of(origin, 0).Accept(1));
  EXPECT_EQ(receipts.Expect(origin, 0, 5), (Hole{2, 4}));
  EXPECT_EQ(receipts.Expect(origin, 0, 5), std::nullopt);
  EXPECT_EQ(receipts.Expect(origin, 1, 5), std::nullopt) << "another channel";
}

TEST_F(ReceiptsTest, WhatCameAnotherWayIsSettledUnlessSomethingBeforeItIsOpen) {
  receipts.Expect(origin, 0, 1);
  receipts.Follow(origin, 1, 0, 1, 4);
  EXPECT_EQ(receipts.Next(origin, 0), 4u);
  receipts.Follow(origin, 1, 0, 6, 8);
  EXPECT_EQ(receipts.Next(origin, 0), 4u) << "4 and 5 are open";
  receipts.Follow(origin, 2, 0, 4, 6);
  receipts.Follow(Peer(2), 1, 0, 1, 6);
  EXPECT_EQ(receipts.Next(origin, 0), 4u) << "another process, and an unknown one";
  EXPECT_EQ(receipts.Lose(origin, 0, 1, 6), (Hole{4, 5}));
  receipts.Follow(origin, 1, 1, 1, 4);
  EXPECT_EQ(receipts.Next(origin, 1), 0u) << "nothing is known of this channel";
}

TEST_F(ReceiptsTest, AChannelThatBeginsAtOneIsNotOneThatNothingIsKnownOf) {
  receipts.Expect(origin, 0, 1);
  EXPECT_EQ(receipts.Expect(origin, 0, 3), (Hole{1, 2})) << "its first ones are lost";
  EXPECT_EQ(receipts.Expect(origin, 1, 3), std::nullopt);
  receipts.Settle(origin, 2, 1);
  EXPECT_EQ(receipts.Lose(origin, 2, 1, 2), (Hole{1, 1}));
}

TEST_F(ReceiptsTest, AnExpectationOnlyAskedForChangesNothing) {
  receipts.Expect(origin, 0, 1);
  const std::uint64_t before = receipts.Digest();
  receipts.Of(origin, 0);
  receipts.Of(origin, 1);
  EXPECT_EQ(receipts.Digest(), before);
  auto expectation = receipts.Of(origin, 0);
  for (std::uint64_t number = 1; number < 5; ++number) EXPECT_TRUE(expectation.Accept(number));
  EXPECT_FALSE(expectation.Accept(4));
  EXPECT_EQ(receipts.Expect(origin, 0, 5), std::nullopt);
}

TEST_F(ReceiptsTest, ANumberSeenBeforeIsARepeat) {
  EXPECT_TRUE(receipts.Of(origin, 0).Accept(7));
  EXPECT_FALSE(receipts.Of(origin, 0).Accept(7));
  EXPECT_FALSE(receipts.Of(origin, 0).Accept(3));
  EXPECT_TRUE(receipts.Of(origin, 0).Accept(9)) << "8 was skipped by its run";
}

TEST_F(ReceiptsTest, SettledNumbersAreNeitherExpectedNorAccepted) {
  receipts.Settle(origin, 0, 10);
  EXPECT_FALSE(receipts.Of(origin, 0).Accept(9));
  receipts.Settle(origin, 0, 5);
  EXPECT_EQ(receipts.Expect(origin, 0, 10), std::nullopt) << "settling never goes back";
}

TEST_F(ReceiptsTest, OfALossOnlyWhatWasNotSeenIsReported) {
  EXPECT_EQ(receipts.Lose(origin, 0, 1, 1), std::nullopt) << "nothing is lost";
  EXPECT_EQ(receipts.Lose(origin, 0, 1, 4), (Hole{1, 3})) << "the very first ones";
  receipts.Settle(origin, 0, 10);
  EXPECT_EQ(receipts.Lose(origin, 0, 1, 10), std::nullopt);
  EXPECT_EQ(receipts.Lose(origin, 0, 1, 13), (Hole{10, 12}));
  EXPECT_EQ(receipts.Lose(origin, 0, 1, 13), std::nullopt);
}

TEST_F(ReceiptsTest, ANewEpochStartsOverAndTheSameOneDoesNot) {
  receipts.Of(origin, 0).Accept(50);
  EXPECT_TRUE(receipts.Begin(origin, 1));
  EXPECT_FALSE(receipts.Of(origin, 0).Accept(50));
  EXPECT_FALSE(receipts.Begin(origin, 2));
  EXPECT_TRUE(receipts.Of(origin, 0).Accept(1));
}

TEST_F(ReceiptsTest, OriginsDoNotKnowOfEachOther) {
  receipts.Begin(Peer(2), 1);
  EXPECT_TRUE(receipts.Of(origin, 0).Accept(5));
  EXPECT_TRUE(receipts.Of(Peer(2), 0).Accept(1));
  EXPECT_EQ(receipts.size(), 2u);
  receipts.Forget(origin);
  EXPECT_EQ(receipts.size(), 1u);
}

TEST_F(ReceiptsTest, TheDigestTellsStatesApart) {
  const std::uint64_t before = receipts.Digest();
  receipts.Of(origin, 0).Accept(1);
  EXPECT_NE(receipts.Digest(), before);
}

TEST_F(ReceiptsTest, AnUnknownOriginStopsTheProcess) {
  EXPECT_DEATH(receipts.Of(Peer(9), 0).Accept(1), "end");
  EXPECT_DEATH(receipts.Expect(origin, 0, 0), "first > 0");
}

TEST(BaselinesTest, AnAccountBeginsWithTheFirstLinkToAProcess) {
  Baselines baselines;
  ChannelNumbers numbers;
  numbers.Set(5, 10);
  baselines.Begin(Peer(1), 1, numbers);
  numbers.Set(5, 20);
  baselines.Begin(Peer(1), 1, numbers);
  EXPECT_EQ(baselines.Of(Peer(1)).next(5), 10u) << "a later link continues it";
  baselines.Begin(Peer(1), 2, numbers);
  EXPECT_EQ(baselines.Of(Peer(1)).next(5), 20u) << "a new process begins anew";
  baselines.Forget(Peer(1));
  EXPECT_EQ(baselines.size(), 0u);
  EXPECT_DEATH(baselines.Of(Peer(1)), "end");
}

}  // namespace
}  // namespace peermesh::routing
