#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "mesh/base/rng.h"
#include "mesh/membership/members.h"

namespace peermesh::membership {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::Field;

PeerId Peer(std::uint32_t number, std::uint8_t first = 100) {
  PeerId id;
  id.bytes[0] = first;
  for (int i = 0; i < 4; ++i)
    id.bytes[static_cast<std::size_t>(i) + 1] = static_cast<std::uint8_t>(number >> (24 - 8 * i));
  return id;
}

class MembersLargeTest : public testing::Test {
 protected:
  MembersLargeTest() { members.SetLarge(now, true); }
  ~MembersLargeTest() override { members.CheckInvariants(); }

  bool Describe(PeerId peer, std::uint64_t incarnation = 1,
                StateReason how = StateReason::kHeardOf) {
    Record record;
    record.id = peer;
    record.name = "peer";
    record.incarnation = incarnation;
    return members.Describe(now, std::move(record), how);
  }
  void Link(PeerId peer) { members.LinkUp(now, peer, "peer", 1, "", {}, 2); }
  void Unlink(PeerId peer, StateReason why = StateReason::kLinkBroken) {
    members.LinkDown(now, peer, why);
  }
  void Judge(PeerId peer, State state, StateReason reason = StateReason::kLinkBroken) {
    members.Judge(now, peer, state, reason);
  }
  State StateOf(PeerId peer) {
    members.CheckInvariants();
    return members.Find(peer)->state;
  }
  void Wait(Duration duration) {
    now += duration;
    while (members.NextWake() <= now) members.Wake(members.NextWake());
  }

  const PeerId self = Peer(0), one = Peer(1), two = Peer(2), three = Peer(3);
  Members members{self};
  Instant now{1h};
};

TEST_F(MembersLargeTest, WhoIsHeardOfIsAlive) {
  EXPECT_TRUE(Describe(one));
  EXPECT_EQ(StateOf(one), State::kAlive);
  Wait(1h);
  EXPECT_EQ(StateOf(one), State::kAlive) << "no timer runs";
  EXPECT_EQ(members.alive(), 1u);
}

TEST_F(MembersLargeTest, WhoIsOnlyRememberedDiesUnlessSomebodyTellsOfIt) {
  Describe(one, 1, StateReason::kRemembered);
  Describe(two, 1, StateReason::kRemembered);
  EXPECT_EQ(StateOf(one), State::kSuspect);
  EXPECT_EQ(members.TableHash(), Members(self).TableHash()) << "others are not told";
  EXPECT_TRUE(members.Wants(one, 1));
  EXPECT_FALSE(Describe(one)) << "the same record is no news";
  EXPECT_EQ(StateOf(one), State::kAlive) << "and still it speaks for the peer";
  EXPECT_NE(members.TableHash(), Members(self).TableHash());
  Wait(kRecallTime);
  EXPECT_EQ(StateOf(two), State::kDead);
  EXPECT_EQ(members.Find(two)->reason, StateReason::kRemembered);
  EXPECT_TRUE(members.Wants(two, 1));
  Describe(two);
  EXPECT_EQ(StateOf(two), State::kAlive) << "nobody ever spoke against it";
  EXPECT_FALSE(members.Wants(two, 1));
  EXPECT_TRUE(members.Wants(two, 2));
}

TEST_F(MembersLargeTest, LinksThatFailChangeTheConnectionOnly) {
  Describe(one);
  Link(one);
  members.Silent(now, one);
  EXPECT_EQ(StateOf(one), State::kAlive);
  Unlink(one, StateReason::kHeartbeatTimeout);
  EXPECT_EQ(StateOf(one), State::kAlive);
  EXPECT_EQ(members.Find(one)->connection, Connection::kDisconnected);
  EXPECT_EQ(members.Find(one)->connection_reason, StateReason::kHeartbeatTimeout);
  members.Dialling(now, one);
  members.DialFailed(now, one, StateReason::kConnectionRefused);
  EXPECT_EQ(StateOf(one), State::kAlive);
}

TEST_F(MembersLargeTest, TheQuorumsVerdictIsTheState) {
  Describe(one);
  members.TakeChanges();
  Judge(one, State::kSuspect, StateReason::kHeartbeatTimeout);
  EXPECT_EQ(StateOf(one), State::kSuspect);
  EXPECT_EQ(members.alive(), 1u);
  Judge(one, State::kDead);
  EXPECT_EQ(StateOf(one), State::kDead);
  EXPECT_EQ(members.Find(one)->reason, StateReason::kLinkBroken);
  EXPECT_EQ(members.alive(), 0u);
  Judge(one, State::kAlive, StateReason::kNone);
  EXPECT_EQ(StateOf(one), State::kAlive);
  Judge(one, State::kLeft, StateReason::kGoodbye);
  EXPECT_EQ(StateOf(one), State::kLeft);
  Judge(one, State::kDead);
  Judge(one, State::kAlive, StateReason::kNone);
  EXPECT_EQ(StateOf(one), State::kLeft) << "its own word is final for the incarnation";
  Judge(two, State::kDead);
  EXPECT_EQ(members.Find(two), nullptr);
  EXPECT_EQ(members.TakeChanges().size(), 1u);
}

TEST_F(MembersLargeTest, ALinkDoesNotOverruleAVerdictOfDeath) {
  Describe(one);
  Describe(two);
  Judge(one, State::kDead);
  Judge(two, State::kSuspect);
  Link(one);
  Link(two);
  EXPECT_EQ(StateOf(one), State::kDead);
  EXPECT_EQ(members.Find(one)->connection, Connection::kConnected);
  EXPECT_EQ(StateOf(two), State::kAlive);
  members.Heard(now, one);
  EXPECT_EQ(StateOf(one), State::kDead);
  EXPECT_TRUE(Describe(one, 2));
  EXPECT_EQ(StateOf(one), State::kAlive);
}

TEST_F(MembersLargeTest, ALargerIncarnationRevivesTheSuspectTheDeadAndTheLeft) {
  for (const State state : {State::kSuspect, State::kDead, State::kLeft}) {
    const PeerId peer = Peer(static_cast<std::uint32_t>(state), 7);
    Describe(peer, 4);
    Judge(peer, state);
    EXPECT_FALSE(Describe(peer, 4));
    EXPECT_EQ(StateOf(peer), state) << "that is what the verdict was about";
    EXPECT_TRUE(Describe(peer, 5));
    EXPECT_EQ(StateOf(peer), State::kAlive);
  }
}

TEST_F(MembersLargeTest, BeliefsAreIgnored) {
  Describe(one);
  Judge(one, State::kDead);
  members.Belief(now, two, one, 1, true, false);
  EXPECT_EQ(StateOf(one), State::kDead);
  EXPECT_TRUE(members.Vouchers(one).empty());
}

TEST_F(MembersLargeTest, WhoGrowsKeepsWhatLinksTold) {
  Members grown{self};
  const auto state = [&](PeerId peer) { return grown.Find(peer)->state; };
  const PeerId four = Peer(4);
  for (const PeerId& peer : {one, two, three, four}) {
    Record record;
    record.id = peer;
    record.incarnation = 5;
    grown.Describe(now, record, StateReason::kHeardOf);
    grown.LinkUp(now, peer, "", 1, "", {}, 1);
    if (peer != four) grown.LinkDown(now, peer, StateReason::kLinkBroken);
  }
  grown.Silent(now, four);
  grown.Belief(now, Peer(9), one, 5, true, false);
  grown.DialFailed(now, one, StateReason::kConnectionRefused);
  grown.DialFailed(now, two, StateReason::kConnectionRefused);
  ASSERT_EQ(state(one), State::kUnreachable);
  grown.SetLarge(now, true);
  grown.CheckInvariants();
  EXPECT_EQ(state(one), State::kAlive) << "somebody had it";
  EXPECT_EQ(state(two), State::kDead);
  EXPECT_EQ(state(three), State::kSuspect);
  grown.LinkDown(now, four, StateReason::kHeartbeatTimeout);
  EXPECT_EQ(state(four), State::kSuspect);
  grown.Wake(now + kRecallTime - 1us);
  EXPECT_EQ(state(three), State::kSuspect) << "its neighbours may have it";
  EXPECT_TRUE(grown.Wants(three, 5)) << "and are asked";
  Record told;
  told.id = three;
  told.incarnation = 5;
  grown.Describe(now, told, StateReason::kHeardOf);
  EXPECT_EQ(state(three), State::kAlive) << "they do";
  grown.Wake(now + kRecallTime);
  EXPECT_EQ(state(four), State::kDead) << "nobody has told of it";
  grown.LinkUp(now, two, "", 1, "", {}, 1);
  EXPECT_EQ(state(two), State::kAlive) << "no verdict was passed on it";
  grown.Judge(now, three, State::kDead, StateReason::kLinkBroken);
  EXPECT_EQ(state(three), State::kDead);
  grown.CheckInvariants();
}

TEST_F(MembersLargeTest, WhoShrinksGivesTheUnlinkedTimeToBeLinked) {
  for (const PeerId& peer : {one, two, three}) Describe(peer);
  Describe(Peer(4));
  Link(two);
  Judge(two, State::kDead);
  Judge(three, State::kDead);
  members.SetLarge(now, false);
  EXPECT_EQ(StateOf(two), State::kAlive) << "links decide now";
  EXPECT_EQ(StateOf(three), State::kDead);
  Wait(kRelinkTime - 1us);
  EXPECT_EQ(StateOf(one), State::kAlive);
  Link(one);
  Wait(1us);
  EXPECT_EQ(StateOf(one), State::kAlive);
  EXPECT_EQ(StateOf(Peer(4)), State::kDead);
  Unlink(one);
  EXPECT_EQ(StateOf(one), State::kSuspect);
  Wait(kSuspicion);
  EXPECT_EQ(StateOf(one), State::kDead);
}

TEST_F(MembersLargeTest, OfVerdictsOnlyThatOneLeftCountsInASmallMesh) {
  members.SetLarge(now, false);
  Describe(one);
  Link(one);
  Judge(one, State::kDead);
  EXPECT_EQ(StateOf(one), State::kAlive);
  Judge(one, State::kLeft, StateReason::kGoodbye);
  EXPECT_EQ(StateOf(one), State::kLeft);
}

TEST_F(MembersLargeTest, TheHashTellsWhoLivesInWhichIncarnation) {
  Members other{one};
  other.SetLarge(now, true);
  members.SetSelf(7);
  other.SetSelf(8);
  EXPECT_NE(members.TableHash(), other.TableHash());
  Record record;
  record.id = self;
  record.incarnation = 7;
  other.Describe(now, record, StateReason::kHeardOf);
  Describe(one, 8);
  EXPECT_EQ(members.TableHash(), other.TableHash()) << "each counts itself";
  Describe(two);
  EXPECT_NE(members.TableHash(), other.TableHash());
  EXPECT_NE(members.PartHashes()[100], other.PartHashes()[100]);
  EXPECT_EQ(members.PartHashes()[99], other.PartHashes()[99]);
  EXPECT_NE(members.PartHashes()[99], 0u);
  const std::uint64_t before = members.TableHash();
  Judge(two, State::kSuspect);
  EXPECT_EQ(members.TableHash(), before) << "suspects are sometimes seen here and not there";
  Judge(two, State::kDead);
  EXPECT_EQ(members.TableHash(), other.TableHash());
  EXPECT_NE(Members(self).TableHash(), 0u);
}

TEST_F(MembersLargeTest, AFullTableTakesNoHearsayInPlaceOfTheLiving) {
  for (std::uint32_t i = 10; members.size() < kMaxPeers; ++i) Describe(Peer(i));
  EXPECT_FALSE(Describe(one));
  Judge(Peer(10), State::kDead);
  EXPECT_FALSE(Describe(one)) << "its record may still be on its way to us";
  now += kSettled;
  EXPECT_TRUE(Describe(one));
  EXPECT_EQ(members.Find(Peer(10)), nullptr);
}

TEST_F(MembersLargeTest, ALinkInAFullTablePushesOutTheLostAndThenTheFarthest) {
  for (std::uint32_t i = 10; members.size() + 2 < kMaxPeers; ++i) Describe(Peer(i));
  const PeerId far = Peer(1, 100 ^ 0x80), farther = Peer(0, 100 ^ 0x80);
  Describe(far);
  Link(farther);
  ASSERT_EQ(members.size(), kMaxPeers);
  Judge(Peer(10), State::kDead);
  Link(one);
  EXPECT_EQ(members.Find(Peer(10)), nullptr) << "the dead first";
  Link(two);
  EXPECT_EQ(members.Find(far), nullptr);
  EXPECT_NE(members.Find(farther), nullptr) << "who has a link stays";
  Link(three);
  EXPECT_EQ(members.Find(Peer(11)), nullptr) << "the circle of ids goes on at its start";
  EXPECT_EQ(members.size(), kMaxPeers);
}

TEST_F(MembersLargeTest, NamesAndPrefixesAreFoundAmongThousands) {
  Rng rng({5, 6, 7, 8});
  std::vector<PeerId> ids;
  for (int i = 0; i < 2000; ++i) {
    Record record;
    for (std::uint8_t& byte : record.id.bytes) byte = static_cast<std::uint8_t>(rng.Next());
    record.incarnation = 1;
    record.name = "peer-" + std::to_string(i % 1999);
    ids.push_back(record.id);
    members.Describe(now, std::move(record), StateReason::kHeardOf);
  }
  EXPECT_TRUE(members.Resolve("peer-0").ambiguous) << "two have that name";
  EXPECT_EQ(members.Resolve("peer-77").peer, ids[77]);
  EXPECT_FALSE(members.Resolve("peer-").peer || members.Resolve("peer-").ambiguous);
  for (const PeerId& id : ids) {
    EXPECT_EQ(members.Resolve(id.ToText()).peer, id);
    const std::string prefix = id.ToText().substr(0, 5);
    std::size_t like = 0;
    for (const PeerId& other : ids) like += other.ToText().starts_with(prefix);
    const Members::Lookup found = members.Resolve(prefix);
    EXPECT_EQ(found.ambiguous, like > 1) << prefix;
    if (like == 1) {
      EXPECT_EQ(found.peer, id);
    }
  }
  for (const char* nonsense : {"aaa1", "AAAA", "a.b.c", "\xff\xff\xff\xff"}) {
    EXPECT_FALSE(members.Resolve(nonsense).peer) << nonsense;
  }
  EXPECT_FALSE(members.Resolve(std::string(52, '7')).peer) << "more bits than an id has";
  EXPECT_FALSE(members.Resolve(ids[0].ToText() + "a").peer);
}

TEST_F(MembersLargeTest, ANameThatChangesIsFoundUnderTheNewOne) {
  Describe(one);
  EXPECT_EQ(members.Resolve("peer").peer, one);
  members.LinkUp(now, one, "renamed", 1, "v2", {}, 1);
  EXPECT_FALSE(members.Resolve("peer").peer);
  EXPECT_EQ(members.Resolve("renamed").peer, one);
  EXPECT_EQ(members.View(*members.Find(one)).software, "v2");
  Describe(one, 2);
  EXPECT_EQ(members.Resolve("peer").peer, one);
}

TEST_F(MembersLargeTest, ARoundTripIsReportedWhenItMovedByAnEighth) {
  Link(one);
  members.TakeChanges();
  members.RoundTrip(one, 8000us);
  EXPECT_EQ(members.TakeChanges().size(), 1u);
  members.RoundTrip(one, 15'000us);
  EXPECT_EQ(members.Find(one)->round_trip, 8875us);
  EXPECT_TRUE(members.TakeChanges().empty());
  members.RoundTrip(one, 15'000us);
  const auto changes = members.TakeChanges();
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_EQ(changes[0].peer.round_trip, members.Find(one)->round_trip);
}

TEST_F(MembersLargeTest, RemovedAndChangedRowsComeInOneOrder) {
  Describe(Peer(5));
  Describe(one);
  Describe(three);
  Judge(three, State::kDead);
  members.TakeChanges();
  now += kPeerMemory;
  members.Wake(now);
  Judge(one, State::kSuspect);
  Judge(Peer(5), State::kSuspect);
  EXPECT_THAT(members.TakeChanges(), ElementsAre(Field(&Members::Change::removed, false),
                                                 Field(&Members::Change::removed, true),
                                                 Field(&Members::Change::removed, false)));
}

// Whatever happens in whatever order, every index and hash is what a recount says.
TEST(MembersRandomTest, IndicesAgreeWithTheRowsAfterAnything) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Rng rng({seed, 1, 2, 3});
    Instant now{1h};
    Members members{Peer(0)};
    std::vector<bool> linked(40);
    for (int step = 0; step < 2000; ++step) {
      now += Duration(static_cast<std::int64_t>(rng.Below(600'000)));
      members.Wake(now);
      ASSERT_GT(members.NextWake(), now);
      const std::uint32_t number = 1 + static_cast<std::uint32_t>(rng.Below(39));
      const PeerId peer = Peer(number, static_cast<std::uint8_t>(number));
      const PeerId other = Peer(40);
      const auto reason = static_cast<StateReason>(1 + rng.Below(13));
      const std::uint64_t word = 1 + rng.Below(5);
      switch (rng.Below(12)) {
        case 0:
        case 1: {
          Record record;
          record.id = peer;
          record.incarnation = word;
          record.name = std::string(word, 'n');
          members.Describe(now, record,
                           word == 1 ? StateReason::kRemembered : StateReason::kHeardOf);
          break;
        }
        case 2:
          members.LinkUp(now, peer, "n", word, "", {}, 1);
          linked[number] = true;
          break;
        case 3:
          if (linked[number]) members.LinkDown(now, peer, reason);
          linked[number] = false;
          break;
        case 4:
          if (linked[number]) members.Silent(now, peer);
          break;
        case 5: members.Heard(now, peer); break;
        case 6: members.DialFailed(now, peer, reason); break;
        case 7: members.Left(now, peer); break;
        case 8: members.Belief(now, other, peer, word, word > 2, word == 1); break;
        case 9: members.Judge(now, peer, static_cast<State>(1 + rng.Below(4)), reason); break;
        case 10:
          if (word == 1) members.SetLarge(now, !members.large());
          if (word == 2) members.ForgetBeliefsOf(now, other);
          break;
        default: members.TakeChanges();
      }
      members.CheckInvariants();
    }
  }
}

}  // namespace
}  // namespace peermesh::membership
