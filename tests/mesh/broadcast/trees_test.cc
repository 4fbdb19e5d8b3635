// How pieces find their way: eager and lazy neighbours.
#include "mesh/broadcast/trees.h"

#include "tests/mesh/broadcast/stage.h"

namespace peermesh::broadcast {
namespace {

using namespace std::chrono_literals;
using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;

class TreesTest : public StageTest {};

TEST_F(TreesTest, ANewPieceGoesToEverybodyButItsSender) {
  UpAndSettled({kAnn, kBob, kCat});
  Come(kAnn, 1);
  EXPECT_THAT(Take(), ElementsAre("push 2 1", "push 3 1", "deliver 1"));
}

TEST_F(TreesTest, ASecondCopyIsPrunedAndItsSenderOnlyToldFromThenOn) {
  UpAndSettled({kAnn, kBob, kCat});
  Come(kAnn, 1);
  Take();
  Come(kBob, 1);
  EXPECT_THAT(Take(), ElementsAre("prune 2"));
  EXPECT_FALSE(broadcast.IsEager(PeerOf(kBob), 5));
  EXPECT_TRUE(broadcast.IsEager(PeerOf(kBob), 6)) << "only this channel";
  Come(kAnn, 2);
  EXPECT_THAT(Take(), ElementsAre("push 3 2", "deliver 2"));
  Pass(100ms);
  EXPECT_THAT(Take(), ElementsAre("have 2 2"));
}

TEST_F(TreesTest, TheLastToBeFirstIsNotPruned) {
  UpAndSettled({kAnn, kBob});
  Come(kAnn, 1);
  Come(kBob, 2);
  Take();
  Come(kBob, 1);
  EXPECT_THAT(Take(), IsEmpty());
  Come(kAnn, 2);
  EXPECT_THAT(Take(), ElementsAre("prune 1"));
}

TEST_F(TreesTest, WhoPrunesIsToldInstead) {
  UpAndSettled({kAnn, kBob});
  Hear(kBob, Prune{1u << 5});
  Come(kAnn, 1);
  Come(kAnn, 2);
  EXPECT_THAT(Take(), ElementsAre("deliver 1", "deliver 2"));
  Pass(100ms);
  EXPECT_THAT(Take(), ElementsAre("have 2 1-2")) << "neighbouring ranges are one";
}

TEST_F(TreesTest, WhoHasItAlreadyIsNotTold) {
  UpAndSettled({kAnn, kBob});
  Hear(kBob, Prune{1u << 5});
  Come(kAnn, 1);
  Come(kAnn, 2);
  Take();
  Hear(kBob, IHave{{RangeOf(1, 2)}});
  Pass(100ms);
  EXPECT_THAT(Take(), ElementsAre("have 2 2"));
}

TEST_F(TreesTest, AnnouncementsGoWithWhatGoesToThatNeighborAnyway) {
  UpAndSettled({kAnn, kBob});
  Hear(kBob, Prune{1u << 5});
  EXPECT_THAT(broadcast.TakeAnnouncements(now, PeerOf(kBob)).ranges, IsEmpty());
  Come(kAnn, 1);
  Pass(10ms);
  Come(kAnn, 2);
  Take();
  Pass(20ms);
  EXPECT_THAT(broadcast.TakeAnnouncements(now, PeerOf(kAnn)).ranges, IsEmpty());
  EXPECT_THAT(broadcast.TakeAnnouncements(now, PeerOf(kCat)).ranges, IsEmpty()) << "nobody";
  const IHave have = broadcast.TakeAnnouncements(now, PeerOf(kBob));
  EXPECT_THAT(have.ranges, ElementsAre(RangeOf(1, 3, 2)));
  EXPECT_EQ(have.waited, 20ms) << "as long as the latest";
  Pass(1s);
  EXPECT_THAT(Take(), IsEmpty()) << "nobody is told twice";
}

class PatientTest : public StageTest {
 protected:
  PatientTest() : StageTest({.announce = 1s}) {}
};

TEST_F(PatientTest, AnnouncementsWaitForCompanyAndThenGoAlone) {
  UpAndSettled({kAnn, kBob});
  Hear(kBob, Prune{1u << 5});
  Come(kAnn, 1);
  Take();
  Pass(1s - kAnnounceSooner - 1us);
  EXPECT_THAT(Take(), IsEmpty());
  Pass(1us);
  EXPECT_THAT(Take(), ElementsAre("have 2 1"));
}

TEST_F(TreesTest, SixtyFourRangesAreToldAtOnce) {
  UpAndSettled({kAnn, kBob});
  Hear(kBob, Prune{~std::uint64_t{0}});
  for (std::uint32_t i = 0; i < kMaxAnnounced; ++i) {
    EXPECT_THAT(Take(), Not(Contains(testing::StartsWith("have")))) << i;
    Come(kAnn, MakePiece(StreamOf(kOrigin + i), 1, 1));
  }
  EXPECT_THAT(Take(), Contains(testing::StartsWith("have 2")));
}

TEST_F(TreesTest, AGraftIsServedFromTheCacheAndMakesEager) {
  UpAndSettled({kAnn, kBob});
  Hear(kBob, Prune{1u << 5});
  for (std::uint64_t i = 1; i <= 3; ++i) Come(kAnn, i);
  Take();
  EXPECT_TRUE(Hear(kBob, Graft{{RangeOf(2, 4)}}));
  EXPECT_THAT(Take(), ElementsAre("push 2 2", "push 2 3"));
  EXPECT_TRUE(broadcast.IsEager(PeerOf(kBob), 5));
  EXPECT_EQ(broadcast.stats().grafts_in_back_off, 1u);
  Hear(kBob, Graft{{RangeOf(9, 12)}});
  EXPECT_THAT(Take(), IsEmpty());
  EXPECT_EQ(broadcast.stats().grafts_unserved, 1u);
}

TEST_F(TreesTest, AnAnswerHasAtMostSixtyFourPieces) {
  UpAndSettled({kAnn});
  for (std::uint64_t i = 1; i <= 100; ++i) Come(kAnn, i);
  Take();
  Hear(kAnn, Graft{{RangeOf(1, 101)}});
  EXPECT_EQ(Take().size(), kMaxServedPieces);
}

TEST_F(TreesTest, TwoHundredRangesASecondAreServedAndNoMore) {
  UpAndSettled({kAnn, kBob});
  Come(kAnn, 1);
  Take();
  for (int i = 0; i < 300; ++i) Hear(kBob, Graft{{RangeOf(1, 2)}});
  EXPECT_EQ(Take().size(), 200u);
  EXPECT_EQ(broadcast.stats().grafts_ignored, 100u);
  Pass(1s);
  for (int i = 0; i < 300; ++i) Hear(kBob, Graft{{RangeOf(1, 2)}});
  EXPECT_EQ(broadcast.stats().grafts_ignored, 200u);
}

TEST_F(TreesTest, WhatCouldNotBeSentIsAnnouncedAndTheNeighborStaysEager) {
  UpAndSettled({kAnn, kBob});
  const PieceRef piece = MakePiece(StreamOf(), 1, 1);
  Come(kAnn, piece);
  Take();
  broadcast.NotSent(now, PeerOf(kBob), piece, wishes);
  EXPECT_TRUE(broadcast.IsEager(PeerOf(kBob), 5));
  Pass(100ms);
  EXPECT_THAT(Take(), ElementsAre("have 2 1"));
}

TEST_F(TreesTest, AMuchShorterBranchIsTaken) {
  UpAndSettled({kAnn, kBob, kCat, 4, 5});
  Hear(kBob, Prune{1u << 5});
  Pass(2s);
  Come(kAnn, 1, 12);
  Take();
  Hear(kBob, IHave{{RangeOf(1, 2, 5)}});
  EXPECT_THAT(Take(), IsEmpty()) << "12 links here, 6 that way";
  Hear(kBob, IHave{{RangeOf(1, 2, 4)}});
  EXPECT_THAT(Take(), ElementsAre("graft 2 none", "prune 1"));
}

TEST_F(TreesTest, NoBranchIsChangedWhileSeveralStreamsUseTheChannel) {
  UpAndSettled({kAnn, kBob, kCat, 4, 5});
  Hear(kBob, Prune{1u << 5});
  Come(kAnn, MakePiece(StreamOf(kOrigin + 1), 1, 1));
  Come(kAnn, 1, 12);
  Take();
  Hear(kBob, IHave{{RangeOf(1, 2, 1)}});
  EXPECT_THAT(Take(), IsEmpty());
}

TEST_F(TreesTest, OurOwnPiecesGoOutAndAreNotDelivered) {
  UpAndSettled({kAnn, kBob});
  broadcast.Publish(now, MakePiece(StreamOf(kSelf), 1, 1), wishes);
  EXPECT_THAT(Take(), ElementsAre("push 1 1", "push 2 1"));
  EXPECT_EQ(broadcast.Expected(StreamOf(kSelf)), 2u);
  Come(kAnn, MakePiece(StreamOf(kSelf), 1, 1));
  EXPECT_THAT(Take(), ElementsAre("prune 1")) << "it has another way to us";
}

TEST_F(TreesTest, AStrangerIsHeardButGetsNothing) {
  UpAndSettled({kAnn});
  Come(kBob, 1);
  EXPECT_THAT(Take(), ElementsAre("push 1 1", "deliver 1"));
  EXPECT_TRUE(Hear(kBob, Graft{{RangeOf(1, 2)}}));
  EXPECT_THAT(Take(), IsEmpty());
  EXPECT_FALSE(broadcast.IsEager(PeerOf(kBob), 5));
}

TEST_F(TreesTest, AnIdleOneIsSmall) {
  EXPECT_LE(sizeof(Neighbor), 256u);
  EXPECT_LE(sizeof(Window) + sizeof(Stream) + 32, 180u) << "with the node of a map";
  EXPECT_LE(sizeof(Broadcast) + 8 * sizeof(Neighbor), 3u << 10);
}

class TwoParentsTest : public StageTest {
 protected:
  TwoParentsTest() : StageTest(Config{.eager_parents = 2}) {}
};

TEST_F(TwoParentsTest, TheThirdCopyIsOneTooMany) {
  UpAndSettled({kAnn, kBob, kCat});
  Pass(2s);
  Come(kAnn, 1);
  Come(kBob, 1);
  Take();
  Come(kCat, 1);
  EXPECT_THAT(Take(), ElementsAre("prune 3"));
}

TEST_F(TwoParentsTest, OneSenderAloneMakesItLookForAnother) {
  UpAndSettled({kAnn, kBob});
  Hear(kBob, Prune{1u << 5});
  Pass(2s);
  Come(kAnn, 1);
  Take();
  Hear(kBob, IHave{{RangeOf(1, 2)}});
  EXPECT_THAT(Take(), ElementsAre("graft 2 none"));
}

TEST_F(TwoParentsTest, OurOwnPiecesGoToAllNeighbors) {
  UpAndSettled({kAnn, kBob});
  Hear(kBob, Prune{1u << 5});
  broadcast.Publish(now, MakePiece(StreamOf(kSelf), 1, 1), wishes);
  EXPECT_THAT(Take(), ElementsAre("push 1 1", "push 2 1"));
}

}  // namespace
}  // namespace peermesh::broadcast
