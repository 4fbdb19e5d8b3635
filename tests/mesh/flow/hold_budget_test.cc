#include "mesh/flow/hold_budget.h"

#include <gtest/gtest.h>

#include <vector>

#include "mesh/base/rng.h"

namespace peermesh::flow {
namespace {

using namespace std::chrono_literals;

constexpr Instant At(Duration since_start) { return Instant(since_start); }

TEST(HoldBudgetTest, ASpellUsesWhatItTakes) {
  HoldBudget budget(100ms, 1s);
  EXPECT_EQ(budget.Remaining(At(0ms)), 100ms);
  budget.Start(At(0ms));
  EXPECT_TRUE(budget.holding());
  EXPECT_EQ(budget.Remaining(At(30ms)), 70ms);
  budget.Stop(At(40ms));
  EXPECT_FALSE(budget.holding());
  EXPECT_EQ(budget.Remaining(At(500ms)), 60ms);
}

TEST(HoldBudgetTest, ItsTimeComesBackOneWindowAfterItEnded) {
  HoldBudget budget(100ms, 1s);
  budget.Start(At(0ms));
  budget.Stop(At(100ms));
  EXPECT_TRUE(budget.Exhausted(At(1100ms - 1us)));
  EXPECT_EQ(budget.Remaining(At(1100ms)), 100ms);
}

TEST(HoldBudgetTest, TheDeadlineIsWhenTheBudgetEnds) {
  HoldBudget budget(100ms, 1s);
  EXPECT_EQ(budget.ExhaustedAt(At(0ms)), kNever);
  budget.Start(At(10ms));
  EXPECT_EQ(budget.ExhaustedAt(At(10ms)), At(110ms));
  EXPECT_EQ(budget.ExhaustedAt(At(50ms)), At(110ms));
  EXPECT_FALSE(budget.Exhausted(At(110ms - 1us)));
  EXPECT_TRUE(budget.Exhausted(At(110ms)));
  EXPECT_EQ(budget.ExhaustedAt(At(120ms)), At(120ms));
  EXPECT_EQ(budget.Remaining(At(10h)), 0ms) << "an overdue caller gets nothing, not less";
}

TEST(HoldBudgetTest, TimeThatComesBackDuringASpellProlongsIt) {
  HoldBudget budget(100ms, 1s);
  budget.Start(At(0ms));
  budget.Stop(At(60ms));  // back at 1060 ms
  budget.Start(At(1030ms));
  EXPECT_EQ(budget.ExhaustedAt(At(1030ms)), At(1130ms));
  budget.Stop(At(1035ms));
  EXPECT_EQ(budget.Remaining(At(1060ms)), 95ms);
}

TEST(HoldBudgetTest, TimeThatComesBackAtTheVeryEndCounts) {
  HoldBudget budget(100ms, 1s);
  budget.Start(At(0ms));
  budget.Stop(At(50ms));
  budget.Start(At(1000ms));  // 50 ms left, and 50 ms more at 1050 ms
  EXPECT_EQ(budget.ExhaustedAt(At(1000ms)), At(1100ms));
  EXPECT_FALSE(budget.Exhausted(At(1050ms)));
}

TEST(HoldBudgetTest, RepeatedCallsAreHarmless) {
  HoldBudget budget(100ms, 1s);
  budget.Stop(At(0ms));
  budget.Start(At(0ms));
  budget.Start(At(20ms));
  EXPECT_EQ(budget.Remaining(At(30ms)), 70ms);
  budget.Stop(At(30ms));
  budget.Stop(At(40ms));
  EXPECT_EQ(budget.Remaining(At(40ms)), 70ms);
}

TEST(HoldBudgetTest, ManyShortSpellsAreMergedAndNeverForgottenEarly) {
  HoldBudget budget(100ms, 1s);
  for (int i = 0; i < 50; ++i) {
    budget.Start(At(i * 2ms));
    budget.Stop(At(i * 2ms + 1ms));
  }
  EXPECT_EQ(budget.Remaining(At(100ms)), 50ms);
  EXPECT_EQ(budget.Remaining(At(1099ms)), 100ms);
}

TEST(HoldBudgetDeathTest, ABudgetLargerThanItsWindowIsABug) {
  EXPECT_DEATH(HoldBudget(2s, 1s), "broken invariant");
  EXPECT_DEATH(HoldBudget(0s, 1s), "broken invariant");
}

TEST(HoldBudgetTest, TheDigestShowsWhatDecides) {
  const auto digest = [](const HoldBudget& budget) {
    Digest d;
    budget.AddTo(d);
    return d.value();
  };
  HoldBudget a;
  HoldBudget b;
  EXPECT_EQ(digest(a), digest(b));
  a.Start(At(1ms));
  EXPECT_NE(digest(a), digest(b));
  a.Stop(At(2ms));
  EXPECT_NE(digest(a), digest(b));
}

// A holder who holds whenever allowed and stops when the budget ends stays within it in every
// window.
TEST(HoldBudgetPropertyTest, NoWindowHoldsMoreThanTheBudget) {
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    Rng rng({seed, 0, 0, 0});
    HoldBudget budget(100ms, 1s);
    std::vector<std::pair<Instant, Instant>> spells;
    Instant now = At(0ms);
    for (int i = 0; i < 300; ++i) {
      now += rng.Between(0us, rng.Below(10) == 0 ? Duration(900ms) : Duration(20ms));
      if (budget.Exhausted(now)) continue;
      budget.Start(now);
      const Instant start = now;
      now = std::min(budget.ExhaustedAt(now), now + rng.Between(0us, 60ms));
      ASSERT_GE(budget.Remaining(now), 0ms);
      budget.Stop(now);
      spells.emplace_back(start, now);
    }
    for (std::size_t first = 0; first < spells.size(); ++first) {
      Duration held = 0us;
      const Instant end = spells[first].first + 1s;
      for (std::size_t i = first; i < spells.size() && spells[i].first < end; ++i) {
        held += std::min(spells[i].second, end) - spells[i].first;
      }
      ASSERT_LE(held, 100ms) << "seed " << seed << ", window from "
                             << spells[first].first.time_since_epoch().count() << " us";
    }
  }
}

}  // namespace
}  // namespace peermesh::flow
