#include "mesh/base/time.h"

#include <gtest/gtest.h>

#include <type_traits>

#include "mesh/base/limits.h"
#include "mesh/base/loss.h"

namespace peermesh {
namespace {

using std::chrono::milliseconds;

template <class T, class = void>
struct HasNow : std::false_type {};
template <class T>
struct HasNow<T, std::void_t<decltype(T::now())>> : std::true_type {};

static_assert(HasNow<std::chrono::steady_clock>::value, "the test below can see a now()");
static_assert(!HasNow<MeshClock>::value, "nobody can read the mesh's clock");
static_assert(!std::is_convertible_v<std::chrono::steady_clock::time_point, Instant>);
static_assert(!std::is_convertible_v<WallTime, Instant>, "wall time schedules nothing");

TEST(TimeTest, InstantsCountIntegerMicroseconds) {
  EXPECT_EQ((Instant() + milliseconds(3)).time_since_epoch().count(), 3000);
  EXPECT_TRUE(std::is_integral_v<Duration::rep>);
}

TEST(TimeTest, NeverIsAfterEverything) {
  EXPECT_GT(kNever, Instant() + std::chrono::hours(24 * 365 * 1000));
}

TEST(LossTest, EveryReasonHasItsOwnName) {
  EXPECT_STREQ(ToString(LossReason::kSlowSubscriber), "slow_subscriber");
  EXPECT_STREQ(ToString(LossReason::kSlowLink), "slow_link");
  EXPECT_STREQ(ToString(LossReason::kLinkLost), "link_lost");
  EXPECT_STREQ(ToString(LossReason::kMissing), "missing");
  EXPECT_STREQ(ToString(LossReason::kNone), "none");
}

}  // namespace
}  // namespace peermesh
