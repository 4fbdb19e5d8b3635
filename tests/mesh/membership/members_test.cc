#include "mesh/membership/members.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace peermesh::membership {
namespace {

using namespace std::chrono_literals;

constexpr std::uint8_t kInbound = 1, kOutbound = 2;

PeerId Peer(std::uint32_t number) {
  PeerId id;
  id.bytes[0] = 100;
  for (int i = 0; i < 4; ++i)
    id.bytes[static_cast<std::size_t>(i) + 1] = static_cast<std::uint8_t>(number >> (24 - 8 * i));
  return id;
}

class MembersTest : public testing::Test {
 protected:
  ~MembersTest() override { members.CheckInvariants(); }

  bool Describe(PeerId peer, std::uint64_t incarnation = 1,
                StateReason how = StateReason::kHeardOf) {
    Record record;
    record.id = peer;
    record.name = "peer";
    record.incarnation = incarnation;
    record.addresses = {"host:1"};
    record.epoch = incarnation;
    return members.Describe(now, std::move(record), how);
  }
  void Link(PeerId peer, std::uint8_t direction = kOutbound) {
    members.LinkUp(now, peer, "peer", 1, "test", {}, direction);
  }
  void Unlink(PeerId peer, StateReason why = StateReason::kLinkBroken) {
    members.LinkDown(now, peer, why);
  }
  void Refuse(PeerId peer) { members.DialFailed(now, peer, StateReason::kConnectionRefused); }
  // `from` says that it has a link to `about`, or not.
  void Says(PeerId from, PeerId about, bool linked, std::uint64_t incarnation = 1,
            bool left = false) {
    members.Belief(now, from, about, incarnation, linked, left);
  }
  const Row& RowOf(PeerId peer) { return *members.Find(peer); }
  void ExpectState(PeerId peer, State state, StateReason reason) {
    members.CheckInvariants();
    EXPECT_EQ(RowOf(peer).state, state);
    EXPECT_EQ(RowOf(peer).reason, reason);
  }
  // A peer that was linked and whose process is gone.
  void Lose(PeerId peer) {
    Describe(peer);
    Link(peer);
    Unlink(peer);
    Refuse(peer);
  }
  // Moves to the next deadline.
  void Wait() {
    now = members.NextWake();
    ASSERT_NE(now, kNever);
    members.Wake(now);
  }

  const PeerId self = Peer(0), one = Peer(1), two = Peer(2), three = Peer(3);
  Members members{self};
  Instant now{1h};
};

TEST_F(MembersTest, APeerHeardOfIsSuspectUntilALinkOrTimeTells) {
  EXPECT_TRUE(Describe(one));
  ExpectState(one, State::kSuspect, StateReason::kHeardOf);
  EXPECT_EQ(RowOf(one).connection, Connection::kIdle);
  Describe(two);
  Link(two);
  ExpectState(two, State::kAlive, StateReason::kNone);
  Wait();
  EXPECT_LE(now, Instant(1h) + 1s);
  ExpectState(one, State::kDead, StateReason::kHeardOf);
  ExpectState(two, State::kAlive, StateReason::kNone);
}

TEST_F(MembersTest, ALinkShowsWhatItsHandshakeSaid) {
  members.LinkUp(now, one, "alpha", 77, "v1", WallTime(5s), kInbound);
  const Row& row = RowOf(one);
  EXPECT_EQ(row.name(), "alpha");
  EXPECT_EQ(row.epoch, 77u);
  EXPECT_EQ(row.software(), "v1");
  EXPECT_EQ(row.certificate_expiry, WallTime(5s));
  EXPECT_EQ(row.direction, kInbound);
  EXPECT_EQ(row.connection, Connection::kConnected);
  EXPECT_EQ(row.since, now);
  members.Keep(one, kOutbound);
  EXPECT_EQ(row.direction, kOutbound);
}

TEST_F(MembersTest, OnlyALargerIncarnationIsNews) {
  EXPECT_TRUE(Describe(one, 5));
  EXPECT_FALSE(Describe(one, 5));
  EXPECT_FALSE(Describe(one, 4));
  EXPECT_TRUE(Describe(one, 6));
  EXPECT_EQ(RowOf(one).incarnation, 6u);
  EXPECT_FALSE(Describe(self, 100)) << "nobody tells us about ourselves";
}

TEST_F(MembersTest, ARecordDoesNotContradictTheLinkAboutTheEpoch) {
  members.LinkUp(now, one, "peer", 9, "test", {}, kInbound);
  EXPECT_TRUE(Describe(one, 3));
  EXPECT_EQ(RowOf(one).epoch, 9u);
}

TEST_F(MembersTest, SilenceIsSuspicionAndThenDeath) {
  Link(one);
  members.Silent(now, one);
  ExpectState(one, State::kSuspect, StateReason::kHeartbeatTimeout);
  members.Heard(now, one);
  ExpectState(one, State::kAlive, StateReason::kNone);
  members.Silent(now, one);
  EXPECT_EQ(members.NextWake(), kNever) << "while linked, the link's own timer decides";
  Unlink(one, StateReason::kHeartbeatTimeout);
  ExpectState(one, State::kDead, StateReason::kHeartbeatTimeout);
}

TEST_F(MembersTest, ABrokenLinkIsSuspicionAndARefusedDialDeath) {
  Link(one);
  Unlink(one);
  ExpectState(one, State::kSuspect, StateReason::kLinkBroken);
  members.Dialling(now, one);
  EXPECT_EQ(RowOf(one).connection, Connection::kConnecting);
  Refuse(one);
  ExpectState(one, State::kDead, StateReason::kConnectionRefused);
  EXPECT_EQ(RowOf(one).connection, Connection::kDisconnected);
}

TEST_F(MembersTest, OtherFailuresOfADialDecideNothing) {
  Link(one);
  Unlink(one);
  for (const StateReason why : {StateReason::kDialTimeout, StateReason::kDialRejected,
                                StateReason::kDialUnreachable, StateReason::kLinkBroken}) {
    members.DialFailed(now, one, why);
    ExpectState(one, State::kSuspect, StateReason::kLinkBroken);
    EXPECT_EQ(RowOf(one).connection_reason, why);
  }
  Wait();
  ExpectState(one, State::kDead, StateReason::kLinkBroken);
}

TEST_F(MembersTest, AFailedDialSaysNothingAgainstALink) {
  Link(one);
  members.Dialling(now, one);
  Refuse(one);
  ExpectState(one, State::kAlive, StateReason::kNone);
  EXPECT_EQ(RowOf(one).connection, Connection::kConnected);
}

TEST_F(MembersTest, AGoodbyeIsFinalForItsIncarnation) {
  Describe(one, 5);
  Link(one);
  members.Left(now, one);
  ExpectState(one, State::kLeft, StateReason::kGoodbye);
  members.Silent(now, one);
  members.Heard(now, one);
  ExpectState(one, State::kLeft, StateReason::kGoodbye);
  Unlink(one, StateReason::kLinkClosed);
  Refuse(one);
  EXPECT_FALSE(Describe(one, 5));
  Says(two, one, true, 5);
  ExpectState(one, State::kLeft, StateReason::kGoodbye);
  EXPECT_TRUE(Describe(one, 6));
  ExpectState(one, State::kSuspect, StateReason::kHeardOf);
}

TEST_F(MembersTest, ANewLinkRevivesWhoeverLeftOrDied) {
  Link(one);
  members.Left(now, one);
  Unlink(one);
  Lose(two);
  for (const PeerId& peer : {one, two}) {
    Link(peer);
    ExpectState(peer, State::kAlive, StateReason::kNone);
  }
}

TEST_F(MembersTest, WhoIsLostHereAndLinkedElsewhereIsUnreachable) {
  Describe(one);
  Link(one);
  Says(two, one, true);
  Unlink(one);
  Refuse(one);
  ExpectState(one, State::kUnreachable, StateReason::kConnectionRefused);
  Says(two, one, false);
  ExpectState(one, State::kDead, StateReason::kConnectionRefused);
  Says(three, one, true);
  ExpectState(one, State::kUnreachable, StateReason::kConnectionRefused);
  members.ForgetBeliefsOf(now, three);
  ExpectState(one, State::kDead, StateReason::kConnectionRefused);
}

TEST_F(MembersTest, TheLastVoucherDecides) {
  Lose(one);
  Says(two, one, true);
  Says(three, one, true);
  Says(two, one, false);
  EXPECT_EQ(RowOf(one).state, State::kUnreachable);
  Says(three, one, false);
  EXPECT_EQ(RowOf(one).state, State::kDead);
}

TEST_F(MembersTest, HearsaySaysNothingAgainstALink) {
  Describe(one);
  Link(one);
  Says(two, one, false);
  Says(two, one, false, 1, true);
  ExpectState(one, State::kAlive, StateReason::kNone);
}

TEST_F(MembersTest, ABeliefAboutAnEarlierIncarnationCountsForNothing) {
  Lose(one);
  EXPECT_TRUE(Describe(one, 7));
  Says(two, one, true, 6);
  EXPECT_EQ(RowOf(one).state, State::kDead);
  Says(two, one, false, 6, true);
  EXPECT_EQ(RowOf(one).state, State::kDead) << "that was an earlier goodbye";
  Says(two, one, true, 7);
  EXPECT_EQ(RowOf(one).state, State::kUnreachable);
}

TEST_F(MembersTest, AGoodbyeHeardSecondHandCountsForTheDead) {
  Lose(one);
  Says(two, one, true);
  Says(three, one, false, 1, true);
  EXPECT_EQ(RowOf(one).state, State::kUnreachable) << "somebody still has it";
  Says(two, one, false, 1, true);
  ExpectState(one, State::kLeft, StateReason::kGoodbye);
}

TEST_F(MembersTest, BeliefsAboutStrangersOurselvesOrTheSpeakerAreIgnored) {
  Link(two);
  Says(two, one, true);
  Says(two, self, false);
  Says(two, two, false);
  EXPECT_EQ(members.size(), 1u);
  EXPECT_EQ(RowOf(two).state, State::kAlive);
}

TEST_F(MembersTest, TheLostAreForgottenADayAfterTheyWereAlive) {
  Lose(one);
  const Instant alive = now;
  now += 1h;
  Refuse(one);
  members.TakeChanges();
  Wait();
  EXPECT_EQ(now, alive + kPeerMemory);
  EXPECT_EQ(members.Find(one), nullptr);
  const auto changes = members.TakeChanges();
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_TRUE(changes[0].removed);
  EXPECT_EQ(changes[0].peer.id, one);
}

TEST_F(MembersTest, NobodyWithALinkIsForgotten) {
  Link(one);
  Link(two);
  members.Left(now, two);
  EXPECT_EQ(members.NextWake(), kNever);
  now += 10 * kPeerMemory;
  members.Wake(now);
  EXPECT_EQ(members.size(), 2u);
}

TEST_F(MembersTest, RoundTripsAreSmoothed) {
  Link(one);
  members.RoundTrip(one, 800us);
  EXPECT_EQ(RowOf(one).round_trip, 800us);
  members.RoundTrip(one, 1600us);
  EXPECT_EQ(RowOf(one).round_trip, 900us);
  members.RoundTrip(one, -1us);
  members.RoundTrip(two, 5us);
  EXPECT_EQ(RowOf(one).round_trip, 900us);
  Unlink(one);
  EXPECT_FALSE(RowOf(one).round_trip.has_value());
}

TEST_F(MembersTest, ChangesComeOnceEachInOrderOfIds) {
  Link(two);
  Link(one);
  members.Silent(now, two);
  auto changes = members.TakeChanges();
  ASSERT_EQ(changes.size(), 2u);
  EXPECT_EQ(changes[0].peer.id, one);
  EXPECT_EQ(changes[1].peer.id, two);
  EXPECT_EQ(changes[1].peer.state, State::kSuspect);
  EXPECT_TRUE(members.TakeChanges().empty());
}

TEST_F(MembersTest, NamesIdsAndUniquePrefixesAreResolved) {
  members.LinkUp(now, one, "alpha", 1, "", {}, kInbound);
  members.LinkUp(now, two, "beta", 1, "", {}, kInbound);
  EXPECT_EQ(members.Resolve("alpha").peer, one);
  EXPECT_EQ(members.Resolve(two.ToText()).peer, two);
  const auto shared = members.Resolve(one.ToText().substr(0, 4));
  EXPECT_TRUE(shared.ambiguous && !shared.peer) << "all of them begin alike";
  EXPECT_FALSE(members.Resolve("nobody").peer || members.Resolve("nobody").ambiguous);
  EXPECT_FALSE(members.Resolve(one.ToText().substr(0, 3)).ambiguous) << "too short to be meant";
  EXPECT_EQ(members.Resolve(self.ToText()).peer, self);
  members.LinkUp(now, three, one.ToText().substr(0, 4), 1, "", {}, kInbound);
  EXPECT_EQ(members.Resolve(one.ToText().substr(0, 4)).peer, three) << "a name wins over prefixes";
  members.LinkUp(now, Peer(4), "alpha", 1, "", {}, kInbound);
  EXPECT_TRUE(members.Resolve("alpha").ambiguous);
}

TEST_F(MembersTest, AFullTableGivesUpItsOldestLostRowAndNeverTheLiving) {
  Link(one);
  Lose(two);  // the oldest of the lost
  for (std::uint32_t i = 10; members.size() < kMaxPeers; ++i) {
    now += 1us;
    Lose(Peer(i));
  }
  EXPECT_TRUE(Describe(Peer(100'000)));
  EXPECT_EQ(members.size(), kMaxPeers);
  EXPECT_EQ(members.Find(two), nullptr);
  EXPECT_NE(members.Find(one), nullptr);
  members.Left(now, one);
  EXPECT_TRUE(Describe(Peer(100'001)));
  EXPECT_NE(members.Find(one), nullptr) << "it left, and its link is still there";
}

TEST_F(MembersTest, ATableFullOfSuspectsTakesNoHearsayButALink) {
  for (std::uint32_t i = 10; members.size() < kMaxPeers; ++i) {
    now += 1us;
    EXPECT_TRUE(Describe(Peer(i)));
  }
  EXPECT_FALSE(Describe(one));
  EXPECT_EQ(members.Find(one), nullptr);
  Link(one);
  EXPECT_EQ(RowOf(one).state, State::kAlive);
  EXPECT_EQ(members.Find(Peer(10)), nullptr) << "the oldest suspect made room";
  EXPECT_EQ(members.size(), kMaxPeers);
}

TEST_F(MembersTest, TheDigestTellsStatesApart) {
  Link(one);
  const std::uint64_t alive = members.Digest();
  members.Silent(now, one);
  EXPECT_NE(members.Digest(), alive);
}

TEST_F(MembersTest, EveryReasonHasItsName) {
  for (int reason = 1; reason <= static_cast<int>(StateReason::kProtocolError); ++reason) {
    EXPECT_STRNE(ToString(static_cast<StateReason>(reason)), "") << reason;
  }
  EXPECT_STREQ(ToString(StateReason::kNone), "");
}

}  // namespace
}  // namespace peermesh::membership
