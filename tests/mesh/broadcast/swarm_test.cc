#include "tests/mesh/broadcast/swarm.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <vector>

namespace peermesh::broadcast {
namespace {

using namespace std::chrono_literals;
using testing::IsEmpty;

// Redundancy of a piece in thousandths: copies beyond one for each other peer.
std::int64_t Redundancy(const Swarm::Outcome& outcome, std::size_t peers) {
  const auto others = static_cast<std::int64_t>(peers) - 1;
  return (static_cast<std::int64_t>(outcome.copies) - others) * 1000 / others;
}

class SwarmTest : public testing::TestWithParam<std::uint64_t> {
 protected:
  // Long enough for everybody to count as old.
  static std::unique_ptr<Swarm> Make(Swarm::Options options) {
    options.seed = GetParam();
    auto swarm = std::make_unique<Swarm>(options);
    swarm->Run(10s);
    return swarm;
  }
  static void ExpectCalm(const Swarm& swarm) {
    swarm.CheckInvariants();
    EXPECT_THAT(swarm.violations(), IsEmpty());
  }
};

INSTANTIATE_TEST_SUITE_P(Seeds, SwarmTest, testing::Values(1, 2));

TEST_P(SwarmTest, OneSourceMakesATreeWithinTwoPieces) {
  const auto swarm = Make({.peers = 1000});
  for (int piece = 0; piece < 32; ++piece) {
    swarm->Publish(7);
    swarm->Run(1s);
  }
  std::int64_t redundancy = 0;
  for (std::size_t i = 2; i < swarm->outcomes().size(); ++i) {
    const Swarm::Outcome& outcome = swarm->outcomes()[i];
    EXPECT_EQ(outcome.delivered, 999u) << i;
    EXPECT_LE(outcome.hops, 9u);
    EXPECT_LE(outcome.last, swarm->FloodTime(7) * 11 / 10);
    redundancy += Redundancy(outcome, 1000);
  }
  EXPECT_LE(redundancy / 30, 20);
  EXPECT_EQ(swarm->outcomes().back().copies, 999u) << "a tree, and nothing else";
  ExpectCalm(*swarm);
}

TEST_P(SwarmTest, ManySourcesShareOneTree) {
  const auto swarm = Make({.peers = 1000});
  for (std::uint32_t piece = 0; piece < 32; ++piece) {
    swarm->Publish(piece * 7919 % 1000);
    swarm->Run(1s);
  }
  std::int64_t redundancy = 0;
  for (std::size_t i = 2; i < swarm->outcomes().size(); ++i) {
    const Swarm::Outcome& outcome = swarm->outcomes()[i];
    EXPECT_EQ(outcome.delivered, 999u) << i;
    EXPECT_LE(outcome.hops, 18u);
    redundancy += Redundancy(outcome, 1000);
  }
  EXPECT_LE(redundancy / 30, 150);
  EXPECT_LE(swarm->announced() / 32 / 1000, 6u) << "degree - 1 - r and a half, rounded down";
  ExpectCalm(*swarm);
}

TEST_P(SwarmTest, FortySourcesAtOnceLoseNothing) {
  const auto swarm = Make({.peers = 300});
  for (int round = 0; round < 5; ++round) {
    for (std::uint32_t i = 0; i < 40; ++i) swarm->Publish(i * 7);
    swarm->Run(round == 0 ? 3s : 100ms);
  }
  swarm->Run(20s);
  for (const Swarm::Outcome& outcome : swarm->outcomes()) {
    EXPECT_EQ(outcome.delivered, 299u);
    EXPECT_LT(outcome.hops, 30u);
    EXPECT_LT(Redundancy(outcome, 300), 8000);
  }
  EXPECT_EQ(swarm->Unsettled(), 0u);
  ExpectCalm(*swarm);
}

TEST_P(SwarmTest, TheTreeMendsItselfWithTheNextPieceWhenATenthDies) {
  const auto swarm = Make({.peers = 1000});
  for (int piece = 0; piece < 3; ++piece) {
    swarm->Publish(0);
    swarm->Run(1s);
  }
  for (std::uint32_t i = 5; i < 1000; i += 10) swarm->Kill(i);
  ASSERT_EQ(swarm->Reachable(0), 900u);
  const std::size_t next = swarm->Publish(0);
  swarm->Run(5s);
  EXPECT_EQ(swarm->outcomes()[next].delivered, 899u);
  EXPECT_LE(Redundancy(swarm->outcomes()[next], 900), 500);
  // 100 ms until it is told, t1 for a median round trip of 60 ms, and the way down again.
  EXPECT_LE(swarm->outcomes()[next].last, 2 * swarm->FloodTime(0) + 100ms + 340ms + 200ms);
  for (int piece = 0; piece < 5; ++piece) {
    swarm->Publish(0);
    swarm->Run(2s);
  }
  EXPECT_LT(Redundancy(swarm->outcomes().back(), 900), 50);
  EXPECT_LE(swarm->outcomes().back().last, swarm->FloodTime(0) * 2);
  EXPECT_EQ(swarm->Unsettled(), 0u);
  ExpectCalm(*swarm);
}

TEST_P(SwarmTest, TheTreeMendsItselfWhenItsTenBusiestDie) {
  const auto swarm = Make({.peers = 1000});
  for (int piece = 0; piece < 3; ++piece) {
    swarm->Publish(0);
    swarm->Run(1s);
  }
  std::vector<std::uint32_t> busiest(999);
  std::iota(busiest.begin(), busiest.end(), 1u);
  std::sort(busiest.begin(), busiest.end(), [&](std::uint32_t a, std::uint32_t b) {
    return swarm->pushed(a) != swarm->pushed(b) ? swarm->pushed(a) > swarm->pushed(b) : a < b;
  });
  for (std::size_t i = 0; i < 10; ++i) swarm->Kill(busiest[i]);
  const auto survivors = swarm->Reachable(0);
  ASSERT_EQ(survivors, 990u);
  const std::size_t next = swarm->Publish(0);
  swarm->Run(5s);
  EXPECT_EQ(swarm->outcomes()[next].delivered, survivors - 1);
  EXPECT_EQ(swarm->Unsettled(), 0u);
  ExpectCalm(*swarm);
}

TEST_P(SwarmTest, WithTwoParentsEveryPieceComesAboutTwice) {
  const auto swarm = Make({.peers = 1000, .eager_parents = 2});
  for (int piece = 0; piece < 40; ++piece) {
    swarm->Publish(3);
    swarm->Run(2s);
  }
  std::int64_t redundancy = 0;
  for (std::size_t i = 10; i < 40; ++i) {
    EXPECT_EQ(swarm->outcomes()[i].delivered, 999u);
    redundancy += Redundancy(swarm->outcomes()[i], 1000);
  }
  EXPECT_GE(redundancy / 30, 900);
  EXPECT_LE(redundancy / 30, 1200);
  ExpectCalm(*swarm);
}

TEST_P(SwarmTest, WhenATenthOfAllPushesIsLostEveryNumberIsDeliveredOrReported) {
  const auto swarm = Make({.peers = 200, .lose_per_1000 = 100});
  for (std::uint32_t round = 0; round < 50; ++round) {
    for (std::uint32_t i = 0; i < 4; ++i) swarm->Publish(i * 50, i);
    swarm->Run(200ms);
  }
  swarm->Run(30s);
  EXPECT_EQ(swarm->Unsettled(), 0u);
  std::uint64_t missing = 0;
  for (const Swarm::Outcome& outcome : swarm->outcomes()) {
    EXPECT_EQ(outcome.delivered + outcome.missing, 199u);
    missing += outcome.missing;
  }
  EXPECT_LE(missing, swarm->outcomes().size() * 199 / 1000) << "nearly all are fetched in time";
  EXPECT_GT(swarm->total().grafts_served, 1000u) << "there was something to mend";
  ExpectCalm(*swarm);
}

TEST_P(SwarmTest, AfterASplitWhatIsStillCachedIsFetchedAndTheRestReported) {
  const auto swarm = Make({.peers = 100});
  for (int i = 0; i < 3; ++i) {
    swarm->Publish(0);
    swarm->Publish(99);
    swarm->Run(1s);
  }
  swarm->CutLinks(50);
  for (int i = 0; i < 9; ++i) {
    swarm->Run(10s);
    swarm->Publish(0);
    swarm->Publish(99);
  }
  swarm->Run(1s);
  swarm->HealLinks();
  swarm->Run(20s);
  swarm->Publish(0);
  swarm->Publish(99);
  swarm->Run(20s);
  EXPECT_EQ(swarm->Unsettled(), 0u);
  std::uint64_t fetched = 0;
  for (const Swarm::Outcome& outcome : swarm->outcomes()) {
    EXPECT_EQ(outcome.delivered + outcome.missing, 99u);
    if (swarm->now() - outcome.at < 100s) {
      EXPECT_EQ(outcome.missing, 0u);
    }
    fetched += outcome.at < Instant(13s) + 40s && outcome.at > Instant(14s) ? outcome.missing : 0;
  }
  EXPECT_GT(fetched, 0u) << "the oldest were gone from every cache";
  EXPECT_EQ(swarm->outcomes().back().delivered, 99u);
  ExpectCalm(*swarm);
}

TEST_P(SwarmTest, TheSameSeedGivesTheSameState) {
  std::vector<std::uint64_t> digests;
  for (int run = 0; run < 2; ++run) {
    const auto swarm = Make({.peers = 100, .lose_per_1000 = 50});
    for (std::uint32_t i = 0; i < 30; ++i) {
      swarm->Publish(i * 3);
      swarm->Run(50ms);
    }
    swarm->Kill(4);
    swarm->Run(3s);
    digests.push_back(swarm->Digest());
  }
  EXPECT_EQ(digests[0], digests[1]);
}

}  // namespace
}  // namespace peermesh::broadcast
