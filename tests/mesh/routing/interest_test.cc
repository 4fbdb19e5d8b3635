#include "mesh/routing/interest.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "mesh/base/rng.h"
#include "mesh/routing/subject.h"

namespace peermesh::routing {
namespace {

constexpr std::size_t kAll = 100'000;

PeerId Peer(std::uint8_t number) {
  PeerId id;
  id.bytes[0] = number;
  return id;
}

LocalSubscription Sub(std::uint64_t session, std::uint32_t id, std::uint32_t block_ms = 0) {
  return {SessionId{session}, id, block_ms};
}

// What others are told, as "+pattern block" and "-pattern".
std::vector<std::string> Told(Interest& interest, std::size_t most = kAll) {
  std::vector<std::string> told;
  for (const LocalChange& change : interest.TakeChanges(most)) {
    told.push_back(change.removed ? "-" + change.pattern
                                  : "+" + change.pattern + " " + std::to_string(change.block_ms));
  }
  return told;
}
using Lines = std::vector<std::string>;

TEST(InterestTest, OthersAreToldOfAPatternOnceHoweverManyWantIt) {
  Interest interest;
  interest.Add("a", Sub(1, 1));
  interest.Add("a", Sub(2, 1));
  EXPECT_EQ(Told(interest), (Lines{"+a 0"}));
  EXPECT_EQ(interest.generation(), 1u);
  interest.Remove("a", Sub(1, 1));
  EXPECT_TRUE(Told(interest).empty());
  EXPECT_EQ(interest.generation(), 1u) << "nothing to tell, no new generation";
  interest.Remove("a", Sub(2, 1));
  EXPECT_EQ(Told(interest), (Lines{"-a"}));
  EXPECT_EQ(interest.hash(), 0u);
  interest.CheckInvariants();
}

TEST(InterestTest, ThePatternCarriesTheLongestHoldBack) {
  Interest interest;
  interest.Add("a", Sub(1, 1, 100));
  interest.Add("a", Sub(1, 2, 500));
  EXPECT_EQ(Told(interest), (Lines{"+a 500"}));
  interest.Add("a", Sub(1, 3, 200));
  EXPECT_TRUE(Told(interest).empty());
  interest.Remove("a", Sub(1, 2, 500));
  EXPECT_EQ(Told(interest), (Lines{"+a 200"}));
}

TEST(InterestTest, ThereAndBackAgainIsNotNews) {
  Interest interest;
  interest.Add("a", Sub(1, 1));
  interest.Remove("a", Sub(1, 1));
  EXPECT_TRUE(Told(interest).empty());
  interest.Remove("a", Sub(1, 1));
  interest.Remove("never.there", Sub(1, 1));
  EXPECT_EQ(interest.generation(), 0u);
  EXPECT_EQ(interest.local_subscriptions(), 0u);
}

TEST(InterestTest, ManyChangesAreToldInPartsOfTheirOwnGeneration) {
  Interest interest;
  for (const char* pattern : {"c", "a", "b"}) interest.Add(pattern, Sub(1, 1));
  EXPECT_EQ(Told(interest, 2), (Lines{"+a 0", "+b 0"}));
  EXPECT_EQ(interest.generation(), 1u);
  interest.CheckInvariants();
  EXPECT_EQ(Told(interest, 2), (Lines{"+c 0"}));
  EXPECT_EQ(interest.generation(), 2u);
  EXPECT_TRUE(Told(interest, 2).empty());
  EXPECT_EQ(interest.Snapshot().size(), 3u);
}

TEST(InterestDeathTest, ASnapshotBeforeAllChangesWereToldStopsTheProcess) {
  Interest interest;
  interest.Add("a", Sub(1, 1));
  EXPECT_DEATH(interest.Snapshot(), "before_");
  EXPECT_DEATH(interest.Add("a", Sub(1, 1)), "fresh");
}

TEST(InterestTest, AMatchNamesEverySubscriptionAndEveryPeerOnce) {
  Interest interest;
  interest.Add("a.*", Sub(2, 1));
  interest.Add(">", Sub(1, 9));
  interest.Add("a.b", Sub(1, 4, 50));
  interest.Add("x", Sub(3, 1));
  EXPECT_TRUE(interest.SetRemote(Peer(2), "a.>", 10));
  EXPECT_TRUE(interest.SetRemote(Peer(2), "a.b", 30));
  EXPECT_TRUE(interest.SetRemote(Peer(1), "*.b", 0));
  EXPECT_TRUE(interest.SetRemote(Peer(3), "x", 0));
  Interest::Matched matched;
  interest.Match("a.b", matched);
  EXPECT_EQ(matched.local, (std::vector<LocalSubscription>{Sub(1, 4, 50), Sub(1, 9), Sub(2, 1)}));
  ASSERT_EQ(matched.remote.size(), 2u);
  EXPECT_EQ(matched.remote[0].peer, Peer(1));
  EXPECT_EQ(matched.remote[1].peer, Peer(2));
  EXPECT_EQ(matched.remote[1].block_ms, 30u) << "its largest";
  interest.Match("nobody", matched);
  EXPECT_TRUE(matched.remote.empty()) << "what was there before is cleared";
  EXPECT_EQ(matched.local, (std::vector<LocalSubscription>{Sub(1, 9)}));
}

TEST(InterestTest, AGoneOrClearedPeerIsNotMatched) {
  Interest interest;
  interest.SetRemote(Peer(1), "a", 0);
  interest.SetRemote(Peer(1), "b", 0);
  interest.SetRemote(Peer(2), "a", 0);
  interest.UnsetRemote(Peer(1), "a");
  interest.UnsetRemote(Peer(1), "never.there");
  interest.UnsetRemote(Peer(9), "a");
  EXPECT_EQ(interest.RemotePatterns(Peer(1)), (Lines{"b"}));
  interest.ClearRemote(Peer(2));
  EXPECT_EQ(interest.RemoteHash(Peer(2)), 0u);
  EXPECT_EQ(interest.patterns(), 1u);
  interest.CheckInvariants();
}

TEST(InterestTest, SessionsAreFoundByTheChannelsTheirPatternsCanMatchOn) {
  Interest interest;
  interest.Add("orders.new", Sub(1, 1));
  interest.Add("orders.>", Sub(1, 2));
  interest.Add("*.new", Sub(2, 1));
  const std::uint32_t channel = ChannelOf("orders");
  const std::uint32_t other = (channel + 1) % kChannels;
  EXPECT_EQ(interest.SessionsOnChannel(channel), (std::vector{SessionId{1}, SessionId{2}}));
  EXPECT_EQ(interest.SessionsOnChannel(other), (std::vector{SessionId{2}}));
  interest.Remove("orders.new", Sub(1, 1));
  EXPECT_EQ(interest.SessionsOnChannel(channel).size(), 2u) << "its other pattern remains";
  interest.Remove("orders.>", Sub(1, 2));
  EXPECT_EQ(interest.SessionsOnChannel(channel), (std::vector{SessionId{2}}));
}

TEST(InterestTest, LocalAndRemotePatternsAreBounded) {
  Interest interest;
  for (std::uint32_t i = 0; i < kMaxLeadingWildcards; ++i) {
    ASSERT_EQ(interest.Add("*.x", Sub(1, i + 1)), Interest::Added::kOk);
    ASSERT_TRUE(interest.SetRemote(Peer(1), "*.r" + std::to_string(i), 0));
  }
  EXPECT_EQ(interest.Add(">", Sub(2, 1)), Interest::Added::kTooManyLeadingWildcards);
  EXPECT_FALSE(interest.SetRemote(Peer(1), ">", 0));
  EXPECT_TRUE(interest.SetRemote(Peer(1), "*.r0", 7)) << "a known one may change";
  EXPECT_TRUE(interest.SetRemote(Peer(2), ">", 0)) << "each peer has its own bound";
  const auto left = static_cast<std::uint32_t>(kMaxSubscriptions - kMaxLeadingWildcards);
  for (std::uint32_t i = 0; i < left; ++i) {
    ASSERT_EQ(interest.Add("same", Sub(3, i + 1)), Interest::Added::kOk);
    ASSERT_TRUE(interest.SetRemote(Peer(1), "p" + std::to_string(i), 0));
  }
  EXPECT_EQ(interest.Add("one.more", Sub(4, 1)), Interest::Added::kTooMany);
  EXPECT_FALSE(interest.SetRemote(Peer(1), "one.more", 0));
  EXPECT_EQ(interest.local_subscriptions(), kMaxSubscriptions);
  interest.CheckInvariants();
}

// One side's applications come and go; the other side follows by deltas, or by a snapshot from time
// to time.
TEST(InterestTest, ACopyThatFollowsDeltasOrSnapshotsAgreesWithTheOriginal) {
  Rng rng({5, 6, 7, 8});
  Interest here, there;
  const std::vector<std::string> patterns = {"a", "a.b", "a.*", ">", "*.b", "b.>", "c.c.c", "d"};
  std::map<std::pair<std::uint64_t, std::uint32_t>, std::pair<std::string, LocalSubscription>> held;
  std::uint64_t generation = 0;
  for (std::uint32_t step = 1; step <= 3000; ++step) {
    for (std::uint64_t n = rng.Below(4); n > 0; --n) {
      const std::uint64_t session = 1 + rng.Below(3);
      const auto id = static_cast<std::uint32_t>(1 + rng.Below(10));
      if (const auto it = held.find({session, id}); it != held.end()) {
        here.Remove(it->second.first, it->second.second);
        held.erase(it);
        continue;
      }
      const std::string& pattern = patterns[rng.Below(patterns.size())];
      const auto subscription = Sub(session, id, static_cast<std::uint32_t>(rng.Below(3)) * 100);
      here.Add(pattern, subscription);
      held.emplace(std::pair(session, id), std::pair(pattern, subscription));
    }
    const std::size_t most = 1 + rng.Below(3);
    for (auto changes = here.TakeChanges(most); !changes.empty();
         changes = here.TakeChanges(most)) {
      ASSERT_LE(changes.size(), most);
      ASSERT_EQ(here.generation(), ++generation);
      for (const LocalChange& change : changes) {
        if (change.removed) {
          there.UnsetRemote(Peer(1), change.pattern);
        } else {
          ASSERT_TRUE(there.SetRemote(Peer(1), change.pattern, change.block_ms));
        }
      }
      if (rng.Below(2) == 0) break;  // the rest is told later
    }
    if (!here.TakeChanges(kAll).empty()) {
      ++generation;
      there.ClearRemote(Peer(1));
      for (const LocalChange& entry : here.Snapshot()) {
        ASSERT_TRUE(there.SetRemote(Peer(1), entry.pattern, entry.block_ms));
      }
    }
    ASSERT_EQ(there.RemoteHash(Peer(1)), here.hash()) << "step " << step;
    std::vector<std::string> told;
    for (const LocalChange& entry : here.Snapshot()) told.push_back(entry.pattern);
    ASSERT_EQ(there.RemotePatterns(Peer(1)), told);
    here.CheckInvariants();
    there.CheckInvariants();
  }
}

TEST(InterestTest, TheHashSeesPatternsAndHoldBacksButNotTheirOrder) {
  Interest one, two;
  one.Add("a", Sub(1, 1));
  one.Add("b", Sub(1, 2, 5));
  two.Add("b", Sub(7, 1, 5));
  Told(two);
  two.Add("a", Sub(8, 3));
  Told(one);
  Told(two);
  EXPECT_EQ(one.hash(), two.hash());
  EXPECT_NE(InterestShare("a", 0), InterestShare("a", 1));
  EXPECT_NE(InterestShare("a", 0), InterestShare("b", 0));
}

}  // namespace
}  // namespace peermesh::routing
