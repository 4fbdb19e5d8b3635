// Order, holes, questions, and who is believed.
#include <algorithm>

#include "tests/mesh/broadcast/stage.h"

namespace peermesh::broadcast {
namespace {

using namespace std::chrono_literals;
using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

// Without a measured round trip.
constexpr Duration kFirst = 500ms, kNext = 150ms, kHold = 2s;

class RepairTest : public StageTest {};

TEST_F(RepairTest, AnAnnouncementIsAskedForAfterAWhileAndItsSenderIsEagerThen) {
  UpAndSettled({kAnn, kBob});
  Hear(kAnn, Prune{1u << 5});
  Hear(kAnn, IHave{{RangeOf(1, 4)}});
  Pass(kFirst - 1us);
  EXPECT_THAT(Take(), IsEmpty());
  Pass(1us);
  EXPECT_THAT(Take(), ElementsAre("graft 1 1-3"));
  EXPECT_TRUE(broadcast.IsEager(PeerOf(kAnn), 5));
}

TEST_F(RepairTest, AnAnnouncementThatWaitedIsAskedForSooner) {
  UpAndSettled({kAnn, kBob});
  Hear(kAnn, IHave{{RangeOf(1, 2)}, kFirst - 100ms});
  Pass(100ms - 1us);
  EXPECT_THAT(Take(), IsEmpty());
  Pass(1us);
  EXPECT_THAT(Take(), ElementsAre("graft 1 1"));
  Hear(kBob, IHave{{RangeOf(2, 3)}, 1min});
  Pass(1us);
  EXPECT_THAT(Take(), Contains("graft 2 2")) << "at once, and no sooner";
}

TEST_F(RepairTest, WhatComesInTimeIsNotAskedFor) {
  UpAndSettled({kAnn, kBob});
  Hear(kAnn, IHave{{RangeOf(1, 3)}});
  Come(kBob, 1);
  Come(kBob, 2);
  Take();
  EXPECT_EQ(broadcast.holes(), 0u);
  Pass(1min);
  EXPECT_THAT(Take(), IsEmpty());
}

TEST_F(RepairTest, TheNextAnnouncerIsAskedWhenTheFirstIsSilentOrGone) {
  UpAndSettled({kAnn, kBob, kCat});
  for (const std::uint32_t peer : {kAnn, kBob, kCat}) Hear(peer, IHave{{RangeOf(1, 2)}});
  Pass(kFirst);
  broadcast.NeighborDown(now, PeerOf(kBob), wishes);
  Pass(kNext);
  EXPECT_THAT(Take(), ElementsAre("graft 1 1", "graft 3 1"));
}

TEST_F(RepairTest, ThreeQuestionsAtMostAreOpen) {
  UpAndSettled({1, 2, 3, 4, 5});
  for (const std::uint32_t peer : {1, 2, 3, 4, 5}) Hear(peer, IHave{{RangeOf(1, 2)}});
  Pass(kFirst + 2 * kNext + kPatience - 1us);
  EXPECT_THAT(Take(), SizeIs(3));
  Pass(1us);
  EXPECT_THAT(Take(), ElementsAre("graft 4 1"));
}

TEST_F(RepairTest, AHoleInTheChainHoldsBackWhatFollowsUntilItIsFilled) {
  UpAndSettled({kAnn, kBob});
  Come(kAnn, 1);
  Take();
  Come(kAnn, 3);
  EXPECT_THAT(Take(), ElementsAre("push 2 3")) << "passed on, not delivered";
  EXPECT_GT(broadcast.held_bytes(), 0u);
  Pass(kFirst);
  EXPECT_THAT(Take(), ElementsAre("graft 1 2")) << "who sent the later one may have the earlier";
  Come(kBob, 2);
  EXPECT_THAT(Take(), ElementsAre("push 1 2", "deliver 2", "deliver 3"));
  EXPECT_EQ(broadcast.held_bytes(), 0u);
}

TEST_F(RepairTest, AHoleThatStaysIsMissingAfterTheHoldBack) {
  UpAndSettled({kAnn});
  Come(kAnn, 1);
  Come(kAnn, 4);
  Take();
  Pass(kHold - 1us);
  EXPECT_THAT(Take(), Not(Contains("missing 2-3")));
  Pass(1us);
  EXPECT_THAT(Take(), ElementsAre("missing 2-3", "deliver 4"));
}

TEST_F(RepairTest, WhatComesTooLateIsPassedOnOnceAndNotDelivered) {
  UpAndSettled({kAnn, kBob});
  Come(kAnn, 1);
  Come(kAnn, 3);
  Pass(kHold);
  Take();
  Come(kAnn, 2);
  EXPECT_THAT(Take(), ElementsAre("push 2 2"));
  EXPECT_EQ(broadcast.stats().late, 1u);
  Come(kAnn, 2);
  EXPECT_THAT(Take(), IsEmpty());
  EXPECT_EQ(broadcast.stats().late, 1u);
}

TEST_F(RepairTest, NumbersThatWereNeverBroadcastAreSkippedSilently) {
  UpAndSettled({kAnn});
  Come(kAnn, MakePiece(StreamOf(), 1, 10));
  Come(kAnn, MakePiece(StreamOf(), 11, 15, 5));
  EXPECT_THAT(Take(), ElementsAre("deliver 10", "deliver 15-19"));
  EXPECT_EQ(broadcast.Expected(StreamOf()), 20u);
}

TEST_F(RepairTest, OnlyTheNewPartOfAPieceIsDelivered) {
  UpAndSettled({kAnn});
  Come(kAnn, MakePiece(StreamOf(), 1, 1, 5));
  Come(kAnn, MakePiece(StreamOf(), 4, 4, 5));
  EXPECT_THAT(Take(), ElementsAre("deliver 1-5", "deliver 6-8"));
}

TEST_F(RepairTest, ATailThatNobodySendsIsMissingAfterThreeRounds) {
  UpAndSettled({kAnn});
  Come(kAnn, 1);
  Hear(kAnn, IHave{{RangeOf(2, 4)}});
  Take();
  Pass(kTailDeadline);
  EXPECT_THAT(Take(), ElementsAre("graft 1 2-3", "graft 1 2-3", "graft 1 2-3", "missing 2-3"));
}

TEST_F(RepairTest, AGenuinePieceIsDeliveredThoughItsNumbersWereGivenUpOnMereWords) {
  UpAndSettled({kAnn, kBob});
  Come(kAnn, 1);
  Hear(kBob, IHave{{RangeOf(2, 1000)}});
  Pass(kTailDeadline);
  EXPECT_THAT(Take(), Contains("missing 2-999"));
  Hear(kBob, IHave{{RangeOf(1000, 2000)}});
  Come(kAnn, 2);
  Come(kAnn, 3);
  EXPECT_THAT(Take(), ElementsAre("push 2 2", "deliver 2", "push 2 3", "deliver 3"));
}

TEST_F(RepairTest, WhoBreaksThreePromisesIsNotBelievedForAMinute) {
  UpAndSettled({kAnn, kBob});
  Come(kAnn, 1);
  for (std::uint64_t i = 0; i < 3; ++i) {
    Hear(kBob, IHave{{RangeOf(2 + i, 3 + i)}});
    Pass(kTailDeadline);
  }
  EXPECT_EQ(broadcast.stats().promises_broken, 3u);
  Take();
  Hear(kBob, IHave{{RangeOf(10, 11)}});
  EXPECT_EQ(broadcast.holes(), 0u);
  EXPECT_EQ(broadcast.stats().claims_ignored, 1u);
  Pass(kDisbelief);
  Hear(kBob, IHave{{RangeOf(10, 11)}});
  EXPECT_GT(broadcast.holes(), 0u);
}

TEST_F(RepairTest, AServedPromiseIsKept) {
  UpAndSettled({kAnn});
  for (std::uint64_t i = 1; i <= 10; ++i) {
    Hear(kAnn, IHave{{RangeOf(i, i + 1)}});
    Pass(kFirst + kNext);
    Come(kAnn, i);
  }
  EXPECT_EQ(broadcast.stats().promises_broken, 0u);
}

TEST_F(RepairTest, InventedAnnouncementsOfOneNeighborAreBounded) {
  UpAndSettled({kAnn, kBob});
  for (std::uint32_t i = 0; i < 5000; ++i)
    Hear(kBob, IHave{{Range{{PeerOf(kOrigin + i), 1, i % kChannels}, 1, ~std::uint64_t{0}, 0}}});
  EXPECT_LE(broadcast.holes(), kMaxHolesPerNeighbor);
  Come(kAnn, MakePiece({PeerOf(kOrigin), 1, 0}, 1, 1));
  EXPECT_THAT(Take(), Contains("deliver 1"));
  Pass(1min);
  EXPECT_EQ(broadcast.holes(), 0u);
}

TEST_F(RepairTest, TooMuchHeldBackOpensTheHole) {
  UpAndSettled({kAnn});
  Come(kAnn, 1);
  Take();
  for (std::uint64_t i = 3; Take().empty(); ++i) {
    ASSERT_LT(i, 20u);
    Come(kAnn, MakePiece(StreamOf(), i, i, 1, 100'000));
  }
  EXPECT_EQ(broadcast.held_bytes(), 0u);
  EXPECT_GT(broadcast.stats().missing_messages, 0u);
}

TEST_F(RepairTest, AJumpFarAheadMovesTheWindowAtOnce) {
  UpAndSettled({kAnn});
  Come(kAnn, 1);
  Come(kAnn, 3);
  Take();
  Come(kAnn, 100'000);
  EXPECT_THAT(Take(), ElementsAre("missing 2", "deliver 3", "missing 4-99999", "deliver 100000"));
}

TEST_F(RepairTest, NoHonestPeerSendsSuchRanges) {
  UpAndSettled({kAnn});
  const auto refused = [&](const Range& range) {
    return !Hear(kAnn, IHave{{range}}) && !Hear(kAnn, Graft{{range}}) &&
           !Hear(kAnn, Positions{{range}, true});
  };
  EXPECT_TRUE(refused({{PeerOf(kOrigin), 1, kChannels}, 1, 2, 0}));
  EXPECT_TRUE(refused({{PeerOf(kOrigin), 0, 0}, 1, 2, 0}));
  EXPECT_TRUE(refused({{PeerOf(kOrigin), 1, 0}, 0, 2, 0}));
  EXPECT_TRUE(refused({{PeerOf(kOrigin), 1, 0}, 3, 2, 0}));
  EXPECT_FALSE(Hear(kAnn, IHave{std::vector<Range>(kMaxRanges + 1, RangeOf(1, 2))}));
  EXPECT_TRUE(Hear(kAnn, Graft{std::vector<Range>(kMaxRanges, RangeOf(1, 2))}));
  EXPECT_THAT(Take(), IsEmpty());
}

TEST_F(RepairTest, WaitingFollowsTheMedianRoundTrip) {
  UpAndSettled({kAnn, kBob, kCat});
  broadcast.RoundTrip(PeerOf(kAnn), 10ms);
  broadcast.RoundTrip(PeerOf(kBob), 200ms);
  broadcast.RoundTrip(PeerOf(kCat), 20s);
  Hear(kAnn, IHave{{RangeOf(1, 2)}});
  Pass(899ms);
  EXPECT_THAT(Take(), IsEmpty());
  Pass(1ms);
  EXPECT_THAT(Take(), ElementsAre("graft 1 1"));
}

// A neighbour and an origin that know the rules and keep none: nothing breaks, nothing is delivered
// twice or out of order, and everything ends.
TEST_F(RepairTest, NonsenseEndsInOrder) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Rng rng({seed, 1, 2, 3});
    Broadcast victim(PeerOf(kSelf), Config{1 + seed % 3}, Rng({1, 2, 3, 4}));
    Wishes said;
    std::map<Stream, std::uint64_t> delivered;
    Instant at{};
    for (std::uint32_t peer = 1; peer <= 6; ++peer) victim.NeighborUp(at, PeerOf(peer), said);
    for (int step = 0; step < 3000; ++step) {
      const std::uint64_t what = rng.Below(20);
      const PeerId from = PeerOf(1 + static_cast<std::uint32_t>(rng.Below(8)));
      const Stream stream{PeerOf(kOrigin + static_cast<std::uint32_t>(rng.Below(2))),
                          1 + rng.Below(4), static_cast<std::uint32_t>(rng.Below(2))};
      const std::uint64_t a = 1 + rng.Below(60) + (rng.Below(200) == 0 ? 1'000'000 : 0);
      const std::uint64_t b = a + rng.Below(10);
      const std::uint64_t rows = 1 + rng.Below(5);
      const Range range{stream, a, rng.Below(50) == 0 ? ~std::uint64_t{0} : b,
                        static_cast<std::uint32_t>(rng.Below(20))};
      if (what < 10) {
        const auto hops = static_cast<std::uint32_t>(rng.Below(20));
        victim.Receive(at, from, MakePiece(stream, a, b, rows), hops, said);
      } else if (what < 13) {
        victim.Receive(at, from, IHave{{range, range}}, said);
      } else if (what < 14) {
        victim.Receive(at, from, Graft{{range}}, said);
      } else if (what < 15) {
        victim.Receive(at, from, Prune{rng.Below(4)}, said);
      } else if (what < 16) {
        victim.Receive(at, from, Positions{{range}, true}, said);
      } else if (what < 17 && rng.Below(20) == 0) {
        rng.Below(2) == 0 ? victim.NeighborUp(at, from, said) : victim.NeighborDown(at, from, said);
      } else {
        at += rng.Between(0us, 400ms);
        if (victim.NextWake() <= at) victim.Wake(at, said);
      }
      victim.CheckInvariants();
      for (const Wish& wish : said) {
        const auto* deliver = std::get_if<Deliver>(&wish);
        if (deliver == nullptr) continue;
        std::uint64_t& next = delivered[deliver->piece->stream];
        ASSERT_GE(deliver->first, next) << "seed " << seed << " step " << step;
        ASSERT_GE(deliver->first, deliver->piece->first);
        next = deliver->piece->next();
      }
      said.clear();
    }
    at += 30s;
    while (victim.NextWake() <= at) victim.Wake(at, said);
    EXPECT_EQ(victim.holes(), 0u) << "seed " << seed;
    EXPECT_EQ(victim.held_bytes(), 0u);
  }
}

}  // namespace
}  // namespace peermesh::broadcast
