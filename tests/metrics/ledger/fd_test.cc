#include "metrics/ledger/fd.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "metrics/ledger/claims.h"
#include "tests/metrics/ledger/virtual_time.h"

namespace peermesh::ledger {
namespace {

using testing::HasSubstr;

class FdTest : public testing::Test {
 protected:
  UniqueFd Open() { return {ledger_, ::open("/dev/null", O_RDONLY | O_CLOEXEC), kind_, Scope{}}; }
  std::uint64_t live() const {
    const Counts counts = ledger_.TakeCounts()[kind_.index];
    return counts.acquired - counts.released_sum();
  }

  Ledger ledger_{&VirtualNow};
  const Kind kind_ = ledger_.Register(Owned("fd"));
};

TEST_F(FdTest, IsBookedClaimedAndClosed) {
  int number = -1;
  {
    UniqueFd fd = Open();
    number = fd.get();
    EXPECT_EQ(ClaimOf(number), fd.handle().id());
    UniqueFd moved = std::move(fd);
    EXPECT_EQ(moved.get(), number);
    EXPECT_EQ(live(), 1u);
  }
  EXPECT_EQ(live(), 0u);
  EXPECT_EQ(ClaimOf(number), 0u);
  EXPECT_EQ(::fcntl(number, F_GETFD), -1);
  EXPECT_EQ(ledger_.violation_count(), 0u);
}

TEST_F(FdTest, CanBeGivenAway) {
  UniqueFd fd = Open();
  const int number = fd.Release();
  EXPECT_EQ(live(), 0u);
  EXPECT_EQ(ClaimOf(number), 0u);
  EXPECT_EQ(::close(number), 0);
}

TEST_F(FdTest, ACloseBehindItsBackIsAViolation) {
  UniqueFd fd = Open();
  ::close(fd.get());
  fd.Close();
  ASSERT_EQ(ledger_.violation_count(), 1u);
  EXPECT_EQ(ledger_.violations()[0].type, ViolationType::kForeignClose);
}

TEST_F(FdTest, ANumberGivenAwayAgainIsNotClosedTwice) {
  UniqueFd victim = Open();
  ::close(victim.get());
  UniqueFd heir = Open();  // the lowest free number: the same
  ASSERT_EQ(heir.get(), victim.get());
  ASSERT_EQ(ledger_.violation_count(), 1u);
  EXPECT_THAT(ledger_.violations()[0].detail, HasSubstr("was closed under entry"));
  victim.Close();
  EXPECT_EQ(ledger_.violation_count(), 2u);
  EXPECT_NE(::fcntl(heir.get(), F_GETFD), -1);
  heir.Close();
  EXPECT_EQ(ledger_.violation_count(), 2u);
}

}  // namespace
}  // namespace peermesh::ledger
