#include "metrics/ledger/suppressions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace peermesh::ledger {
namespace {

TEST(SuppressionsTest, ReadsLinesAndSkipsComments) {
  const auto parsed = Suppressions::Parse(
      "# kind site rule until reason\n\n"
      "timer server/link/queue.cc:* cohort 2027-01-31 known, see issue 12\n");
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  ASSERT_EQ(parsed->entries().size(), 1u);
  EXPECT_EQ(parsed->entries()[0].reason, "known, see issue 12");
}

TEST(SuppressionsTest, SaysWhatIsMissing) {
  for (const char* line : {"timer * cohort 2027-01-31", "timer * cohort soon reason",
                           "timer * cohort 2027-02-30 reason", "timer"}) {
    const auto parsed = Suppressions::Parse(std::string("# first\n") + line + "\n");
    ASSERT_FALSE(parsed.ok()) << line;
    EXPECT_THAT(std::string(parsed.status().message()), testing::HasSubstr("line 2: expected"));
  }
}

}  // namespace
}  // namespace peermesh::ledger
