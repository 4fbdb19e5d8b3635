#include "metrics/ledger/listing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "metrics/ledger/handle.h"
#include "tests/metrics/ledger/virtual_time.h"

namespace peermesh::ledger {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

class ListingTest : public testing::Test {
 protected:
  Listing By(GroupBy by) const { return List(ledger_, {.by = by}); }
  static std::vector<std::string> Keys(const Listing& listing) {
    std::vector<std::string> keys;
    for (const ListingRow& row : listing.rows) keys.push_back(row.key);
    return keys;
  }

  Ledger ledger_{&VirtualNow};
  const Kind timer_ = ledger_.Register(Owned("timer"));
  const Kind stream_ = ledger_.Register(Active("stream", 10s));
  Scope beta_{{}, ScopeType::kPeer, "beta", &VirtualNow};
  Scope link_{beta_, ScopeType::kConnection, "10.0.0.4:7443", &VirtualNow};
  Scope app_{{}, ScopeType::kClient, "edge-app", &VirtualNow};
};

TEST_F(ListingTest, AnEmptyLedgerHasNoRows) {
  EXPECT_TRUE(By(GroupBy::kKind).rows.empty());
  EXPECT_EQ(By(GroupBy::kEach).left_off, 0u);
}

TEST_F(ListingTest, GroupsByWhatIsAskedFor) {
  const Handle one(ledger_, timer_, beta_);
  const Handle two(ledger_, stream_, link_);
  const Handle three(ledger_, stream_, app_);
  const Handle four(ledger_, stream_, Scope{});
  EXPECT_THAT(Keys(By(GroupBy::kKind)), ElementsAre("stream", "timer"));
  EXPECT_THAT(Keys(By(GroupBy::kOwner)), ElementsAre("peer beta", "client edge-app", "process"));
  EXPECT_THAT(Keys(By(GroupBy::kScope)),
              ElementsAre("client edge-app", "peer beta", "peer beta > connection 10.0.0.4:7443",
                          "process"));
  EXPECT_EQ(By(GroupBy::kSite).rows.size(), 4u);
  EXPECT_THAT(Keys(By(GroupBy::kEach)),
              testing::UnorderedElementsAre(std::to_string(one.id()), std::to_string(two.id()),
                                            std::to_string(three.id()), std::to_string(four.id())));
}

TEST_F(ListingTest, ARowSumsItsGroupAndLeavesOutWhatDiffers) {
  Handle one(ledger_, timer_, beta_, 100);
  one.Note("retry");
  virtual_now += 5s;
  const Handle two(ledger_, stream_, link_, 20);
  virtual_now += 2s;
  one.Touch();
  virtual_now += 1s;
  const Listing listing = By(GroupBy::kOwner);
  ASSERT_EQ(listing.rows.size(), 1u);
  const ListingRow& row = listing.rows[0];
  EXPECT_EQ(row.live, 2u);
  EXPECT_EQ(row.amount, 120u);
  EXPECT_EQ(row.oldest, 8s);
  EXPECT_EQ(row.longest_idle, 3s) << "of the stream; the timer was used a second ago";
  EXPECT_EQ(row.owner, "peer beta");
  EXPECT_EQ(row.kind, "");
  EXPECT_EQ(row.scope, "");
  EXPECT_EQ(row.site, "");
  EXPECT_EQ(row.note, "");
}

TEST_F(ListingTest, WhatDiffersOnceStaysLeftOut) {
  const Handle one(ledger_, timer_, beta_), two(ledger_, stream_, beta_),
      three(ledger_, timer_, beta_);
  const Listing listing = By(GroupBy::kScope);
  ASSERT_EQ(listing.rows.size(), 1u);
  EXPECT_EQ(listing.rows[0].kind, "");
  EXPECT_EQ(listing.rows[0].live, 3u);
}

TEST_F(ListingTest, ASingleOneKeepsEverything) {
  Handle one(ledger_, stream_, link_, 7);
  const int line = __LINE__ - 1;
  one.Note("Exchange");
  virtual_now += 4s;
  const Listing listing = By(GroupBy::kEach);
  ASSERT_EQ(listing.rows.size(), 1u);
  const ListingRow& row = listing.rows[0];
  EXPECT_EQ(row.key, std::to_string(one.id()));
  EXPECT_EQ(row.kind, "stream");
  EXPECT_EQ(row.owner, "peer beta");
  EXPECT_EQ(row.scope, "peer beta > connection 10.0.0.4:7443");
  EXPECT_THAT(row.site, HasSubstr("listing_test.cc:" + std::to_string(line)));
  EXPECT_EQ(row.note, "Exchange");
  EXPECT_EQ(row.amount, 7u);
  EXPECT_EQ(row.oldest, 4s);
}

TEST_F(ListingTest, TheYoungAndOtherKindsAreLeftOut) {
  const Handle old(ledger_, timer_, beta_);
  virtual_now += 10s;
  const Handle young(ledger_, timer_, beta_), other(ledger_, stream_, app_);
  EXPECT_EQ(List(ledger_, {.older = 10s}).rows.size(), 1u) << "exactly as old is old enough";
  EXPECT_EQ(List(ledger_, {.older = 10s}).rows[0].live, 1u);
  EXPECT_TRUE(List(ledger_, {.older = 11s}).rows.empty());
  EXPECT_THAT(Keys(List(ledger_, {.by = GroupBy::kOwner, .kind = "stream"})),
              ElementsAre("client edge-app"));
  EXPECT_TRUE(List(ledger_, {.kind = "no such kind"}).rows.empty());
}

TEST_F(ListingTest, MostLiveComeFirstThenTheOldest) {
  const Handle of_app(ledger_, timer_, app_);
  virtual_now += 1s;
  const Handle of_process(ledger_, timer_, Scope{});
  const Handle one(ledger_, timer_, beta_), two(ledger_, timer_, beta_);
  EXPECT_THAT(Keys(By(GroupBy::kOwner)), ElementsAre("peer beta", "client edge-app", "process"));
}

TEST_F(ListingTest, RowsBeyondTheLimitAreCounted) {
  std::vector<Handle> handles;
  for (int i = 0; i < 12; ++i) handles.push_back(Handle(ledger_, timer_, beta_));
  const Listing listing = List(ledger_, {.by = GroupBy::kEach, .limit = 5});
  EXPECT_EQ(listing.rows.size(), 5u);
  EXPECT_EQ(listing.left_off, 7u);
}

TEST_F(ListingTest, AnEndedOwnerIsStillNamed) {
  const Handle orphan(ledger_, timer_, link_);
  link_.End();
  beta_.End();
  EXPECT_THAT(Keys(By(GroupBy::kScope)), ElementsAre("peer beta > connection 10.0.0.4:7443"));
}

TEST_F(ListingTest, IsMadeWhileOthersBook) {
  std::atomic<bool> stop = false;
  std::thread other([&] {
    while (!stop) {
      const Scope scope(beta_, ScopeType::kStream, "short", &VirtualNow);
      Handle brief(ledger_, stream_, scope);
      brief.Note("note");
    }
  });
  const Handle stays(ledger_, timer_, beta_);
  for (int i = 0; i < 2000; ++i) {
    const Listing listing = By(GroupBy::kKind);
    std::uint64_t timers = 0;
    for (const ListingRow& row : listing.rows) timers += row.kind == "timer" ? row.live : 0;
    ASSERT_EQ(timers, 1u);
  }
  stop = true;
  other.join();
}

TEST(GroupByTest, NamesAreReadAsTheyAreWritten) {
  for (const GroupBy by :
       {GroupBy::kKind, GroupBy::kOwner, GroupBy::kSite, GroupBy::kScope, GroupBy::kEach})
    EXPECT_EQ(ParseGroupBy(ToString(by)), by);
  EXPECT_EQ(ParseGroupBy("owner"), std::nullopt);
  EXPECT_EQ(ParseGroupBy(""), std::nullopt);
}

}  // namespace
}  // namespace peermesh::ledger
