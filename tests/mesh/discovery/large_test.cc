// The address book of a large mesh: whom others want, who is lost, and islands.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "mesh/discovery/address_book.h"

namespace peermesh::discovery {
namespace {

using namespace std::chrono_literals;
using Attempt = AddressBook::Attempt;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

PeerId Peer(std::size_t number) {
  PeerId id;
  id.bytes[0] = static_cast<std::uint8_t>(number / 256);
  id.bytes[1] = static_cast<std::uint8_t>(number % 256);
  return id;
}

class LargeMeshTest : public testing::Test {
 protected:
  LargeMeshTest() { book.SetLarge(now, true); }
  ~LargeMeshTest() override { book.CheckInvariants(); }

  void Learn(std::size_t from, std::size_t to, std::size_t addresses = 1) {
    for (std::size_t i = from; i <= to; ++i) {
      std::vector<std::string> all;
      for (std::size_t k = 0; k < addresses; ++k) {
        all.push_back("p" + std::to_string(i) + ":" + std::to_string(k));
      }
      book.Learn(now, Peer(i), std::move(all));
    }
  }
  std::vector<Attempt> TakeDue() {
    std::vector<Attempt> due = book.TakeDue(now);
    book.CheckInvariants();
    return due;
  }
  std::optional<PeerId> Fail(const Attempt& attempt) {
    const auto given_up = book.Failed(now, attempt.dial);
    book.CheckInvariants();
    return given_up;
  }
  // Everything is dialled in vain until then; what was, and when.
  struct Dialled {
    Instant when;
    std::string address;
  };
  std::vector<Dialled> FailAllUntil(Instant end) {
    std::vector<Dialled> dialled;
    while (book.NextWake() <= end) {
      now = std::max(now, book.NextWake());
      for (const Attempt& attempt : TakeDue()) {
        dialled.push_back({now, attempt.address});
        Fail(attempt);
      }
    }
    now = end;
    return dialled;
  }
  bool Idle() { return book.NextWake() == kNever; }

  const PeerId self = Peer(0x3000);
  AddressBook book{self, Rng({1, 2, 3, 4})};
  Instant now{1h};
};

TEST_F(LargeMeshTest, WhoIsKnownIsNotDialled) {
  Learn(1, 500);
  EXPECT_EQ(book.known(), 500u);
  EXPECT_TRUE(Idle());
  book.Linked(now, Peer(1));
  now += 1h;
  book.Unlinked(now, Peer(1));
  EXPECT_TRUE(Idle()) << "somebody else chooses neighbours";
}

TEST_F(LargeMeshTest, WhoIsWantedIsTriedAtEveryAddressAndThenGivenUp) {
  Learn(1, 2, 3);
  EXPECT_TRUE(book.Want(now, Peer(2)));
  EXPECT_TRUE(book.Wanted(Peer(2)));
  std::vector<std::string> tried;
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(book.NextWake(), now) << "no waiting between its addresses";
    const auto due = TakeDue();
    ASSERT_THAT(due, SizeIs(1));
    EXPECT_EQ(due[0].expected, Peer(2));
    tried.push_back(due[0].address);
    const auto given_up = Fail(due[0]);
    EXPECT_EQ(given_up, i == 2 ? std::optional(Peer(2)) : std::nullopt);
  }
  EXPECT_THAT(tried, ElementsAre("p2:0", "p2:1", "p2:2"));
  EXPECT_FALSE(book.Wanted(Peer(2)));
  EXPECT_TRUE(Idle());
  EXPECT_TRUE(book.Want(now, Peer(2))) << "it may be wanted again";
}

TEST_F(LargeMeshTest, NobodyUnknownOrLinkedOrWithoutAddressesCanBeWanted) {
  book.Learn(now, Peer(1), {});
  Learn(2, 2);
  book.Linked(now, Peer(2));
  for (std::size_t i = 1; i <= 3; ++i) {
    EXPECT_FALSE(book.Want(now, Peer(i)));
    EXPECT_FALSE(book.Wanted(Peer(i)));
  }
  EXPECT_TRUE(TakeDue().empty());
}

TEST_F(LargeMeshTest, ALinkEndsTheWantAndSoDoesAChangeOfMind) {
  Learn(1, 3, 2);
  for (std::size_t i = 1; i <= 3; ++i) EXPECT_TRUE(book.Want(now, Peer(i)));
  book.Unwant(Peer(1));
  EXPECT_FALSE(book.Wanted(Peer(1)));
  const auto due = TakeDue();
  ASSERT_THAT(due, SizeIs(2));
  book.Unwant(Peer(2));
  EXPECT_EQ(Fail(due[0]), std::nullopt) << "nobody waits for it";
  book.Succeeded(due[1].dial, Peer(3));
  book.Linked(now, Peer(3));
  EXPECT_FALSE(book.Wanted(Peer(3)));
  EXPECT_TRUE(Idle());
}

TEST_F(LargeMeshTest, OurselvesBehindAnAddressCountAsATryInVain) {
  Learn(1, 1);
  EXPECT_TRUE(book.Want(now, Peer(1)));
  EXPECT_EQ(book.IsSelf(now, TakeDue().at(0).dial), Peer(1));
}

TEST_F(LargeMeshTest, ARoundGoesOnWithNewAddressesButNeverEndsForWantOfThem) {
  Learn(1, 1, 2);
  EXPECT_TRUE(book.Want(now, Peer(1)));
  Fail(TakeDue().at(0));
  book.Learn(now, Peer(1), {});
  EXPECT_TRUE(book.Wanted(Peer(1)));
  book.Learn(now, Peer(1), {"new:1", "new:2"});
  std::vector<std::string> tried;
  while (book.Wanted(Peer(1))) {
    tried.push_back(TakeDue().at(0).address);
    now += 1ms;
    book.Failed(now, DialId{tried.size() + 1});
  }
  EXPECT_THAT(tried, ElementsAre("new:1", "new:2"));
}

TEST_F(LargeMeshTest, AddressesAreShared) {
  const auto addresses = std::make_shared<const std::vector<std::string>>(1, "shared:1");
  book.Learn(now, Peer(1), addresses);
  EXPECT_EQ(addresses.use_count(), 2);
  EXPECT_TRUE(book.Want(now, Peer(1)));
  EXPECT_EQ(TakeDue().at(0).address, "shared:1");
  book.Forget(Peer(1));
  EXPECT_EQ(addresses.use_count(), 1);
}

TEST_F(LargeMeshTest, TheLostAreSoughtLessAndLessOften) {
  Learn(1, 1);
  const Instant begin = now;
  book.Lost(now, Peer(1));
  // Three a minute of all lost ones: here of one.
  std::vector<Instant> tries{begin};
  for (const Dialled& dialled : FailAllUntil(begin + 30s)) tries.push_back(dialled.when);
  ASSERT_GE(tries.size(), 4u);
  EXPECT_GE(tries[1] - tries[0], 1500ms);
  EXPECT_LE(tries[1] - tries[0], 2500ms);
  EXPECT_GE(tries[2] - tries[1], 3s);
  EXPECT_LE(tries[2] - tries[1], 5s);
  FailAllUntil(begin + 30min);
  const std::size_t later = FailAllUntil(begin + 90min).size();
  EXPECT_GE(later, 60u * 60 / 25) << "one of three a minute, for ever";
  EXPECT_LE(later, 60u * 60 / 15);
}

TEST_F(LargeMeshTest, TheLostAreLeftInPeaceOnceLinkedFoundOrForgotten) {
  Learn(1, 4);
  for (std::size_t i = 1; i <= 4; ++i) book.Lost(now, Peer(i));
  book.Found(Peer(1));
  book.Forget(Peer(2));
  book.Linked(now, Peer(3));
  const auto dialled = FailAllUntil(now + 10s);
  EXPECT_FALSE(dialled.empty());
  for (const Dialled& each : dialled) EXPECT_EQ(each.address, "p4:0");
  book.Rest(Peer(4));
  EXPECT_THAT(FailAllUntil(now + 1h), IsEmpty()) << "it left in good order";
}

TEST_F(LargeMeshTest, HalfOfAMeshLostIsNoStorm) {
  Learn(1, 4000);
  const Instant begin = now;
  for (std::size_t i = 1; i <= 4000; i += 2) book.Lost(now, Peer(i));
  EXPECT_THAT(FailAllUntil(begin + 1min),
              SizeIs(testing::AllOf(testing::Ge(20u), testing::Le(36u))));
  FailAllUntil(begin + 1h);
  std::set<std::string> sought;
  for (const Dialled& each : FailAllUntil(begin + 11h)) sought.insert(each.address);
  EXPECT_GT(sought.size(), 1000u) << "about 1,800 tries, each of anybody lost";
  for (const std::string& address : sought) {
    EXPECT_EQ(std::stoi(address.substr(1)) % 2, 1) << "nobody but the lost";
  }
}

TEST_F(LargeMeshTest, SeedsRestWhileThereAreLinksButForOneAMinute) {
  for (const char* seed : {"a:1", "b:1", "c:1"}) book.AddSeed(now, seed);
  const auto due = TakeDue();
  ASSERT_THAT(due, SizeIs(3));
  book.Succeeded(due[0].dial, Peer(1));
  book.Linked(now, Peer(1));
  Fail(due[1]);
  Fail(due[2]);
  const Instant begin = now;
  EXPECT_GE(book.NextWake(), begin + 45s);
  std::map<std::string, int> dialled;
  for (const Dialled& each : FailAllUntil(begin + 1h)) ++dialled[each.address];
  EXPECT_FALSE(dialled.contains("a:1")) << "its owner is linked";
  EXPECT_GT(dialled["b:1"], 10);
  EXPECT_GT(dialled["c:1"], 10);
  EXPECT_LE(dialled["b:1"] + dialled["c:1"], 60 * 60 / 45);
}

TEST_F(LargeMeshTest, WithoutAnyLinkSeedsAreSoughtAsInASmallMesh) {
  book.AddSeed(now, "a:1");
  EXPECT_GT(FailAllUntil(now + 1min).size(), 5u);
  book.Linked(now, Peer(1));
  EXPECT_THAT(FailAllUntil(now + 40s), IsEmpty());
  book.AddSeed(now, "new:1");
  EXPECT_THAT(FailAllUntil(now + 1s), SizeIs(1)) << "one that is new is tried once";
  book.Linked(now, Peer(2));
  book.Unlinked(now, Peer(1));
  EXPECT_THAT(FailAllUntil(now + 1s), IsEmpty());
  book.Unlinked(now, Peer(2));
  EXPECT_GT(FailAllUntil(now + 1min).size(), 5u);
}

TEST_F(LargeMeshTest, AnIslandSeeksEverySeedAndSomeOfTheLostAtOnce) {
  book.AddSeed(now, "a:1");
  book.AddSeed(now, "b:1");
  Learn(1, 100);
  for (const Attempt& attempt : TakeDue()) Fail(attempt);
  for (std::size_t i = 1; i <= 100; ++i) book.Lost(now, Peer(i));
  book.SeekAll(now);
  const auto dialled = FailAllUntil(now + 60ms);
  EXPECT_THAT(dialled, SizeIs(2 + kLostAtOnce));
}

TEST_F(LargeMeshTest, AMeshThatIsSmallAgainDialsEverybodyItKnows) {
  Learn(1, 20);
  book.Rest(Peer(3));
  book.Linked(now, Peer(1));
  book.Lost(now, Peer(2));
  book.SetLarge(now, false);
  now += 1s;
  EXPECT_THAT(TakeDue(), SizeIs(18)) << "not who is linked, nor who left";
  book.SetLarge(now, true);
  EXPECT_EQ(book.known(), 20u);
  for (std::size_t i = 1; i <= 18; ++i) book.Failed(now, DialId{i});
  const auto dialled = FailAllUntil(now + 6s);
  EXPECT_THAT(dialled, SizeIs(1)) << "who was lost before is sought";
  EXPECT_EQ(dialled[0].address, "p2:0");
}

TEST_F(LargeMeshTest, NoMoreAreKnownThanThereIsRoomFor) {
  Learn(1, kMaxPeers + 5);
  EXPECT_EQ(book.known(), kMaxPeers);
  EXPECT_FALSE(book.Want(now, Peer(kMaxPeers + 1)));
  book.Forget(Peer(7));
  Learn(kMaxPeers + 1, kMaxPeers + 1);
  EXPECT_TRUE(book.Want(now, Peer(kMaxPeers + 1)));
}

// Whatever happens, invariants hold and everybody wanted is linked, given up, forgotten or no
// longer wanted.
TEST(LargeMeshRandomTest, EveryWantIsAnswered) {
  constexpr std::size_t kPeers = 40;
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Rng rng({seed, 5, 6, 7});
    AddressBook book(Peer(999), rng.Fork("book"));
    Instant now{1h};
    std::map<DialId, Attempt> flying;
    std::set<PeerId> linked, wanted;
    for (int seeds = 0; seeds < 3; ++seeds) book.AddSeed(now, "s" + std::to_string(seeds));
    for (int step = 0; step < 3000; ++step) {
      const PeerId peer = Peer(1 + rng.Below(kPeers));
      const bool is_linked = linked.contains(peer);
      switch (rng.Below(14)) {
        case 0: book.SetLarge(now, rng.Below(4) != 0); break;
        case 1: {
          std::vector<std::string> addresses(rng.Below(4), "x:1");
          book.Learn(now, peer, std::move(addresses));
          break;
        }
        case 2:
        case 3:
          if (book.Want(now, peer)) wanted.insert(peer);
          break;
        case 4:
          book.Unwant(peer);
          wanted.erase(peer);
          break;
        case 5: book.Lost(now, peer); break;
        case 6: book.Found(peer); break;
        case 7:
          if (is_linked) {
            linked.erase(peer);
            book.Unlinked(now, peer);
          }
          break;
        case 8:
          book.Linked(now, peer);
          linked.insert(peer);
          wanted.erase(peer);
          break;
        case 9:
          if (rng.Below(3) == 0 && !is_linked) {
            book.Forget(peer);
            wanted.erase(peer);
          } else if (rng.Below(10) == 0) {
            book.SeekAll(now);
          } else if (rng.Below(10) == 0) {
            book.Rest(peer);
            wanted.erase(peer);
          } else if (is_linked) {
            if (const auto attempt = book.Replace(now, peer)) flying[attempt->dial] = *attempt;
          }
          break;
        default: {
          now += rng.Between(0s, 3s);
          for (const Attempt& attempt : book.TakeDue(now)) flying[attempt.dial] = attempt;
          EXPECT_GT(book.NextWake(), now);
          while (!flying.empty() && rng.Below(4) != 0) {
            const Attempt attempt = flying.begin()->second;
            flying.erase(flying.begin());
            if (rng.Below(5) == 0) {
              const PeerId there = attempt.expected.value_or(Peer(1 + rng.Below(kPeers)));
              book.Succeeded(attempt.dial, there);
              book.Linked(now, there);
              linked.insert(there);
              wanted.erase(there);
            } else if (const auto given_up = book.Failed(now, attempt.dial)) {
              EXPECT_EQ(wanted.erase(*given_up), 1u);
            }
          }
        }
      }
      book.CheckInvariants();
      for (const PeerId& each : wanted) ASSERT_TRUE(book.Wanted(each));
    }
    for (int step = 0; step < 200; ++step) {
      for (const auto& [dial, attempt] : std::exchange(flying, {})) {
        if (const auto given_up = book.Failed(now, dial)) wanted.erase(*given_up);
      }
      now += 10ms;
      for (const Attempt& attempt : book.TakeDue(now)) flying[attempt.dial] = attempt;
    }
    EXPECT_THAT(wanted, IsEmpty());
  }
}

}  // namespace
}  // namespace peermesh::discovery
