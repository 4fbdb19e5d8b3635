#include "mesh/base/check.h"

#include <gtest/gtest.h>

namespace peermesh {
namespace {

TEST(CheckDeathTest, ABrokenInvariantEndsTheProcessAndSaysWhere) {
  EXPECT_DEATH(PM_CHECK(1 + 1 == 3), "broken invariant 1 \\+ 1 == 3 at .*check_test.cc:[0-9]+");
}

TEST(CheckTest, ATrueConditionIsEvaluatedOnce) {
  int evaluations = 0;
  PM_CHECK(++evaluations == 1);
  EXPECT_EQ(evaluations, 1);
}

}  // namespace
}  // namespace peermesh
