#include "mesh/discovery/address_book.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

namespace peermesh::discovery {
namespace {

using namespace std::chrono_literals;
using Attempt = AddressBook::Attempt;

PeerId Peer(std::uint8_t number) {
  PeerId id;
  id.bytes[0] = number;
  return id;
}

class AddressBookTest : public testing::Test {
 protected:
  ~AddressBookTest() override { book.CheckInvariants(); }

  std::vector<Attempt> TakeDue() {
    std::vector<Attempt> due = book.TakeDue(now);
    book.CheckInvariants();
    return due;
  }
  // The one dial that is due at the next deadline.
  Attempt Next() {
    now = std::max(now, book.NextWake());
    EXPECT_NE(now, kNever);
    const std::vector<Attempt> due = TakeDue();
    EXPECT_EQ(due.size(), 1u);
    return due.empty() ? Attempt{} : due.front();
  }
  void Fail(const Attempt& attempt) {
    book.Failed(now, attempt.dial);
    book.CheckInvariants();
  }
  void Succeed(const Attempt& attempt, PeerId peer) {
    book.Succeeded(attempt.dial, peer);
    book.Linked(now, peer);
    book.CheckInvariants();
  }
  void Unlink(PeerId peer) {
    book.Unlinked(now, peer);
    book.CheckInvariants();
  }
  bool Idle() { return book.NextWake() == kNever; }

  const PeerId self = Peer(50), smaller = Peer(10), larger = Peer(90);
  AddressBook book{self, Rng({1, 2, 3, 4})};
  Instant now{1h};
};

TEST_F(AddressBookTest, ASeedIsDialledAtOnceWithoutKnowingItsOwner) {
  book.AddSeed(now, "seed:1");
  EXPECT_EQ(book.NextWake(), now);
  const Attempt attempt = Next();
  EXPECT_EQ(attempt.address, "seed:1");
  EXPECT_FALSE(attempt.expected.has_value());
  EXPECT_TRUE(Idle()) << "one dial at a time";
  Succeed(attempt, larger);
  EXPECT_TRUE(Idle());
}

TEST_F(AddressBookTest, WaitsGrowWithJitterUpToTheirBound) {
  book.AddSeed(now, "seed:1");
  Duration longest{};
  int at_least_five = 0;
  for (int i = 0; i < 200; ++i) {
    Fail(Next());
    const Duration wait = book.NextWake() - now;
    if (i == 0) {
      EXPECT_EQ(wait, kRedialMin);
    }
    ASSERT_GE(wait, kRedialMin);
    ASSERT_LE(wait, kRedialMax);
    longest = std::max(longest, wait);
    at_least_five += wait >= 5s;
  }
  EXPECT_GT(longest, kRedialMax * 9 / 10) << "sought for ever, at the slowest pace in the end";
  EXPECT_GT(at_least_five, 20);
  EXPECT_LT(at_least_five, 180) << "drawn, not doubled in step";
}

TEST_F(AddressBookTest, TheSmallerIdDialsFirst) {
  book.Learn(now, larger, {"large:1"});
  EXPECT_EQ(book.NextWake(), now) << "ours is smaller";
  const Attempt attempt = Next();
  EXPECT_EQ(attempt.expected, larger);
  book.Learn(now, smaller, {"small:1"});
  EXPECT_GT(book.NextWake(), now) << "it dials; we only make sure";
  EXPECT_LT(book.NextWake(), now + kRedialMin);
}

TEST_F(AddressBookTest, AddressesAreTriedInTurn) {
  book.Learn(now, larger, {"a:1", "b:1", "c:1"});
  std::vector<std::string> tried;
  for (int i = 0; i < 4; ++i) {
    const Attempt attempt = Next();
    tried.push_back(attempt.address);
    Fail(attempt);
  }
  EXPECT_EQ(tried, (std::vector<std::string>{"a:1", "b:1", "c:1", "a:1"}));
}

TEST_F(AddressBookTest, APeerWithoutAddressesIsNeverDialled) {
  book.Learn(now, larger, {});
  EXPECT_TRUE(Idle());
  book.Linked(now, smaller);
  now += 1h;
  Unlink(smaller);
  EXPECT_TRUE(Idle());
}

TEST_F(AddressBookTest, AddressesMayGoWhileTheLastOneIsDialled) {
  book.Learn(now, larger, {"a:1"});
  const Attempt attempt = Next();
  book.Learn(now, larger, {});
  Fail(attempt);
  EXPECT_TRUE(Idle());
  book.Learn(now, larger, {"b:1"});
  EXPECT_EQ(Next().address, "b:1");
}

TEST_F(AddressBookTest, NewAddressesAreTriedAtOnceAndOldOnesKeepTheirWait) {
  book.Learn(now, larger, {"a:1"});
  Fail(Next());
  const Instant due = book.NextWake();
  book.Learn(now, larger, {"a:1"});
  EXPECT_EQ(book.NextWake(), due);
  book.Learn(now, larger, {"b:1"});
  EXPECT_EQ(book.NextWake(), now);
}

TEST_F(AddressBookTest, OurselvesAreNotLearnt) {
  book.Learn(now, self, {"me:1"});
  EXPECT_TRUE(Idle());
}

TEST_F(AddressBookTest, ASeedThatIsOurselvesIsNeverDialledAgain) {
  book.AddSeed(now, "me:1");
  book.IsSelf(now, Next().dial);
  EXPECT_TRUE(Idle());
  book.Linked(now, larger);
  EXPECT_TRUE(Idle()) << "not even when everybody lost is due";
}

TEST_F(AddressBookTest, APeerWhoseAddressLeadsToUsHasOthers) {
  book.Learn(now, larger, {"me:1", "there:1"});
  book.IsSelf(now, Next().dial);
  EXPECT_EQ(Next().address, "there:1");
}

TEST_F(AddressBookTest, SeedsThatStayKeepTheirRhythm) {
  for (const char* seed : {"a:1", "b:1", "c:1"}) book.AddSeed(now, seed);
  for (const Attempt& attempt : TakeDue()) Fail(attempt);
  const Instant due = book.NextWake();
  book.SetSeeds(now, {"c:1", "a:1"});
  EXPECT_EQ(book.NextWake(), due) << "nothing is new";
  now = due;
  std::set<std::string> dialled;
  for (const Attempt& attempt : TakeDue()) dialled.insert(attempt.address);
  EXPECT_EQ(dialled, (std::set<std::string>{"a:1", "c:1"}));
}

TEST_F(AddressBookTest, ASeedThatGoesWhileItIsDialledIsNotSoughtAgain) {
  book.AddSeed(now, "gone:1");
  book.AddSeed(now, "stays:1");
  const std::vector<Attempt> due = TakeDue();
  ASSERT_EQ(due.size(), 2u);
  book.SetSeeds(now, {"stays:1"});
  Fail(due[0]);
  EXPECT_TRUE(Idle()) << "the other is still being dialled";
  Fail(due[1]);
  EXPECT_EQ(Next().address, "stays:1");
  EXPECT_TRUE(Idle());
}

TEST_F(AddressBookTest, ASeedThatGoesWhileItIsDialledMayStillBecomeALink) {
  book.AddSeed(now, "gone:1");
  const Attempt attempt = Next();
  book.SetSeeds(now, {});
  Succeed(attempt, larger);
  Unlink(larger);
  EXPECT_TRUE(Idle()) << "nothing is known of where it lives";
}

TEST_F(AddressBookTest, ASeedTwiceInTheListIsTwoSeeds) {
  book.AddSeed(now, "a:1");
  Fail(Next());
  book.SetSeeds(now, {"a:1", "a:1"});
  EXPECT_EQ(book.NextWake(), now) << "one of them is new";
  book.SetSeeds(now, {"a:1"});
  EXPECT_GT(book.NextWake(), now) << "the one that stayed waits for its time";
}

TEST_F(AddressBookTest, NoMoreSeedsThanThereIsRoomFor) {
  std::vector<std::string> many;
  for (std::size_t i = 0; i <= kMaxSeeds; ++i) many.push_back("s" + std::to_string(i) + ":1");
  book.SetSeeds(now, many);
  EXPECT_EQ(TakeDue().size(), kMaxSeeds);
  book.SetSeeds(now, {many.rbegin(), many.rend()});
  book.CheckInvariants();
}

TEST_F(AddressBookTest, ALostLinkIsSoughtAgainAtOnce) {
  book.Learn(now, larger, {"a:1"});
  Succeed(Next(), larger);
  now += 1min;
  Unlink(larger);
  EXPECT_EQ(book.NextWake(), now);
}

TEST_F(AddressBookTest, LinksThatDoNotLastCountAsFailedTries) {
  book.Learn(now, larger, {"a:1"});
  Duration longest{};
  for (int i = 0; i < 50; ++i) {
    Succeed(Next(), larger);
    now += 100ms;
    Unlink(larger);
    longest = std::max(longest, book.NextWake() - now);
    if (i > 0) {
      ASSERT_GE(book.NextWake() - now, kRedialMin) << "no busy loop";
    }
  }
  EXPECT_GT(longest, 2s);
}

TEST_F(AddressBookTest, TheFirstLinkMakesEverybodyLostDue) {
  book.AddSeed(now, "seed:1");
  for (std::uint8_t i = 60; i < 70; ++i) book.Learn(now, Peer(i), {"p:" + std::to_string(i)});
  for (int round = 0; round < 20; ++round) {
    for (const Attempt& attempt : TakeDue()) Fail(attempt);
    now = book.NextWake();
  }
  for (const Attempt& attempt : TakeDue()) Fail(attempt);
  book.Linked(now, smaller);
  std::size_t due = 0;
  const Instant soon = now + 50ms;
  while (book.NextWake() <= soon) {
    now = book.NextWake();
    due += TakeDue().size();
  }
  EXPECT_EQ(due, 11u) << "ten peers and the seed, spread over a moment";
  book.Learn(now, larger, {"a:1"});
  Fail(Next());
  const Instant later = book.NextWake();
  book.Linked(now, Peer(99));
  EXPECT_EQ(book.NextWake(), later) << "a second link heals nothing more";
}

TEST_F(AddressBookTest, APeerThatWasSoughtInVainMakesAllOthersDueAlthoughThereAreLinks) {
  book.Linked(now, smaller);  // our half of a mesh that was split
  for (std::uint8_t i = 60; i < 70; ++i) book.Learn(now, Peer(i), {"p:" + std::to_string(i)});
  now += 1s;
  for (int round = 0; round < 30; ++round) {
    for (const Attempt& attempt : TakeDue()) Fail(attempt);
    now = book.NextWake();
  }
  const std::vector<Attempt> dialled = TakeDue();
  const std::size_t waiting = 10 - dialled.size();
  book.Linked(now, Peer(69));
  std::set<PeerId> due;
  for (const Instant soon = now + 50ms; book.NextWake() <= soon;) {
    now = book.NextWake();
    for (const Attempt& attempt : TakeDue()) due.insert(*attempt.expected);
  }
  EXPECT_EQ(due.size(), waiting - (due.contains(Peer(69)) ? 0 : 1));
  for (const Attempt& attempt : dialled) Fail(attempt);
  EXPECT_LE(book.NextWake(), now + kRedialMin) << "who was being dialled is tried again soon";
}

TEST_F(AddressBookTest, ASeedOfALinkedPeerRests) {
  book.AddSeed(now, "seed:1");
  Succeed(Next(), larger);
  EXPECT_TRUE(Idle());
  book.Learn(now, larger, {"a:1"});
  EXPECT_TRUE(Idle()) << "linked already";
  now += 1min;
  Unlink(larger);
  const Attempt peer = Next();
  EXPECT_EQ(peer.expected, larger) << "the peer itself comes first";
  const Instant dialled = now;
  while (now < dialled + 60s && book.NextWake() < dialled + 60s) {
    now = book.NextWake();
    EXPECT_TRUE(TakeDue().empty()) << "while it is dialled its seed waits";
  }
  Fail(peer);
  now = std::max(now, book.NextWake());
  EXPECT_FALSE(TakeDue().empty());
}

TEST_F(AddressBookTest, TwoSeedsOfOnePeerRestAndReturnTogether) {
  book.AddSeed(now, "name:1");
  book.AddSeed(now, "address:1");
  const auto due = TakeDue();
  ASSERT_EQ(due.size(), 2u);
  for (const Attempt& attempt : due) Succeed(attempt, larger);
  EXPECT_TRUE(Idle());
  now += 1min;
  Unlink(larger);
  EXPECT_FALSE(Idle());
  book.Linked(now, larger);
  EXPECT_TRUE(Idle());
}

TEST_F(AddressBookTest, WhoLeftIsSoughtOnlyAfterNewsOfIt) {
  book.Learn(now, larger, {"a:1"});
  Succeed(Next(), larger);
  now += 1min;
  Unlink(larger);
  book.Rest(larger);
  EXPECT_TRUE(Idle());
  book.Linked(now, smaller);
  EXPECT_TRUE(Idle()) << "nor when everybody lost is due";
  book.Learn(now, larger, {"a:1"});
  EXPECT_EQ(book.NextWake(), now);
}

TEST_F(AddressBookTest, AnInboundLinkEndsTheSearch) {
  book.Learn(now, larger, {"a:1"});
  const Attempt crossed = Next();
  book.Linked(now, larger);
  Fail(crossed);
  EXPECT_TRUE(Idle()) << "that dial is not missed";
  now += 1min;
  Unlink(larger);
  EXPECT_EQ(book.NextWake(), now);
}

TEST_F(AddressBookTest, ALinkThatBreaksWhileWeDialWaitsForThatDial) {
  book.Learn(now, larger, {"a:1"});
  const Attempt attempt = Next();
  book.Linked(now, larger);
  now += 1min;
  Unlink(larger);
  EXPECT_TRUE(Idle());
  Fail(attempt);
  EXPECT_EQ(book.NextWake(), now + kRedialMin);
}

TEST_F(AddressBookTest, AReplacementIsDialledWhileTheLinkStands) {
  book.Learn(now, larger, {"a:1"});
  EXPECT_FALSE(book.Replace(now, smaller).has_value()) << "unknown";
  Succeed(Next(), larger);
  const auto attempt = book.Replace(now, larger);
  ASSERT_TRUE(attempt.has_value());
  EXPECT_EQ(attempt->expected, larger);
  EXPECT_FALSE(book.Replace(now, larger).has_value()) << "one at a time";
  Fail(*attempt);
  EXPECT_TRUE(Idle()) << "the old link is still there";
  EXPECT_TRUE(book.Replace(now, larger).has_value());
}

TEST_F(AddressBookTest, AForgottenPeerIsNotSoughtAndItsDialMayStillEnd) {
  book.Learn(now, larger, {"a:1"});
  const Attempt attempt = Next();
  book.Forget(larger);
  book.Learn(now, larger, {"b:1"});
  const Attempt again = Next();
  EXPECT_EQ(again.address, "b:1");
  Fail(attempt);
  EXPECT_TRUE(Idle()) << "the old dial says nothing of the new one";
  Fail(again);
  EXPECT_FALSE(Idle());
}

TEST_F(AddressBookTest, SeedsAndPeersAreBounded) {
  for (std::size_t i = 0; i < kMaxSeeds + 5; ++i) book.AddSeed(now, "seed:" + std::to_string(i));
  EXPECT_EQ(TakeDue().size(), kMaxSeeds);
  for (std::size_t i = 0; i < kMaxPeers + 5; ++i) {
    PeerId id = larger;
    id.bytes[1] = static_cast<std::uint8_t>(i / 256);
    id.bytes[2] = static_cast<std::uint8_t>(i % 256);
    book.Learn(now, id, {"a:1"});
  }
  EXPECT_EQ(TakeDue().size(), kMaxPeers);
}

TEST_F(AddressBookTest, TwoBooksWithOneSeedAgree) {
  AddressBook other{self, Rng({1, 2, 3, 4})};
  for (AddressBook* each : {&book, &other}) {
    each->AddSeed(now, "seed:1");
    Instant at = now;
    for (int i = 0; i < 10; ++i) {
      for (const Attempt& attempt : each->TakeDue(at)) each->Failed(at, attempt.dial);
      at = each->NextWake();
    }
  }
  EXPECT_EQ(book.Digest(), other.Digest());
  book.Linked(now, larger);
  EXPECT_NE(book.Digest(), other.Digest());
}

TEST_F(AddressBookTest, AnAnswerToADialNobodyMadeStopsTheProcess) {
  EXPECT_DEATH(book.Failed(now, DialId{77}), "flights_");
  EXPECT_DEATH(book.Succeeded(DialId{77}, larger), "flights_");
}

}  // namespace
}  // namespace peermesh::discovery
