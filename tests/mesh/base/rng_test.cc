#include "mesh/base/rng.h"

#include <gtest/gtest.h>

#include <array>
#include <limits>
#include <set>

namespace peermesh {
namespace {

using std::chrono::microseconds;

// xoshiro256** seeded by SplitMix64 from 0: published by its authors and by many implementations.
TEST(RngTest, ProducesThePublishedSequence) {
  Rng rng({0, 0, 0, 0});
  EXPECT_EQ(rng.Next(), 11091344671253066420ull);
  EXPECT_EQ(rng.Next(), 13793997310169335082ull);
  EXPECT_EQ(rng.Next(), 1900383378846508768ull);
  EXPECT_EQ(rng.Next(), 7684712102626143532ull);
}

TEST(RngTest, EveryWordOfTheSeedCounts) {
  std::set<std::uint64_t> first_draws = {Rng({0, 0, 0, 0}).Next()};
  for (std::size_t word = 0; word < 4; ++word) {
    Rng::Seed seed{};
    seed[word] = 1;
    Rng rng(seed);
    rng.Next();  // the first output shows one word of the state only
    rng.Next();
    rng.Next();
    EXPECT_TRUE(first_draws.insert(rng.Next()).second) << "word " << word;
  }
}

TEST(RngTest, BelowStaysBelowAndReachesEveryValue) {
  Rng rng({1, 2, 3, 4});
  std::array<int, 7> counts{};
  for (int i = 0; i < 7000; ++i) ++counts[rng.Below(7)];
  for (const int count : counts) {
    EXPECT_GT(count, 850);
    EXPECT_LT(count, 1150);
  }
  for (int i = 0; i < 100; ++i) EXPECT_EQ(rng.Below(1), 0u);
}

TEST(RngTest, BelowWorksForTheLargestBounds) {
  Rng rng({1, 2, 3, 4});
  constexpr std::uint64_t kBound = (1ull << 63) + 1;  // rejects almost half of all draws
  bool upper_half = false;
  for (int i = 0; i < 200; ++i) {
    const std::uint64_t draw = rng.Below(kBound);
    ASSERT_LT(draw, kBound);
    upper_half = upper_half || draw > kBound / 2;
  }
  EXPECT_TRUE(upper_half);
}

TEST(RngDeathTest, ABoundOfNothingIsABug) {
  Rng rng({1, 2, 3, 4});
  EXPECT_DEATH(rng.Below(0), "broken invariant");
  EXPECT_DEATH(rng.Between(microseconds(2), microseconds(1)), "broken invariant");
}

TEST(RngTest, BetweenIncludesBothEnds) {
  Rng rng({1, 2, 3, 4});
  std::set<Duration> seen;
  for (int i = 0; i < 200; ++i) seen.insert(rng.Between(microseconds(-1), microseconds(2)));
  EXPECT_EQ(seen, (std::set<Duration>{microseconds(-1), microseconds(0), microseconds(1),
                                      microseconds(2)}));
  EXPECT_EQ(rng.Between(microseconds(5), microseconds(5)), microseconds(5));
}

TEST(RngTest, AChildDependsOnItsLabelAndNotOnItsSiblingsDraws) {
  const auto child_draw = [](std::string_view label, int sibling_draws) {
    Rng root({1, 2, 3, 4});
    Rng sibling = root.Fork("sibling");
    for (int i = 0; i < sibling_draws; ++i) sibling.Next();
    return root.Fork(label).Next();
  };
  EXPECT_EQ(child_draw("gossip", 0), child_draw("gossip", 1000));
  EXPECT_NE(child_draw("gossip", 0), child_draw("rejoin", 0));
}

TEST(RngTest, TheDigestShowsEveryDraw) {
  Rng a({1, 2, 3, 4});
  Rng b({1, 2, 3, 4});
  EXPECT_EQ(a.Digest(), b.Digest());
  a.Next();
  EXPECT_NE(a.Digest(), b.Digest());
  b.Next();
  EXPECT_EQ(a.Digest(), b.Digest());
}

}  // namespace
}  // namespace peermesh
