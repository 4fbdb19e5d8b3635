#include "server/config/value.h"

#include <gtest/gtest.h>

namespace peermesh::config {
namespace {

using namespace std::chrono_literals;

TEST(ParseDurationTest, TakesNumbersWithUnits) {
  const std::pair<const char*, std::chrono::microseconds> cases[] = {
      {"30s", 30s}, {"5m", 5min},   {"1h30m", 90min}, {"250ms", 250ms},
      {"7d", 168h}, {"10us", 10us}, {"0", 0s},        {"0s", 0s},
  };
  for (const auto& [text, duration] : cases) {
    const auto parsed = ParseDuration(text);
    ASSERT_TRUE(parsed.ok()) << text << ": " << parsed.status();
    EXPECT_EQ(*parsed, duration) << text;
  }
}

TEST(ParseDurationTest, RefusesEverythingElse) {
  for (const char* text : {"", "5", "s", "-5s", "1.5s", "5 s", " 5s", "5sec", "5s ", "1h30", "5S",
                           "36501d", "99999999999999999999s", "18446744073709551615d"}) {
    EXPECT_FALSE(ParseDuration(text).ok()) << text;
  }
}

TEST(ParseNumberTest, TakesWholeNumbersWithSizes) {
  const std::pair<const char*, std::uint64_t> cases[] = {
      {"0", 0},           {"4096", 4096},  {"64KiB", 65536},  {"10MiB", 10u << 20},
      {"1GiB", 1u << 30}, {"10k", 10'000}, {"2M", 2'000'000}, {"18446744073709551615", ~0ull},
  };
  for (const auto& [text, number] : cases) {
    const auto parsed = ParseNumber(text);
    ASSERT_TRUE(parsed.ok()) << text << ": " << parsed.status();
    EXPECT_EQ(*parsed, number) << text;
  }
}

TEST(ParseNumberTest, RefusesEverythingElse) {
  for (const char* text : {"", "-1", "1.5", "0x10", "ten", "10 k", "10kb", "KiB",
                           "18446744073709551616", "17179869184GiB", "1k2"}) {
    EXPECT_FALSE(ParseNumber(text).ok()) << text;
  }
}

TEST(ParseListTest, TrimsPartsAndLeavesOutEmptyOnes) {
  using List = std::vector<std::string>;
  EXPECT_EQ(ParseList(""), List{});
  EXPECT_EQ(ParseList("a"), List{"a"});
  EXPECT_EQ(ParseList(" a , b,,\tc d ,"), (List{"a", "b", "c d"}));
  EXPECT_EQ(ParseList(" , "), List{});
}

TEST(NearestTest, FindsWhatWasMeantAndNothingFarFetched) {
  const std::vector<std::string> names = {"metrics", "listen", "limits", "log"};
  EXPECT_EQ(Nearest("metrcs", names), "metrics");
  EXPECT_EQ(Nearest("listn", names), "listen");
  EXPECT_EQ(Nearest("lgo", names), "");
  EXPECT_EQ(Nearest("lag", names), "log");
  EXPECT_EQ(Nearest("certificates", names), "");
  EXPECT_EQ(Nearest("", names), "");
}

}  // namespace
}  // namespace peermesh::config
