#include "mesh/overlay/overlay.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "tests/mesh/overlay/network.h"

namespace peermesh::overlay {
namespace {

using namespace std::chrono_literals;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

PeerId Peer(std::size_t n) { return testing::PeerOf(n); }

class OverlayTest : public ::testing::Test {
 protected:
  explicit OverlayTest(std::size_t active = 4) : overlay(Peer(0), Small(active), Rng({1, 2, 3})) {}
  ~OverlayTest() override { overlay.CheckInvariants(); }

  static Config Small(std::size_t active) {
    Config config;
    config.active = active;
    config.passive = 16;
    return config;
  }

  void Seek() { overlay.Seek(now, true, Fresh()); }
  void Link(std::size_t n) { overlay.Linked(now, Peer(n), Fresh()); }
  bool Hear(std::size_t from, Message message) {
    const bool sound = overlay.Receive(now, Peer(from), message, Fresh());
    overlay.CheckInvariants();
    return sound;
  }
  void Wait(Duration duration) {
    const Instant end = now + duration;
    Fresh();
    while (overlay.NextWake() <= end) {
      now = std::max(now, overlay.NextWake());
      overlay.Wake(now, wishes);
      ASSERT_GT(overlay.NextWake(), now);
    }
    now = end;
  }
  // Peer `n` has a link and asked to be a neighbour.
  void Accept(std::size_t n, Urgency urgency = Urgency::kLow) {
    Link(n);
    ASSERT_TRUE(Hear(n, Neighbor{urgency}));
    ASSERT_TRUE(overlay.IsActive(Peer(n)));
  }
  void Fill(std::size_t first, std::size_t count) {
    for (std::size_t n = first; n < first + count; ++n) Accept(n);
  }

  Wishes& Fresh() {
    wishes.clear();
    return wishes;
  }
  template <class Kind>
  std::vector<PeerId> Of() const {
    std::vector<PeerId> peers;
    for (const Wish& wish : wishes) {
      if (const auto* found = std::get_if<Kind>(&wish)) peers.push_back(found->peer);
    }
    return peers;
  }
  template <class Kind>
  std::vector<std::pair<PeerId, Kind>> Sent() const {
    std::vector<std::pair<PeerId, Kind>> sent;
    for (const Wish& wish : wishes) {
      const auto* send = std::get_if<Send>(&wish);
      if (send == nullptr) continue;
      if (const auto* found = std::get_if<Kind>(&send->message)) {
        sent.emplace_back(send->peer, *found);
      }
    }
    return sent;
  }
  template <class Kind>
  bool Tells(std::size_t n) const {
    const auto sent = Sent<Kind>();
    return std::any_of(sent.begin(), sent.end(),
                       [n](const auto& message) { return message.first == Peer(n); });
  }

  Instant now{1h};
  Wishes wishes;
  Overlay overlay;
};

TEST_F(OverlayTest, WhoDoesNotSeekAsksForNothing) {
  Link(1);
  overlay.Learn(now, Peer(2));
  EXPECT_THAT(wishes, IsEmpty());
  EXPECT_EQ(overlay.NextWake(), kNever);
}

TEST_F(OverlayTest, WhoHasNobodyToAskStarves) {
  EXPECT_FALSE(overlay.starves()) << "it seeks nobody";
  Seek();
  EXPECT_TRUE(overlay.starves());
  overlay.Learn(now, Peer(1));
  EXPECT_FALSE(overlay.starves());
  Wait(1ms);
  EXPECT_FALSE(overlay.starves()) << "it asks";
  overlay.CannotReach(now, Peer(1), Fresh());
  EXPECT_TRUE(overlay.starves());
  Fill(2, 4);
  EXPECT_FALSE(overlay.starves()) << "it has all it wants";
}

TEST_F(OverlayTest, WhoDoesNotSeekStillAccepts) {
  Accept(1);
  EXPECT_THAT(Of<Activated>(), ElementsAre(Peer(1)));
  ASSERT_THAT(Sent<NeighborReply>(), SizeIs(1));
  EXPECT_TRUE(Sent<NeighborReply>()[0].second.accepted);
}

TEST_F(OverlayTest, WithoutNeighboursTheFirstLinkIsJoined) {
  Seek();
  EXPECT_THAT(wishes, IsEmpty());
  Link(1);
  EXPECT_TRUE(Tells<Join>(1));
  EXPECT_FALSE(overlay.IsActive(Peer(1))) << "not before it says yes";
  EXPECT_TRUE(overlay.Needs(Peer(1)));
  Hear(1, NeighborReply{true, {}});
  EXPECT_THAT(Of<Activated>(), ElementsAre(Peer(1)));
}

TEST_F(OverlayTest, ARefusedNewcomerTriesWhomItWasToldAbout) {
  Seek();
  Link(1);
  Hear(1, NeighborReply{false, {Peer(2), Peer(3)}});
  EXPECT_THAT(Of<Release>(), ElementsAre(Peer(1)));
  EXPECT_THAT(Of<Connect>(), ElementsAre(Peer(2), Peer(3)));
  Link(2);
  ASSERT_THAT(Sent<Neighbor>(), SizeIs(1)) << "one Join is enough for a while";
  EXPECT_EQ(Sent<Neighbor>()[0].second.urgency, Urgency::kHigh);
}

TEST_F(OverlayTest, AYesNobodyWaitsForIsAnsweredByDisconnect) {
  Seek();
  Link(1);
  Wait(kNeighborTimeout);
  EXPECT_FALSE(overlay.Needs(Peer(1)));
  Hear(1, NeighborReply{true, {}});
  EXPECT_TRUE(Tells<Disconnect>(1));
  EXPECT_FALSE(overlay.IsActive(Peer(1)));
}

TEST_F(OverlayTest, QuestionsThatCrossMakeOneEdge) {
  Seek();
  Link(1);
  Hear(1, Neighbor{Urgency::kHigh});
  EXPECT_THAT(Of<Activated>(), ElementsAre(Peer(1)));
  EXPECT_TRUE(Tells<NeighborReply>(1));
  Hear(1, NeighborReply{true, {}});
  EXPECT_THAT(wishes, IsEmpty());
  EXPECT_TRUE(overlay.IsActive(Peer(1)));
}

TEST_F(OverlayTest, ANeighbourThatAsksAgainHearsYesAndNothingElseHappens) {
  Accept(1);
  Hear(1, Neighbor{Urgency::kLow});
  EXPECT_THAT(wishes, SizeIs(1));
  EXPECT_TRUE(Tells<NeighborReply>(1));
}

TEST_F(OverlayTest, ARefusalEndsAnEdgeThatOnlyWeKnew) {
  Accept(1);
  Hear(1, NeighborReply{false, {}});
  EXPECT_THAT(Of<Deactivated>(), ElementsAre(Peer(1)));
  EXPECT_FALSE(Tells<Disconnect>(1)) << "it knows";
}

TEST_F(OverlayTest, AFullPeerRefusesAndNamesWhoWasRefusedBefore) {
  Fill(1, 4);
  Link(5);
  Hear(5, Neighbor{Urgency::kLow});
  ASSERT_THAT(Sent<NeighborReply>(), SizeIs(1));
  EXPECT_FALSE(Sent<NeighborReply>()[0].second.accepted);
  EXPECT_THAT(Of<Release>(), ElementsAre(Peer(5)));
  Link(6);
  Hear(6, Neighbor{Urgency::kLow});
  const std::vector<PeerId> candidates = Sent<NeighborReply>()[0].second.candidates;
  ASSERT_THAT(candidates, Not(IsEmpty()));
  EXPECT_EQ(candidates.front(), Peer(5));
  EXPECT_THAT(candidates, Not(Contains(Peer(6))));
}

TEST_F(OverlayTest, AFullPeerPartsWithANeighborOfBothForWhoHasTooFew) {
  Fill(1, 4);
  Link(5);
  Hear(5, Neighbor{Urgency::kHigh, {Peer(3), Peer(9)}});
  EXPECT_TRUE(overlay.IsActive(Peer(5)));
  EXPECT_THAT(overlay.Active(), SizeIs(4));
  const auto parted = Sent<Disconnect>();
  ASSERT_THAT(parted, SizeIs(1));
  EXPECT_EQ(parted[0].first, Peer(3));
  EXPECT_THAT(parted[0].second.candidates, ElementsAre(Peer(5)));
  EXPECT_EQ(Sent<NeighborReply>()[0].second.candidates.front(), parted[0].first);
}

TEST_F(OverlayTest, OfFewNeighborsNobodyIsPartedWithWhoMayBeCutOff) {
  Fill(1, 4);
  for (std::size_t n = 5; n < 5 + kSpareEdges; ++n) {
    Link(n);
    Hear(n, Neighbor{Urgency::kHigh, {Peer(9)}});
    EXPECT_TRUE(overlay.IsActive(Peer(n)));
    EXPECT_THAT(Of<Deactivated>(), IsEmpty());
    now += kSplitPeriod;
  }
  EXPECT_THAT(overlay.Active(), SizeIs(4 + kSpareEdges));
  Link(8);
  Hear(8, Neighbor{Urgency::kHigh, {Peer(9)}});
  EXPECT_TRUE(overlay.IsActive(Peer(8)));
  EXPECT_THAT(Of<Deactivated>(), SizeIs(1)) << "but only so many are spare";
}

TEST_F(OverlayTest, OneTooManyGoesToWhoDoesNotHaveIt) {
  Fill(1, 4);
  Link(5);
  Hear(5, Neighbor{Urgency::kHigh, {}});
  ASSERT_THAT(overlay.Active(), SizeIs(5));
  Link(6);
  Hear(6, Neighbor{Urgency::kLow, {Peer(1), Peer(2), Peer(3), Peer(5)}});
  EXPECT_THAT(Of<Deactivated>(), ElementsAre(Peer(4)));
  EXPECT_THAT(Sent<Disconnect>()[0].second.candidates, ElementsAre(Peer(6)));
}

TEST_F(OverlayTest, OneEdgeIsSplitInASecond) {
  Fill(1, 4);
  Link(5);
  Link(6);
  Hear(5, Neighbor{Urgency::kHigh});
  Hear(6, Neighbor{Urgency::kHigh});
  EXPECT_FALSE(overlay.IsActive(Peer(6)));
  now += kSplitPeriod;
  Hear(6, Neighbor{Urgency::kHigh});
  EXPECT_TRUE(overlay.IsActive(Peer(6)));
}

TEST_F(OverlayTest, WhomWeChoseIsNeverGivenUpBecauseOthersAsk) {
  for (std::size_t n = 1; n <= 2; ++n) overlay.Learn(now, Peer(n));
  Seek();
  EXPECT_THAT(Of<Connect>(), SizeIs(2));
  for (std::size_t n = 1; n <= 2; ++n) {
    Link(n);
    Hear(n, NeighborReply{true, {}});
  }
  EXPECT_EQ(overlay.kept(), 2u);
  Wait(2s);
  for (std::size_t n = 10; n < 60; ++n) {
    now += kSplitPeriod;
    Link(n);
    Hear(n, Neighbor{Urgency::kHigh});
    EXPECT_THAT(overlay.Active(), SizeIs(::testing::Le(4 + kSpareEdges)));
    ASSERT_TRUE(overlay.IsActive(Peer(1)) && overlay.IsActive(Peer(2)));
  }
}

TEST_F(OverlayTest, WhomOthersNamedIsAskedButNotKept) {
  Seek();
  Accept(1);
  Hear(1, Disconnect{{Peer(2)}});
  EXPECT_THAT(Of<Deactivated>(), ElementsAre(Peer(1)));
  ASSERT_THAT(Of<Connect>(), Contains(Peer(2)));
  Link(2);
  Hear(2, NeighborReply{true, {}});
  EXPECT_TRUE(overlay.IsActive(Peer(2)));
  EXPECT_EQ(overlay.kept(), 0u);
}

class WideOverlayTest : public OverlayTest {
 protected:
  WideOverlayTest() : OverlayTest(kMostActive) {}
};

TEST_F(WideOverlayTest, NobodyHasMoreThanTheMostWhateverIsAsked) {
  Fill(1, kMostActive);
  Seek();
  for (std::size_t n = 20; n < 40; ++n) {
    now += kSplitPeriod;
    Link(n);
    overlay.Bridge(now, Peer(n), Fresh());
    Hear(n, Neighbor{Urgency::kHigh});
    Hear(n, NeighborReply{true, {}});
    ASSERT_THAT(overlay.Active(), SizeIs(kMostActive));
  }
}

TEST_F(OverlayTest, ANewcomerIsIntroducedByWalks) {
  Fill(1, 3);
  Link(5);
  Hear(5, Join{});
  EXPECT_TRUE(overlay.IsActive(Peer(5)));
  const auto walks = Sent<ForwardJoin>();
  ASSERT_THAT(walks, SizeIs(1));
  EXPECT_EQ(walks[0].second.joiner, Peer(5));
  EXPECT_LT(walks[0].second.ttl, kMostHops);
  EXPECT_NE(walks[0].first, Peer(5));
}

TEST_F(OverlayTest, AnIntroductionGoesOnButNeverBackNorToTheNewcomer) {
  Fill(1, 3);
  for (int i = 0; i < 30; ++i) {
    Hear(1, ForwardJoin{Peer(2), 5});
    ASSERT_THAT(Sent<ForwardJoin>(), SizeIs(1));
    EXPECT_EQ(Sent<ForwardJoin>()[0].first, Peer(3));
    EXPECT_EQ(Sent<ForwardJoin>()[0].second.ttl, 4);
  }
  EXPECT_THAT(overlay.Passive(), IsEmpty());
  Hear(1, ForwardJoin{Peer(9), kNoteAt});
  EXPECT_THAT(overlay.Passive(), ElementsAre(Peer(9)));
}

TEST_F(OverlayTest, AtTheEndOfItsWalkANewcomerIsAsked) {
  Seek();
  Fill(1, 4);
  Hear(1, ForwardJoin{Peer(9), 0});
  EXPECT_THAT(Of<Connect>(), ElementsAre(Peer(9)));
  EXPECT_THAT(overlay.Active(), SizeIs(4)) << "nobody goes before it is heard from";
  Link(9);
  EXPECT_TRUE(Tells<Neighbor>(9));
  Hear(9, NeighborReply{true, {}});
  EXPECT_THAT(overlay.Active(), SizeIs(4));
  ASSERT_THAT(Sent<Disconnect>(), SizeIs(1));
  EXPECT_THAT(Sent<Disconnect>()[0].second.candidates, ElementsAre(Peer(9)));
}

TEST_F(OverlayTest, AShuffleWalksOnAndItsAnswerGoesBack) {
  Fill(1, 2);
  EXPECT_TRUE(Hear(1, Shuffle{77, 3, {Peer(8), Peer(9)}}));
  ASSERT_THAT(Sent<Shuffle>(), SizeIs(1));
  EXPECT_EQ(Sent<Shuffle>()[0].first, Peer(2));
  EXPECT_EQ(Sent<Shuffle>()[0].second.ttl, 2);
  Hear(2, ShuffleReply{77, {Peer(10)}});
  ASSERT_TRUE(Tells<ShuffleReply>(1));
  Hear(2, ShuffleReply{77, {Peer(10)}});
  EXPECT_THAT(wishes, IsEmpty()) << "one answer";
  EXPECT_THAT(overlay.Passive(), IsEmpty()) << "what passes by is not for us";
}

TEST_F(OverlayTest, AWalkThatWasHereBeforeEnds) {
  Fill(1, 3);
  Hear(1, Shuffle{77, 3, {Peer(8)}});
  Hear(2, Shuffle{77, 2, {Peer(8)}});
  EXPECT_THAT(wishes, IsEmpty());
}

TEST_F(OverlayTest, TheEndOfAShuffleAnswersWithAsMuchAndTakesItIn) {
  Fill(1, 2);
  for (std::size_t n = 20; n < 30; ++n) overlay.Learn(now, Peer(n));
  Hear(1, Shuffle{77, 0, {Peer(8), Peer(9), Peer(0), Peer(1)}});
  ASSERT_THAT(Sent<ShuffleReply>(), SizeIs(1));
  EXPECT_THAT(Sent<ShuffleReply>()[0].second.sample, SizeIs(4));
  EXPECT_EQ(Sent<ShuffleReply>()[0].second.sample.front(), Peer(0));
  EXPECT_THAT(overlay.Passive(), Not(Contains(Peer(0))));
  EXPECT_THAT(overlay.Passive(), Not(Contains(Peer(1))));
}

TEST_F(OverlayTest, WhatNoHonestPeerSaysIsRefused) {
  Fill(1, 2);
  std::vector<PeerId> many;
  for (std::size_t n = 20; n < 21 + kMostCandidates; ++n) many.push_back(Peer(n));
  const std::vector<PeerId> twice{Peer(8), Peer(9), Peer(8)};
  EXPECT_FALSE(Hear(1, Shuffle{1, kMostHops + 1, {Peer(8)}}));
  EXPECT_FALSE(Hear(1, Shuffle{1, 1, {}}));
  EXPECT_FALSE(Hear(1, Shuffle{1, 1, many}));
  EXPECT_FALSE(Hear(1, Shuffle{1, 1, twice}));
  EXPECT_FALSE(Hear(1, ShuffleReply{1, many}));
  EXPECT_FALSE(Hear(1, NeighborReply{true, twice}));
  EXPECT_FALSE(Hear(1, Disconnect{many}));
  EXPECT_FALSE(Hear(1, ForwardJoin{Peer(9), kMostHops + 1}));
  EXPECT_FALSE(Hear(1, ForwardJoin{Peer(1), 2}));
  EXPECT_FALSE(Hear(1, Neighbor{static_cast<Urgency>(7)}));
  EXPECT_TRUE(overlay.IsActive(Peer(1)));
  EXPECT_THAT(overlay.Passive(), IsEmpty());
}

TEST_F(OverlayTest, WhatOnlyNeighboursSayIsAnsweredByDisconnect) {
  Link(1);
  EXPECT_TRUE(Hear(1, Shuffle{1, 3, {Peer(8)}}));
  EXPECT_TRUE(Tells<Disconnect>(1));
  EXPECT_TRUE(Hear(1, ForwardJoin{Peer(8), 3}));
  EXPECT_TRUE(Tells<Disconnect>(1));
  overlay.NotNeighbor(now, Peer(1), Fresh());
  EXPECT_TRUE(Tells<Disconnect>(1));
  Accept(2);
  overlay.NotNeighbor(now, Peer(2), Fresh());
  EXPECT_THAT(wishes, IsEmpty());
}

TEST_F(OverlayTest, ALostNeighbourIsReplacedAtOnceAndNotTakenInByHearsay) {
  Seek();
  Fill(1, 4);
  overlay.Learn(now, Peer(20));
  overlay.Unlinked(now, Peer(1), Loss::kFailed, Fresh());
  EXPECT_THAT(Of<Deactivated>(), ElementsAre(Peer(1)));
  EXPECT_THAT(Of<Connect>(), ElementsAre(Peer(20)));
  Hear(2, Shuffle{5, 0, {Peer(1)}});
  EXPECT_THAT(overlay.Passive(), Not(Contains(Peer(1))));
  now += kLostMemory;
  Hear(2, Shuffle{6, 0, {Peer(1)}});
  EXPECT_THAT(overlay.Passive(), Contains(Peer(1)));
}

TEST_F(OverlayTest, WhoCannotBeReachedMakesPlaceForTheNext) {
  overlay.Learn(now, Peer(1));
  overlay.Learn(now, Peer(2));
  Seek();
  overlay.CannotReach(now, Peer(1), Fresh());
  EXPECT_THAT(overlay.Passive(), ElementsAre(Peer(2)));
  EXPECT_FALSE(overlay.Needs(Peer(1)));
  Wait(kNeighborTimeout);
  EXPECT_FALSE(overlay.Needs(Peer(2))) << "a dial that takes too long is given up";
}

TEST_F(OverlayTest, ALostPeerThatCameBackIsAskedFirstAndUrgently) {
  Seek();
  Fill(1, 4);
  overlay.Forget(now, Peer(1), Fresh());
  EXPECT_THAT(Of<Deactivated>(), ElementsAre(Peer(1)));
  EXPECT_THAT(Sent<Disconnect>(), IsEmpty()) << "nothing is said to the dead";
  overlay.Unlinked(now, Peer(1), Loss::kFailed, Fresh());
  overlay.Learn(now, Peer(1));
  Wait(1ms);
  EXPECT_THAT(Of<Connect>(), ElementsAre(Peer(1)));
  Link(1);
  ASSERT_THAT(Sent<Neighbor>(), SizeIs(1));
  EXPECT_EQ(Sent<Neighbor>()[0].second.urgency, Urgency::kHigh);
}

TEST_F(OverlayTest, ABridgeTakesThePlaceOfSomebodyElse) {
  Seek();
  Fill(1, 4);
  Link(9);
  overlay.Bridge(now, Peer(9), Fresh());
  ASSERT_THAT(Sent<Neighbor>(), SizeIs(1));
  EXPECT_EQ(Sent<Neighbor>()[0].second.urgency, Urgency::kHigh);
  EXPECT_THAT(Sent<Neighbor>()[0].second.neighbors, SizeIs(4));
  Hear(9, NeighborReply{true, {Peer(30), Peer(2)}});
  EXPECT_THAT(overlay.Active(), SizeIs(4));
  ASSERT_THAT(Sent<Disconnect>(), SizeIs(1));
  EXPECT_THAT(Sent<Disconnect>()[0].second.candidates, ElementsAre(Peer(30), Peer(9)))
      << "who was parted with at the other end has a place";
}

TEST_F(OverlayTest, WithoutANeighborOfBothASwapOfFewPartsWithNobody) {
  Seek();
  Fill(1, 4);
  Link(9);
  overlay.Bridge(now, Peer(9), Fresh());
  Hear(9, NeighborReply{true, {Peer(3), Peer(30)}});
  EXPECT_THAT(overlay.Active(), SizeIs(5)) << "3 was just parted with at the other end";
}

TEST_F(OverlayTest, OfASwapTheEdgeThatClosesATriangleGoes) {
  Seek();
  Fill(1, 4);
  Link(9);
  overlay.Bridge(now, Peer(9), Fresh());
  Hear(9, NeighborReply{true, {Peer(30), Peer(3)}});
  EXPECT_THAT(Of<Deactivated>(), ElementsAre(Peer(3)));
}

TEST_F(OverlayTest, WithoutEnoughNeighboursForLongItIsIsolated) {
  Seek();
  EXPECT_FALSE(overlay.isolated());
  Wait(kIsolatedAfter);
  EXPECT_TRUE(overlay.isolated());
  Fill(1, 2);
  EXPECT_FALSE(overlay.isolated());
}

TEST_F(OverlayTest, WhoIsOneShortAsksLowAndThenLessAndLessOften) {
  Seek();
  Fill(1, 3);
  overlay.Learn(now, Peer(20));
  Link(20);
  std::vector<Urgency> asked;
  const Instant begin = now;
  while (now < begin + 10min) {
    Fresh();
    now = overlay.NextWake();
    overlay.Wake(now, wishes);
    if (!Tells<Neighbor>(20)) continue;
    asked.push_back(Sent<Neighbor>()[0].second.urgency);
    Hear(20, NeighborReply{false, {}});
  }
  ASSERT_THAT(asked, Not(IsEmpty()));
  EXPECT_EQ(asked.front(), Urgency::kLow);
  EXPECT_EQ(asked.back(), Urgency::kHigh) << "in vain for long";
  EXPECT_LT(asked.size(), 40u);
}

TEST_F(OverlayTest, WhoHasOneTooManyGivesItToWhoAsks) {
  Seek();
  Fill(1, 3);
  overlay.Learn(now, Peer(9));
  Link(9);
  while (!overlay.Needs(Peer(9))) Wait(100ms);
  Accept(4);
  Hear(9, NeighborReply{true, {}});
  ASSERT_THAT(overlay.Active(), SizeIs(5)) << "both questions were under way";
  Link(10);
  Hear(10, Neighbor{Urgency::kLow});
  EXPECT_THAT(overlay.Active(), SizeIs(4));
  ASSERT_THAT(Sent<Disconnect>(), SizeIs(1));
  EXPECT_THAT(Sent<Disconnect>()[0].second.candidates, ElementsAre(Peer(10)));
}

}  // namespace
}  // namespace peermesh::overlay
