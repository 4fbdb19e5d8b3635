#include "mesh/flow/pressure.h"

#include <gtest/gtest.h>

#include "mesh/base/rng.h"

namespace peermesh::flow {
namespace {

using namespace std::chrono_literals;
using State = Pressure::State;

constexpr std::uint64_t kLimit = 1000;
constexpr std::uint64_t kHalf = kLimit / 2;
constexpr Instant At(Duration since_start) { return Instant(since_start); }

TEST(PressureTest, HoldsFromHalfFullAndOpensBelow) {
  Pressure pressure(kLimit);
  EXPECT_FALSE(pressure.Update(At(0s), kHalf - 1, {}));
  EXPECT_EQ(pressure.state(), State::kOpen);
  EXPECT_EQ(pressure.NextWake(), kNever);
  EXPECT_FALSE(pressure.Update(At(1s), kHalf, {}));
  EXPECT_TRUE(pressure.holding());
  EXPECT_EQ(pressure.NextWake(), At(1s) + kHoldBack);
  EXPECT_TRUE(pressure.Update(At(1s) + 10ms, kHalf - 1, {})) << "senders may try again";
  EXPECT_EQ(pressure.state(), State::kOpen);
  EXPECT_EQ(pressure.NextWake(), kNever);
}

TEST(PressureTest, TurnsSlowWhenItsHoldBackIsUsedUpAndStaysSoUntilHalfEmpty) {
  Pressure pressure(kLimit);
  pressure.Update(At(0s), 900, {});
  EXPECT_FALSE(pressure.Update(At(99ms), 900, {}));
  EXPECT_TRUE(pressure.Update(At(100ms), 900, {})) << "senders go on";
  EXPECT_EQ(pressure.state(), State::kSlow);
  EXPECT_EQ(pressure.NextWake(), kNever);
  EXPECT_FALSE(pressure.Update(At(10s), kHalf, {})) << "half full is not below half";
  EXPECT_EQ(pressure.state(), State::kSlow);
  EXPECT_FALSE(pressure.Update(At(10s), kHalf - 1, {})) << "it did not hold";
  EXPECT_EQ(pressure.state(), State::kOpen);
}

TEST(PressureTest, OnlyASlowQueueIsOverfull) {
  Pressure pressure(kLimit);
  pressure.Update(At(0s), kLimit + 1, {});
  EXPECT_FALSE(pressure.overfull(kLimit + 1)) << "it holds; nothing more comes";
  pressure.Update(At(100ms), kLimit + 1, {});
  EXPECT_TRUE(pressure.overfull(kLimit + 1));
  EXPECT_FALSE(pressure.overfull(kLimit));
  EXPECT_EQ(pressure.half(), kHalf);
}

TEST(PressureTest, HoldBackIsRationedOverAnySecond) {
  Pressure pressure(kLimit);
  pressure.Update(At(0ms), kHalf, {});
  pressure.Update(At(60ms), 0, {});
  pressure.Update(At(500ms), kHalf, {});
  EXPECT_EQ(pressure.NextWake(), At(540ms)) << "60 of the 100 ms are gone";
  pressure.Update(At(540ms), kHalf, {});
  EXPECT_EQ(pressure.state(), State::kSlow);
  pressure.Update(At(600ms), 0, {});
  pressure.Update(At(700ms), kHalf, {});
  EXPECT_EQ(pressure.state(), State::kSlow) << "nothing is left: slow at once";
  pressure.Update(At(1000ms), 0, {});
  pressure.Update(At(1100ms), kHalf, {});
  EXPECT_EQ(pressure.NextWake(), At(1160ms)) << "the first 60 ms came back at 1,060";
}

TEST(PressureTest, BlockHoldsForItsOwnTimeoutWithoutABreak) {
  Pressure pressure(kLimit);
  pressure.Update(At(0s), kHalf, 5s);
  EXPECT_EQ(pressure.NextWake(), At(5s));
  pressure.Update(At(4s), kLimit, 5s);
  EXPECT_EQ(pressure.NextWake(), At(5s)) << "counted from the start";
  EXPECT_TRUE(pressure.Update(At(5s), kLimit, 5s));
  EXPECT_EQ(pressure.state(), State::kSlow);
}

TEST(PressureTest, BlockBeginsAnewWheneverTheQueueWasBelowHalf) {
  Pressure pressure(kLimit);
  for (Duration at{}; at < 100s; at += 4s) {
    pressure.Update(At(at), kHalf, 5s);
    ASSERT_TRUE(pressure.holding());
    ASSERT_TRUE(pressure.Update(At(at + 4s - 1us), kHalf - 1, 5s));
  }
}

TEST(PressureTest, ReadersThatAskForMoreOrLessMoveTheDeadline) {
  Pressure pressure(kLimit);
  pressure.Update(At(0s), kHalf, {});
  EXPECT_EQ(pressure.NextWake(), At(100ms));
  pressure.Update(At(50ms), kHalf, 2s);
  EXPECT_EQ(pressure.NextWake(), At(2s));
  EXPECT_TRUE(pressure.Update(At(1s), kHalf, {})) << "the one that asked for it went";
  EXPECT_EQ(pressure.state(), State::kSlow);
}

TEST(PressureTest, HoldsAtMostATenthOfTheTimeWhateverHappens) {
  Rng rng({3, 1, 4, 1});
  Pressure pressure(kLimit);
  struct Spell {
    Instant from, to;
  };
  std::vector<Spell> spells;
  Instant now{};
  for (int step = 0; step < 20'000; ++step) {
    const Duration pause(rng.Below(30'000));
    const Instant due = std::min(now + pause, pressure.NextWake());
    const bool held = pressure.holding();
    const Instant before = now;
    now = due;
    pressure.Update(now, rng.Below(kLimit), {});
    if (held) spells.push_back({before, now});
  }
  ASSERT_GT(spells.size(), 1000u);
  for (std::size_t first = 0; first < spells.size(); ++first) {
    Duration sum{};
    for (std::size_t i = first;
         i < spells.size() && spells[i].from < spells[first].from + kHoldBackWindow; ++i) {
      sum += std::min(spells[i].to, spells[first].from + kHoldBackWindow) - spells[i].from;
    }
    ASSERT_LE(sum, kHoldBack) << "in the second from spell " << first;
  }
}

TEST(PressureDeathTest, AnUnboundedBlockStopsTheProcess) {
  Pressure pressure(kLimit);
  EXPECT_DEATH(pressure.Update(At(0s), 0, kMaxBlockTimeout + 1us), "kMaxBlockTimeout");
}

}  // namespace
}  // namespace peermesh::flow
