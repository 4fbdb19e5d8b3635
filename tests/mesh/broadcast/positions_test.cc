// Where streams begin and end: new peers, positions, processes that come and go.
#include "tests/mesh/broadcast/stage.h"

namespace peermesh::broadcast {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;

// Without a measured round trip.
constexpr Duration kFirst = 500ms, kHold = 2s;

class PositionsTest : public StageTest {};

TEST_F(PositionsTest, ANewPeerBeginsWhereItMeetsAStream) {
  Up(kAnn);
  EXPECT_THAT(Take(), IsEmpty()) << "a new peer has nothing to say and does not call it complete";
  Come(kAnn, 40);
  EXPECT_THAT(Take(), ElementsAre("deliver 40"));
  Hear(kAnn, Positions{{Range{StreamOf(kOrigin + 1), 70, 90, 0}}, true});
  EXPECT_EQ(broadcast.Expected(StreamOf(kOrigin + 1)), 90u);
  Come(kAnn, MakePiece(StreamOf(kOrigin + 1), 91, 91));
  Pass(kHold);
  EXPECT_THAT(Take(), AllOf(Contains("missing 90"), Contains("deliver 91")));
}

TEST_F(PositionsTest, OnceSettledAnUnknownStreamBeginsAtOne) {
  UpAndSettled({kAnn});
  Come(kAnn, 2);
  EXPECT_THAT(Take(), IsEmpty());
  Pass(kHold);
  EXPECT_THAT(Take(), Contains("missing 1"));
}

TEST_F(PositionsTest, APeerThatHearsNoPositionsIsNotNewForEver) {
  Up(kAnn);
  Pass(kBeginning);
  Take();
  Come(kAnn, 2);
  EXPECT_THAT(Take(), IsEmpty());
  Up(kBob);
  EXPECT_THAT(Take(), ElementsAre("positions 2 none last"));
}

TEST_F(PositionsTest, PositionsSayWhatIsExpectedAndWhatCanStillBeSent) {
  UpAndSettled({kAnn});
  Come(kAnn, MakePiece(StreamOf(), 1, 1, 10));
  Pass(30s);
  Come(kAnn, MakePiece(StreamOf(), 11, 14, 2));
  Take();
  Up(kBob);
  EXPECT_THAT(Take(), ElementsAre("positions 2 1-15 last"));
  Pass(40s);
  Up(kCat);
  EXPECT_THAT(Take(), ElementsAre("positions 3 11-15 last"));
  Pass(1min);
  Up(4);
  EXPECT_THAT(Take(), ElementsAre("positions 4 none last"));
}

TEST_F(PositionsTest, PositionsBeyondOursAreFetchedAndTheRestIsMissing) {
  UpAndSettled({kAnn, kBob});
  Come(kAnn, 1);
  Take();
  Hear(kBob, Positions{{RangeOf(50, 60)}, true});
  Pass(kFirst);
  EXPECT_THAT(Take(), ElementsAre("graft 2 50-59"));
  for (std::uint64_t i = 50; i < 60; ++i) Come(kBob, i);
  EXPECT_THAT(Take(), Not(Contains("deliver 50")));
  Pass(kHold);
  EXPECT_THAT(Take(),
              AllOf(Contains("missing 2-49"), Contains("deliver 50"), Contains("deliver 59")));
}

TEST_F(PositionsTest, EqualPositionsLeadToNothing) {
  UpAndSettled({kAnn});
  Come(kAnn, 1);
  Take();
  Hear(kAnn, Positions{{RangeOf(2, 2)}, true});
  Pass(50s);
  EXPECT_THAT(Take(), IsEmpty());
}

TEST_F(PositionsTest, HearsayIsNotPassedOn) {
  UpAndSettled({kAnn});
  Hear(kAnn, IHave{{RangeOf(1, 100)}});
  Pass(kTailDeadline);
  Take();
  Up(kBob);
  EXPECT_THAT(Take(), ElementsAre("positions 2 last"));
}

TEST_F(PositionsTest, AThirdProcessOfAnOriginTakesThePlaceOfTheOldest) {
  UpAndSettled({kAnn});
  for (const std::uint64_t epoch : {1, 2, 3}) Come(kAnn, MakePiece(StreamOf(kOrigin, epoch), 1, 1));
  EXPECT_FALSE(broadcast.Expected(StreamOf(kOrigin, 1)));
  Take();
  Come(kAnn, MakePiece(StreamOf(kOrigin, 1), 2, 2));
  EXPECT_THAT(Take(), IsEmpty()) << "of a process that is gone";
  EXPECT_EQ(broadcast.stats().refused, 1u);
}

TEST_F(PositionsTest, AnOlderProcessIsForgottenAMinuteAfterANewerOneSpoke) {
  UpAndSettled({kAnn});
  Come(kAnn, MakePiece(StreamOf(kOrigin, 1), 1, 1));
  Come(kAnn, MakePiece(StreamOf(kOrigin, 2), 1, 1));
  Pass(30s);
  Come(kAnn, MakePiece(StreamOf(kOrigin, 1), 2, 2));
  EXPECT_THAT(Take(), Contains("deliver 2")) << "it was on its way";
  Pass(kRetiredMemory);
  EXPECT_FALSE(broadcast.Expected(StreamOf(kOrigin, 1)));
  EXPECT_TRUE(broadcast.Expected(StreamOf(kOrigin, 2)));
}

TEST_F(PositionsTest, AnIdleStreamIsDroppedAfterADayAndBeginsAnewWhereItIsSeen) {
  UpAndSettled({kAnn});
  Come(kAnn, 1);
  Pass(kStreamMemory);
  EXPECT_FALSE(broadcast.Expected(StreamOf()));
  Take();
  Come(kAnn, 7);
  EXPECT_THAT(Take(), ElementsAre("deliver 7"));
}

TEST_F(PositionsTest, WhatIsForgottenDoesNotComeBack) {
  UpAndSettled({kAnn});
  Come(kAnn, 1);
  Come(kAnn, 3);
  broadcast.Forget(PeerOf(kOrigin), 1);
  broadcast.CheckInvariants();
  EXPECT_EQ(broadcast.held_bytes(), 0u);
  Take();
  Come(kAnn, 2);
  Hear(kAnn, IHave{{RangeOf(2, 5)}});
  Pass(kTailDeadline);
  EXPECT_THAT(Take(), IsEmpty());
}

}  // namespace
}  // namespace peermesh::broadcast
