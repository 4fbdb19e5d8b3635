#include "mesh/limits/gcra.h"

#include <gtest/gtest.h>

#include <deque>
#include <limits>

#include "mesh/base/rng.h"

namespace peermesh::limits {
namespace {

using namespace std::chrono_literals;

class GcraTest : public testing::Test {
 protected:
  static constexpr std::int64_t kBurst = 10;

  void At(Duration since_start) { now_ = Instant(since_start); }
  bool Take(std::int64_t units) { return !gcra_.TryTake(rate_, units, now_).has_value(); }
  std::optional<Instant> TakeAt(std::int64_t units) { return gcra_.TryTake(rate_, units, now_); }

  Rate rate_ = Rate::PerSecond(100, kBurst);
  Gcra gcra_;
  Instant now_{0us};
};

TEST_F(GcraTest, AFreshBucketGivesExactlyOneBurst) {
  EXPECT_TRUE(Take(kBurst));
  EXPECT_FALSE(Take(1));
}

TEST_F(GcraTest, IdleSpellGivesOneBurstNotTwo) {
  EXPECT_TRUE(Take(kBurst));
  At(10min);
  EXPECT_TRUE(Take(kBurst));
  EXPECT_FALSE(Take(1)) << "the bucket was drained at this very instant";
}

TEST_F(GcraTest, RefusalNamesTheFirstInstantThatConforms) {
  ASSERT_TRUE(Take(kBurst));
  const auto retry = TakeAt(3);
  ASSERT_EQ(retry, Instant(30ms));
  At(30ms - 1us);
  EXPECT_FALSE(Take(3));
  At(30ms);
  EXPECT_TRUE(Take(3));
}

TEST_F(GcraTest, ARefusalTakesNothing) {
  ASSERT_TRUE(Take(kBurst - 1));
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(Take(2));
  EXPECT_TRUE(Take(1));
}

TEST_F(GcraTest, AskingTakesNothing) {
  for (int i = 0; i < 100; ++i) EXPECT_EQ(gcra_.RefusedUntil(rate_, kBurst, now_), std::nullopt);
  EXPECT_TRUE(Take(kBurst));
  EXPECT_EQ(gcra_.RefusedUntil(rate_, 1, now_), Instant(10ms));
}

TEST_F(GcraTest, MoreThanABurstNeverConforms) {
  EXPECT_EQ(TakeAt(kBurst + 1), kNever);
  At(24h);
  EXPECT_EQ(TakeAt(kBurst + 1), kNever);
  EXPECT_EQ(TakeAt(std::numeric_limits<std::int64_t>::max()), kNever);
}

TEST_F(GcraTest, NothingCostsNothing) {
  ASSERT_TRUE(Take(kBurst));
  EXPECT_TRUE(Take(0));
}

TEST_F(GcraTest, AnUnlimitedRateRefusesNothing) {
  rate_ = Rate::PerSecond(0);
  EXPECT_TRUE(rate_.unlimited());
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(Take(std::numeric_limits<std::int64_t>::max()));
}

TEST_F(GcraTest, TurningTheLimitOnAfterUnlimitedUseStartsWithAFullBucket) {
  const Rate limited = rate_;
  rate_ = Rate::PerSecond(0);
  ASSERT_TRUE(Take(1'000'000));
  rate_ = limited;
  EXPECT_TRUE(Take(kBurst));
  EXPECT_FALSE(Take(1));
}

TEST_F(GcraTest, AStepBackInTimeGivesNothing) {
  At(10s);
  ASSERT_TRUE(Take(kBurst));
  At(5s);
  EXPECT_EQ(TakeAt(1), Instant(10s + 10ms));
}

TEST_F(GcraTest, TimeBeforeTheStartOfTheClockWorks) {
  now_ = Instant(-1h);
  EXPECT_TRUE(Take(kBurst));
  EXPECT_EQ(TakeAt(1), Instant(-1h + 10ms));
  now_ = Instant::min();
  Gcra fresh;
  EXPECT_EQ(fresh.TryTake(rate_, kBurst, now_), std::nullopt);
  EXPECT_EQ(fresh.TryTake(rate_, 1, now_), Instant::min() + 10ms);
}

TEST_F(GcraTest, TheEndOfTimeSaturatesInsteadOfWrapping) {
  now_ = kNever - 1us;
  rate_ = {.units = 1, .period = kMaxRatePeriod, .burst = 1};
  EXPECT_TRUE(Take(1));
  EXPECT_EQ(TakeAt(1), kNever);
  now_ = Instant::min();
  EXPECT_EQ(TakeAt(1), kNever);
}

TEST_F(GcraTest, TheLargestBurstIsOwedInFull) {
  rate_ = Rate::PerSecond(1, ~0ull);
  EXPECT_EQ(rate_.burst, std::chrono::duration_cast<std::chrono::seconds>(kMaxFill).count());
  EXPECT_TRUE(Take(rate_.burst));
  EXPECT_EQ(TakeAt(rate_.burst), Instant(kMaxFill));
}

TEST_F(GcraTest, ThirdsAreNotLost) {
  rate_ = Rate::PerSecond(3, 3);
  EXPECT_TRUE(Take(1));
  EXPECT_TRUE(Take(1));
  EXPECT_TRUE(Take(1));
  std::int64_t taken = 3;
  for (int second = 1; second <= 3600; ++second) {
    At(std::chrono::seconds(second));
    while (Take(1)) ++taken;
  }
  EXPECT_EQ(taken, 3 + 3 * 3600);
}

TEST_F(GcraTest, AByteAtOneHundredMegabytesASecondIsTenNanoseconds) {
  rate_ = Rate::PerSecond(100'000'000, 1000);
  ASSERT_TRUE(Take(1000));
  std::int64_t taken = 0;
  for (int us = 1; us <= 1000; ++us) {
    At(std::chrono::microseconds(us));
    while (Take(1)) ++taken;
  }
  EXPECT_EQ(taken, 100'000);
}

TEST_F(GcraTest, APeriodMayBeLong) {
  rate_ = {.units = 5, .period = 1min, .burst = 1};
  EXPECT_TRUE(Take(1));
  EXPECT_EQ(TakeAt(1), Instant(12s));
}

TEST(RateTest, ABurstNobodyNamedIsOneSecondsWorth) {
  EXPECT_EQ(Rate::PerSecond(50).burst, 50);
  EXPECT_EQ(Rate::PerSecond(50, 7).burst, 7);
  EXPECT_EQ(Rate::PerSecond(~0ull).units, kMaxRateUnits);
  EXPECT_EQ(Rate::PerSecond(~0ull, ~0ull).burst, kMaxBurstUnits);
}

TEST(GcraDeathTest, ANonsensicalRateIsABug) {
  Gcra gcra;
  const Instant now(0us);
  EXPECT_DEATH((void)gcra.TryTake({.units = 1, .burst = 0}, 1, now), "broken invariant");
  EXPECT_DEATH((void)gcra.TryTake({.units = -1, .burst = 1}, 1, now), "broken invariant");
  EXPECT_DEATH((void)gcra.TryTake({.units = 1, .period = 0us, .burst = 1}, 1, now),
               "broken invariant");
  EXPECT_DEATH((void)gcra.TryTake({.units = 1, .period = 24h, .burst = 36501}, 1, now),
               "broken invariant");
  EXPECT_DEATH((void)gcra.TryTake(Rate::PerSecond(1), -1, now), "broken invariant");
}

// The promise itself: in no window may more than burst + rate * width be taken, and a greedy taker
// gets no less.
TEST(GcraPropertyTest, NoWindowHoldsMoreThanBurstAndRateAllow) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    Rng rng({seed, 1, 2, 3});
    const auto per_second = static_cast<std::int64_t>(1 + rng.Below(5000));
    const auto burst = static_cast<std::int64_t>(1 + rng.Below(200));
    const Rate rate{.units = per_second, .burst = burst};
    Gcra gcra;
    Instant now(0us);
    std::deque<std::pair<Instant, std::int64_t>> taken;
    for (int step = 0; step < 1000; ++step) {
      if (rng.Below(50) == 0) {
        now += rng.Between(0us, 30s);
      } else {
        now += rng.Between(0us, 2ms);
      }
      const auto units =
          static_cast<std::int64_t>(rng.Below(static_cast<std::uint64_t>(burst))) + 1;
      const auto refused = gcra.TryTake(rate, units, now);
      if (!refused) {
        taken.emplace_back(now, units);
      } else {
        ASSERT_GT(*refused, now);
        Gcra later = gcra;
        ASSERT_EQ(later.RefusedUntil(rate, units, *refused), std::nullopt) << "seed " << seed;
        ASSERT_NE(later.RefusedUntil(rate, units, *refused - 1us), std::nullopt) << "seed " << seed;
      }
    }
    for (std::size_t from = 0; from < taken.size(); from += 7) {
      std::int64_t sum = 0;
      for (std::size_t to = from; to < taken.size(); ++to) {
        sum += taken[to].second;
        const auto width = (taken[to].first - taken[from].first).count();
        // Exact comparison in integers: sum <= burst + rate * width.
        ASSERT_LE((sum - burst) * 1'000'000, per_second * width) << "seed " << seed;
      }
    }
  }
}

}  // namespace
}  // namespace peermesh::limits
