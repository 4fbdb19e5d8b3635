#include "tests/sim/baseline/config.h"

#include <gtest/gtest.h>

#include <cmath>

namespace peermesh::sim::baseline {
namespace {

TEST(ConfigTest, LogarithmsAreExactAtPowersOfTenAndToThreeDigitsBetween) {
  EXPECT_EQ(MilliLog10(1), 0u);
  EXPECT_EQ(MilliLog10(10), 1000u);
  EXPECT_EQ(MilliLog10(100), 2000u);
  EXPECT_EQ(MilliLog10(1000), 3000u);
  EXPECT_EQ(MilliLog10(1'000'000'000), 9000u);
  for (std::uint32_t value = 1; value < 20'000; ++value) {
    const double exact = 1000 * std::log10(value);
    ASSERT_NEAR(MilliLog10(value), exact, 1.001) << value;
    ASSERT_LE(MilliLog10(value), exact + 1e-6) << value;
  }
}

// Research, section 1: memberlist's least suspicion at 10, 100, 1,000 and 10,000 members.
TEST(ConfigTest, TimesGrowWithTheSizeAsDeployed) {
  const std::pair<std::uint32_t, int> seconds[] = {
      {2, 4}, {10, 4}, {100, 8}, {1000, 12}, {10000, 16}};
  for (const auto& [members, expected] : seconds) {
    EXPECT_EQ(SuspicionTimeout({.members = members}), std::chrono::seconds(expected)) << members;
  }
  const std::pair<std::uint32_t, std::uint32_t> limits[] = {
      {9, 4}, {10, 8}, {99, 8}, {100, 12}, {1000, 16}};
  for (const auto& [members, expected] : limits) {
    EXPECT_EQ(RetransmitLimit({.members = members}), expected) << members;
  }
}

}  // namespace
}  // namespace peermesh::sim::baseline
