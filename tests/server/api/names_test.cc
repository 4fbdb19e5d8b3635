#include <gtest/gtest.h>

#include "server/api/applications.h"
#include "tests/server/api/api_testing.h"

namespace peermesh::api {
namespace {

class NamesTest : public testing::Test {
 protected:
  void Change(std::uint32_t number, bool removed) {
    node::PeerChanged wish;
    wish.peer.id = IdOf(number);
    wish.peer.name = "peer" + std::to_string(number);
    wish.removed = removed;
    applications_.Perform(wish);
  }
  std::string NameOf(std::uint32_t number) { return applications_.names()(IdOf(number)); }

  Applications applications_{{IdOf(1'000'000), "self", "mesh"}, [](node::Input) {}};
};

TEST_F(NamesTest, APeerThatHasLeftTheTableKeepsItsNameForMessagesUnderWay) {
  Change(1, false);
  Change(1, true);
  EXPECT_EQ(NameOf(1), "peer1");
  EXPECT_EQ(NameOf(1'000'000), "self");
  EXPECT_EQ(NameOf(2), "");
}

TEST_F(NamesTest, ANewPeerHasItsNameHoweverManyCameAndWentBefore) {
  Change(0, false);  // stays
  for (std::uint32_t i = 1; i < 3 * kMaxNames; ++i) {
    Change(i, false);
    ASSERT_EQ(NameOf(i), "peer" + std::to_string(i));
    Change(i, true);
  }
  EXPECT_EQ(NameOf(0), "peer0");
}

}  // namespace
}  // namespace peermesh::api
