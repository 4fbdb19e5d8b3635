#include "mesh/routing/subject.h"

#include <gtest/gtest.h>

#include <bitset>
#include <string>

#include "mesh/base/limits.h"

namespace peermesh::routing {
namespace {

TEST(SubjectTest, TheChannelIsThatOfTheFirstToken) {
  EXPECT_EQ(ChannelOf("orders"), ChannelOf("orders.new.eu"));
  std::bitset<kChannels> used;
  for (int i = 0; i < 2000; ++i) used.set(ChannelOf("token" + std::to_string(i) + ".x"));
  EXPECT_TRUE(used.all());
}

TEST(SubjectTest, APatternKnowsTheChannelsItCanMatchOn) {
  EXPECT_EQ(ChannelsOf("orders.*"), std::uint64_t{1} << ChannelOf("orders.new"));
  EXPECT_EQ(ChannelsOf("*.new"), ~std::uint64_t{0});
  EXPECT_EQ(ChannelsOf(">"), ~std::uint64_t{0});
  EXPECT_TRUE(HasLeadingWildcard("*.a") && HasLeadingWildcard(">"));
  EXPECT_FALSE(HasLeadingWildcard("a.*"));
}

}  // namespace
}  // namespace peermesh::routing
