#include "mesh/overlay/passive_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "tests/mesh/overlay/network.h"

namespace peermesh::overlay {
namespace {

using testing::PeerOf;

class PassiveViewTest : public ::testing::Test {
 protected:
  ~PassiveViewTest() override { view.CheckInvariants(); }
  std::size_t Kept(std::size_t first, std::size_t count) const {
    std::size_t kept = 0;
    for (std::size_t n = first; n < first + count; ++n) kept += view.Contains(PeerOf(n)) ? 1 : 0;
    return kept;
  }

  Rng rng{{1, 2, 3, 4}};
  PassiveView view{64, rng};
};

TEST_F(PassiveViewTest, TakesWhatItHasRoomForAndForgetsWhatIsRemoved) {
  EXPECT_TRUE(view.AddFirstHand(PeerOf(1), rng));
  EXPECT_FALSE(view.AddFirstHand(PeerOf(1), rng));
  EXPECT_TRUE(view.Contains(PeerOf(1)));
  EXPECT_TRUE(view.Remove(PeerOf(1)));
  EXPECT_FALSE(view.Remove(PeerOf(1)));
  EXPECT_EQ(view.size(), 0u);
}

TEST_F(PassiveViewTest, NeverHoldsMoreThanItsPlaces) {
  for (std::size_t n = 0; n < 5000; ++n) view.AddFirstHand(PeerOf(n), rng);
  EXPECT_EQ(view.size(), view.places());
}

TEST_F(PassiveViewTest, RepeatingAnIdGainsNothing) {
  for (std::size_t n = 0; n < 500; ++n) view.AddFirstHand(PeerOf(n), rng);
  const std::vector<PeerId> before = view.Ids();
  for (int i = 0; i < 1000; ++i) view.AddFirstHand(PeerOf(1000), rng);
  std::size_t kept = 0;
  for (const PeerId& peer : before) kept += view.Contains(peer) ? 1 : 0;
  EXPECT_GE(kept + 1, before.size()) << "one id, one place";
}

TEST_F(PassiveViewTest, OneSourceHoldsAtMostHalf) {
  for (std::size_t n = 0; n < 500; ++n) view.AddFirstHand(PeerOf(n), rng);
  for (int round = 0; round < 20; ++round) {
    for (std::size_t n = 1000; n < 2000; ++n) view.AddHearsay(PeerOf(n), PeerOf(900), {}, rng);
  }
  EXPECT_LE(Kept(1000, 1000), 32u);
  EXPECT_GE(Kept(0, 500), 32u);
  view.CheckInvariants();
}

TEST_F(PassiveViewTest, AFewIdsCannotWashOutTheRest) {
  for (std::size_t n = 0; n < 500; ++n) view.AddFirstHand(PeerOf(n), rng);
  for (int round = 0; round < 1000; ++round) {
    for (std::size_t n = 1000; n < 1016; ++n) {
      view.AddHearsay(PeerOf(n), PeerOf(900 + n % 7), {}, rng);
    }
  }
  EXPECT_GE(Kept(0, 500), 64u - 16u);
}

TEST_F(PassiveViewTest, WhatWasGivenAwayIsOverwrittenFirst) {
  for (std::size_t n = 0; n < 500; ++n) view.AddFirstHand(PeerOf(n), rng);
  const std::vector<PeerId> given = view.Ids();
  for (std::size_t n = 1000; n < 1032; ++n) {
    EXPECT_TRUE(view.AddHearsay(PeerOf(n), PeerOf(n), given, rng)) << "no coin is thrown";
  }
}

TEST_F(PassiveViewTest, EverybodyIsTriedOnceInARound) {
  for (std::size_t n = 0; n < 20; ++n) view.AddFirstHand(PeerOf(n), rng);
  const std::size_t size = view.size();
  std::set<PeerId> tried;
  while (const auto peer = view.PickUntried(rng)) EXPECT_TRUE(tried.insert(*peer).second);
  EXPECT_EQ(tried.size(), size);
  view.NewRound();
  EXPECT_TRUE(view.PickUntried(rng));
}

TEST_F(PassiveViewTest, ASampleHoldsNobodyTwice) {
  for (std::size_t n = 0; n < 20; ++n) view.AddFirstHand(PeerOf(n), rng);
  std::vector<PeerId> sample{view.Ids().front()};
  view.Sample(8, rng, sample);
  EXPECT_EQ(std::set<PeerId>(sample.begin(), sample.end()).size(), 9u);
}

TEST(PassiveViewKeyTest, TwoPeersPlaceTheSameIdsDifferently) {
  Rng one({1, 0, 0, 0}), other({2, 0, 0, 0});
  PassiveView a(16, one), b(16, other);
  for (std::size_t n = 0; n < 100; ++n) a.AddFirstHand(PeerOf(n), one);
  for (std::size_t n = 0; n < 100; ++n) b.AddFirstHand(PeerOf(n), other);
  EXPECT_NE(a.Ids(), b.Ids());
}

}  // namespace
}  // namespace peermesh::overlay
