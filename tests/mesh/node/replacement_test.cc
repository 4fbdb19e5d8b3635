// Stories of links that are replaced while messages flow.
#include <gtest/gtest.h>

#include "tests/mesh/node/world.h"

namespace peermesh::node {
namespace {

using namespace std::chrono_literals;

class ReplacementTest : public testing::Test {
 protected:
  void SetUp() override {
    alpha = world.Add("alpha");
    beta = world.Add("beta", {alpha});
    ASSERT_TRUE(world.RunUntil([&] { return world.FullMesh(); }, 3s));
    reader = world.Open(beta);
    back_reader = world.Open(alpha);
    world.Subscribe(reader, 1, "to.beta");
    world.Subscribe(back_reader, 1, "to.alpha");
    world.Run(1s);
    writer = world.Open(alpha);
    back_writer = world.Open(beta);
  }
  void ExpectNothingLost(std::uint64_t at_least) {
    for (const AppIndex app : {reader, back_reader}) {
      const Tally tally = world.TallyOf(app);
      EXPECT_GE(tally.accepted, at_least);
      EXPECT_EQ(tally.delivered, tally.accepted) << "nothing lost, not even with an announcement";
      EXPECT_TRUE(world.app(app).received.gapped.empty());
    }
    EXPECT_EQ(world.node(alpha).stats().duplicates, 0u);
    EXPECT_EQ(world.node(beta).stats().duplicates, 0u);
  }
  // Of the two, the one whose dial always wins.
  void Renew() {
    world.Tell(world.id(alpha) < world.id(beta) ? alpha : beta, CredentialsRenewed{});
  }
  void Load(Duration for_how_long) {
    world.Feed(writer, "to.beta", 5, 20'000, 1ms, world.now() + for_how_long);
    world.Feed(back_writer, "to.alpha", 5, 20'000, 1ms, world.now() + for_how_long);
  }

  World world{5};
  HostIndex alpha = 0, beta = 0;
  AppIndex reader = 0, back_reader = 0, writer = 0, back_writer = 0;
};

TEST_F(ReplacementTest, OrderSurvivesAndNothingIsLostUnderLoad) {
  Load(13s);
  for (int i = 0; i < 5; ++i) {
    Renew();
    world.Run(2500ms);
  }
  world.Run(1s);
  EXPECT_GE(world.node(alpha).stats().links_replaced, 5u);
  EXPECT_TRUE(world.FullMesh()) << "one link each";
  ExpectNothingLost(50'000);
}

TEST_F(ReplacementTest, BothMayRenewAtOnce) {
  Load(8s);
  for (int i = 0; i < 3; ++i) {
    world.Tell(alpha, CredentialsRenewed{});
    world.Tell(beta, CredentialsRenewed{});
    world.Run(2500ms);
  }
  world.Run(1s);
  EXPECT_GE(world.node(beta).stats().links_replaced, 3u);
  EXPECT_TRUE(world.FullMesh());
  ExpectNothingLost(30'000);
}

TEST_F(ReplacementTest, ASlowReaderMayKeepTheOldLinkUntilItHasReadIt) {
  const AppIndex slow = world.Open(beta);
  world.Subscribe(slow, 1, "slow", OnOverflow::kBlock, 30s);
  world.app(slow).bytes_per_second = 500'000;
  world.Run(10ms);
  world.Feed(writer, "slow", 100, 1000, 100us, world.now() + 15s);
  world.Run(1s);
  EXPECT_GT(world.node(beta).TakeCensus().withheld_links, 0u);
  const std::uint64_t before = world.node(beta).stats().links_replaced;
  Renew();
  // Everything on the old link waits for the reader: longer than any handshake.
  ASSERT_TRUE(
      world.RunUntil([&] { return world.node(beta).stats().links_replaced > before; }, 60s));
  world.Run(60s);
  const Tally tally = world.TallyOf(slow);
  EXPECT_GT(tally.accepted, 5000u);
  EXPECT_EQ(tally.delivered, tally.accepted);
  EXPECT_TRUE(world.FullMesh());
}

TEST_F(ReplacementTest, TheNewLinkMayDieBeforeItIsUsed) {
  const Instant end = world.now() + 10s;
  Load(10s);
  for (int i = 0; i < 20 || world.now() < end; ++i) {
    const std::uint64_t up = world.node(beta).stats().links_up;
    Renew();
    ASSERT_TRUE(world.RunUntil([&] { return world.node(beta).stats().links_up > up; }, 5s));
    world.Run(Duration(world.rng().Below(2000)));
    world.Break(alpha, beta);  // the old one and the new one
    ASSERT_TRUE(world.RunUntil([&] { return !world.Linked(alpha, beta); }, 1s));
    // Links that did not last are sought at growing intervals.
    ASSERT_TRUE(world.RunUntil([&] { return world.FullMesh(); }, kRedialMax + 1s));
  }
  world.Run(3s);
  world.ExpectNothingMissing();
}

TEST_F(ReplacementTest, AFirstLinkMayDieAtAnyMoment) {
  for (int i = 0; i < 50; ++i) {
    world.Run(100ms);
    world.Restart(beta);
    world.Feed(writer, "to.beta", 1, 100, 100us, world.now() + 400ms);  // beta may yield 300 ms
    const AppIndex fresh = world.Open(beta);
    world.Subscribe(fresh, 1, "to.beta");
    const std::uint64_t up = world.node(alpha).stats().links_up;
    ASSERT_TRUE(world.RunUntil([&] { return world.node(alpha).stats().links_up > up; }, 5s));
    world.Run(Duration(i * 30));
    world.Break(alpha, beta);
    ASSERT_TRUE(world.RunUntil([&] { return !world.Linked(alpha, beta); }, 5s));
    ASSERT_TRUE(world.RunUntil([&] { return world.FullMesh(); }, 5s));
    world.Run(500ms);
    EXPECT_EQ(world.TallyOf(fresh).missing, 0u) << i;
    EXPECT_GT(world.TallyOf(fresh).accepted, 0u) << i;
  }
}

TEST_F(ReplacementTest, AnExpiringLinkIsReplacedInTime) {
  // The world's links do not expire by themselves, so this one is driven by hand.
  Config config;
  config.self.bytes[0] = 1;
  config.name = "alone";
  config.epoch = 1;
  Instant now{1h};
  auto node = *Node::Create(config, Rng({1, 2, 3, 4}), now);
  LinkUp up;
  up.link = LinkId{1};
  up.peer.bytes[0] = 2;
  up.name = "other";
  up.epoch = 1;
  up.expires = now + 1000s;
  PeerRecord record;
  record.id = up.peer;
  record.incarnation = 1;
  record.name = "other";
  record.addresses = {"other:1"};
  Effects out;
  node->Handle(now, ControlIn{LinkId{1}, PeerRecords{{record}}},
               out);  // of a link that is not there: ignored
  EXPECT_TRUE(out.empty());
  up.direction = Direction::kOutbound;
  up.dial = DialId{99};
  EXPECT_DEATH(node->Handle(now, up, out), "flights_") << "nobody asked for this dial";
  up.direction = Direction::kInbound;
  up.dial = {};
  node->Handle(now, up, out);
  node->Handle(now, ControlIn{LinkId{1}, PeerRecords{{record}}}, out);
  node->Handle(now, CredentialsRenewed{}, out);
  std::vector<Instant> dials;
  const Instant end = now + 100s;
  while (now < end) {
    now = std::max(now, std::min(node->NextWake(), end));
    out.clear();
    node->Handle(now, ControlIn{LinkId{1}, Heartbeat{}}, out);
    node->Wake(now, out);
    node->CheckInvariants();
    for (const Effect& effect : out) {
      const auto* dial = std::get_if<Dial>(&effect);
      if (dial == nullptr) continue;
      EXPECT_EQ(dial->address, "other:1");
      dials.push_back(now);
      Effects ignored;
      node->Handle(now, DialFailed{dial->dial, DialFailure::kTimeout}, ignored);
    }
  }
  ASSERT_GE(dials.size(), 1u);
  EXPECT_LE(dials.front() - Instant(1h), 2s) << "renewal replaces links within the spread";
  EXPECT_LE(dials.size(), 3u) << "a dial that fails is not repeated in a busy loop";
}

}  // namespace
}  // namespace peermesh::node
