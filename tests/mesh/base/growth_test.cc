#include "mesh/base/growth.h"

#include <gtest/gtest.h>

#include <vector>

namespace peermesh {
namespace {

TEST(GrowthTest, AnArrayHoldsAnEighthInReserveAtMost) {
  std::vector<int> array;
  for (int i = 0; i < 1000; ++i) {
    MakeRoomForOne(array);
    array.push_back(i);
    ASSERT_LE(array.capacity(), array.size() + array.size() / 8 + 1);
  }
}

TEST(GrowthTest, WhatIsGivenBackHoldsNothing) {
  std::vector<int> array{1, 2, 3};
  GiveBack(array);
  EXPECT_TRUE(array.empty());
  EXPECT_EQ(array.capacity(), 0u);
}

}  // namespace
}  // namespace peermesh
