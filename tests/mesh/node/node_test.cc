// Stories of peers: finding each other, losing each other, leaving.
#include "mesh/node/node.h"

#include <gtest/gtest.h>

#include "tests/mesh/node/world.h"

namespace peermesh::node {
namespace {

using membership::State;
using namespace std::chrono_literals;

// Three peers that know each other.
class NodeTest : public testing::Test {
 protected:
  void SetUp() override {
    alpha = world.Add("alpha");
    beta = world.Add("beta", {alpha});
    gamma = world.Add("gamma", {alpha});
    ASSERT_TRUE(world.RunUntil([&] { return world.FullMesh(); }, 3s));
  }
  bool Sees(HostIndex at, HostIndex about, State state) {
    return world.StateOf(at, about) == state;
  }

  World world{7};
  HostIndex alpha = 0, beta = 0, gamma = 0;
};

TEST(NodeCreateTest, RefusesAConfigurationItCannotRunWith) {
  const Rng rng(Rng::Seed{1, 2, 3, 4});
  Config config;
  config.self.bytes[0] = 1;
  config.name = "alpha";
  config.epoch = 1;
  EXPECT_TRUE(Node::Create(config, rng, Instant{}).ok());
  Config nameless = config;
  nameless.name.clear();
  EXPECT_FALSE(Node::Create(nameless, rng, Instant{}).ok());
  Config timeless = config;
  timeless.epoch = 0;
  EXPECT_FALSE(Node::Create(timeless, rng, Instant{}).ok());
  Config seedy = config;
  seedy.seeds.assign(kMaxSeeds + 1, "alpha:1");
  EXPECT_FALSE(Node::Create(seedy, rng, Instant{}).ok());
}

TEST(NodeAloneTest, APeerAloneServesItsOwnApplicationsAndSleeps) {
  World world(1);
  const HostIndex alone = world.Add("alone");
  const AppIndex app = world.Open(alone);
  const RequestId subscribed = world.Subscribe(app, 1, "a.>");
  EXPECT_TRUE(world.app(app).subscribed.contains(subscribed)) << "nobody has to confirm it";
  const RequestId published = world.Publish(app, {"a.b", "x.y", "a.c"});
  world.Run(1s);
  const Answer& answer = world.app(app).answers.at(published);
  EXPECT_EQ(answer.refusal, Refusal::kNone);
  EXPECT_EQ(answer.interested_peers, 1u) << "this peer itself";
  EXPECT_EQ(world.app(app).received.delivered, 2u);
  EXPECT_EQ(world.node(alone).NextWake(), kNever) << "nothing is pending";
}

TEST_F(NodeTest, PeersThatKnowOneSeedBecomeAFullMesh) {
  for (const HostIndex at : {alpha, beta, gamma}) {
    EXPECT_EQ(world.node(at).Peers().size(), 3u);
    EXPECT_EQ(world.node(at).TakeCensus().links, 2u);
    for (const HostIndex about : {alpha, beta, gamma}) EXPECT_TRUE(Sees(at, about, State::kAlive));
  }
  world.Run(10s);
  EXPECT_TRUE(world.FullMesh()) << "and it stays one";
  const auto row = world.RowOf(beta, gamma);
  EXPECT_EQ(row->name, "gamma");
  EXPECT_EQ(row->addresses, std::vector<std::string>{"gamma:7443"});
  ASSERT_TRUE(row->round_trip.has_value());
  EXPECT_GE(*row->round_trip, 400us);
  EXPECT_LE(*row->round_trip, 1ms);
}

TEST_F(NodeTest, BothEndsOfALinkSayTheSameOfItsDirection) {
  world.Run(5s);
  for (const auto& [a, b] :
       {std::pair(alpha, beta), std::pair(alpha, gamma), std::pair(beta, gamma)}) {
    EXPECT_EQ(world.RowOf(a, b)->direction + world.RowOf(b, a)->direction, 3);
  }
}

TEST_F(NodeTest, ANewcomerIsKnownToAllWithinASecond) {
  const HostIndex delta = world.Add("delta", {gamma});
  EXPECT_TRUE(world.RunUntil([&] { return world.FullMesh(); }, 1s));
  EXPECT_TRUE(world.Linked(delta, alpha));
}

TEST_F(NodeTest, AKilledPeerIsDeadWithinASecond) {
  world.Run(5s);
  world.Kill(gamma);
  EXPECT_TRUE(world.RunUntil(
      [&] { return Sees(alpha, gamma, State::kDead) && Sees(beta, gamma, State::kDead); }, 1s));
  EXPECT_EQ(world.RowOf(alpha, gamma)->reason, membership::StateReason::kConnectionRefused);
  world.Run(30s);
  EXPECT_TRUE(Sees(alpha, gamma, State::kDead)) << "and it stays dead";
}

TEST_F(NodeTest, ASilentPeerIsDeadWithinSixSecondsAndTheOthersAgree) {
  world.Run(5s);
  world.Cut(alpha, gamma);
  world.Cut(beta, gamma);
  EXPECT_TRUE(world.RunUntil(
      [&] { return Sees(alpha, gamma, State::kSuspect) && Sees(beta, gamma, State::kSuspect); },
      4500ms));
  EXPECT_TRUE(world.RunUntil(
      [&] { return Sees(alpha, gamma, State::kDead) && Sees(beta, gamma, State::kDead); }, 1500ms));
  EXPECT_TRUE(world.Linked(alpha, beta));
  world.Heal(alpha, gamma);
  world.Heal(beta, gamma);
  EXPECT_TRUE(world.RunUntil([&] { return world.FullMesh(); }, 16s))
      << "dials time out and come again";
}

TEST_F(NodeTest, APeerThatLosesOnlyOneLinkIsUnreachableNotDead) {
  world.Run(5s);
  world.Cut(alpha, gamma);
  EXPECT_TRUE(world.RunUntil(
      [&] {
        return Sees(alpha, gamma, State::kUnreachable) && Sees(gamma, alpha, State::kUnreachable);
      },
      6s));
  EXPECT_TRUE(Sees(beta, gamma, State::kAlive));
  world.Run(20s);
  EXPECT_TRUE(Sees(alpha, gamma, State::kUnreachable)) << "hearsay keeps it";
  const AppIndex app = world.Open(alpha);
  const RequestId published = world.Publish(app, {"a"});
  EXPECT_EQ(world.app(app).answers.at(published).unreachable, std::vector{world.id(gamma)});
  world.Kill(beta);
  EXPECT_TRUE(world.RunUntil([&] { return Sees(alpha, gamma, State::kDead); }, 1s))
      << "nobody is left to vouch for it";
  world.Heal(alpha, gamma);
  EXPECT_TRUE(world.RunUntil([&] { return world.Linked(alpha, gamma); }, 16s));
}

TEST_F(NodeTest, ABrokenLinkIsBackWithinASecond) {
  world.Run(5s);
  world.Break(alpha, beta);
  EXPECT_TRUE(world.RunUntil([&] { return !world.Linked(alpha, beta); }, 1ms));
  EXPECT_TRUE(world.RunUntil([&] { return world.FullMesh(); }, 1s));
  EXPECT_EQ(world.CountNotes(alpha, NoteKind::kPeerDead), 0u);
}

TEST_F(NodeTest, ARestartedPeerHasAllItsLinksWithinThreeSeconds) {
  world.Run(5s);
  world.Restart(beta);
  EXPECT_TRUE(world.RunUntil([&] { return world.FullMesh(); }, 3s));
  world.Restart(alpha);  // the seed of the others, with no seed of its own
  EXPECT_TRUE(world.RunUntil([&] { return world.FullMesh(); }, 3s)) << "it remembers them";
}

TEST_F(NodeTest, ANewProcessIsBelievedBeforeTheOldOnesLinkIsGone) {
  world.Run(5s);
  world.Cut(alpha, beta);
  world.Kill(beta);
  world.Run(100ms);
  world.Heal(alpha, beta);
  world.Restart(beta);
  EXPECT_TRUE(world.RunUntil([&] { return world.FullMesh(); }, 3s));
  EXPECT_EQ(world.RowOf(alpha, beta)->epoch, world.RowOf(gamma, beta)->epoch);
}

TEST_F(NodeTest, AGoodbyeIsSeenAtOnceAndLasts) {
  world.Run(5s);
  world.Tell(gamma, DrainRequested{world.now() + 5s});
  EXPECT_TRUE(world.RunUntil(
      [&] { return Sees(alpha, gamma, State::kLeft) && Sees(beta, gamma, State::kLeft); }, 10ms));
  EXPECT_TRUE(world.RunUntil([&] { return !world.running(gamma); }, 10ms))
      << "there was nothing to flush";
  const std::uint64_t dials = world.node(alpha).stats().dials;
  world.Run(60s);
  EXPECT_TRUE(Sees(alpha, gamma, State::kLeft) && Sees(beta, gamma, State::kLeft));
  EXPECT_EQ(world.node(alpha).stats().dials, dials) << "who left is not sought";
  world.Restart(gamma);
  EXPECT_TRUE(world.RunUntil([&] { return world.FullMesh(); }, 1s)) << "until it comes back";
}

TEST_F(NodeTest, ALostPeerIsForgottenAfterADayAndNotBroughtBackByHearsay) {
  world.checks.every = 0;
  world.Kill(gamma);
  world.Run(kPeerMemory - 1min);
  EXPECT_TRUE(Sees(alpha, gamma, State::kDead));
  // A newcomer in the last minute hears nothing of the dead, so it cannot remind the others.
  const HostIndex delta = world.Add("delta", {alpha});
  world.Run(1s);
  EXPECT_FALSE(world.RowOf(delta, gamma).has_value());
  world.Run(2min);
  for (const HostIndex at : {alpha, beta, delta}) EXPECT_FALSE(world.RowOf(at, gamma).has_value());
  EXPECT_TRUE(world.FullMesh());
}

TEST_F(NodeTest, AnOwnPauseDoesNotEndLinks) {
  world.Run(5s);
  const std::uint64_t lost = world.node(beta).stats().links_down;
  world.JumpClock(beta, 10s);
  world.Run(10s);
  EXPECT_EQ(world.node(beta).stats().links_down, lost);
  EXPECT_TRUE(world.FullMesh());
}

TEST_F(NodeTest, SigningDoesNotPassForAnOwnPause) {
  world.Run(5s);
  world.Cut(alpha, beta);
  const Instant cut = world.now();
  // Each of these is due at once. Taken for a missed deadline they would excuse the silence for
  // ever.
  for (int i = 1; i < 8; ++i) {
    world.At(cut + i * 700ms, [&] { world.Tell(alpha, CredentialsRenewed{}); });
  }
  EXPECT_TRUE(world.RunUntil([&] { return !Sees(alpha, beta, State::kAlive); }, 4500ms));
  EXPECT_TRUE(world.RunUntil([&] { return Sees(alpha, beta, State::kUnreachable); }, 1500ms));
}

TEST_F(NodeTest, ASeedThatIsOurselvesIsDialledOnce) {
  const HostIndex selfish = world.Add("selfish", {alpha}, {}, {"selfish:7443", "nowhere:1"});
  EXPECT_TRUE(world.RunUntil([&] { return world.FullMesh(); }, 1s));
  world.Run(60s);
  const std::size_t failed = world.CountNotes(selfish, NoteKind::kDialFailed);
  EXPECT_GE(failed, 6u) << "the seed that nobody answers is sought for ever";
  EXPECT_EQ(world.node(selfish).stats().dials_failed, failed + 1) << "our own address is not";
}

TEST_F(NodeTest, TwoSeedsOfOnePeerEndInOneLink) {
  // Both dials are under way before either says whose address it is.
  for (int i = 0; i < 20; ++i) {
    const HostIndex twice = world.Add("twice" + std::to_string(i), {alpha, alpha});
    EXPECT_TRUE(world.RunUntil([&] { return world.FullMesh(); }, 2s)) << i;
    world.Kill(twice);
    world.Run(2s);
  }
}

TEST_F(NodeTest, CrossedDialsEndInOneLink) {
  for (int i = 0; i < 20; ++i) {
    world.Run(5s);
    world.Break(alpha, beta);  // both dial at once
    EXPECT_TRUE(world.RunUntil([&] { return world.FullMesh(); }, 1s)) << i;
  }
  EXPECT_GT(world.node(alpha).stats().links_replaced, 5u) << "they did cross";
}

TEST(NodeBoundsTest, LinksBeyondTheBoundAreRefusedAndSoughtAgain) {
  Config config;
  config.self.bytes[0] = 1;
  config.name = "hub";
  config.epoch = 1;
  config.seeds = {"seed:1"};
  config.shape.full_mesh_peers = 2 * kMaxLinks;  // seeds are sought beside links
  Instant now{1h};
  auto node = *Node::Create(config, Rng({1, 2, 3, 4}), now);
  Effects out;
  const auto dial = [&]() -> DialId {
    out.clear();
    node->Wake(now, out);
    node->CheckInvariants();
    for (const Effect& effect : out) {
      if (const auto* wish = std::get_if<Dial>(&effect)) return wish->dial;
    }
    return {};
  };
  const DialId first = dial();
  ASSERT_TRUE(first);
  std::uint64_t refused = 0;
  const auto link_up = [&](std::size_t i, DialId dialled) {
    LinkUp up;
    up.link = LinkId{i + 1};
    up.peer.bytes[0] = 7;
    up.peer.bytes[1] = static_cast<std::uint8_t>(i);
    up.dial = dialled;
    up.direction = dialled ? Direction::kOutbound : Direction::kInbound;
    up.name = "stranger";
    up.epoch = 1;
    out.clear();
    node->Handle(now, up, out);
    node->CheckInvariants();
    for (const Effect& effect : out) refused += std::holds_alternative<Close>(effect);
  };
  for (std::size_t i = 0; i < kMaxLinks; ++i) link_up(i, {});
  EXPECT_EQ(refused, 0u);
  link_up(kMaxLinks, {});
  link_up(kMaxLinks + 1, first);
  EXPECT_EQ(refused, 2u);
  EXPECT_EQ(node->TakeCensus().links, kMaxLinks);
  now += 1s;
  EXPECT_TRUE(dial()) << "the seed is still sought";
}

TEST_F(NodeTest, TwoRunsWithOneSeedAreEqual) {
  const auto run = [](std::uint64_t seed) {
    World copy(seed);
    const HostIndex a = copy.Add("a"), b = copy.Add("b", {a}), c = copy.Add("c", {b});
    const AppIndex reader = copy.Open(c), writer = copy.Open(b);
    copy.Subscribe(reader, 1, ">");
    copy.Feed(writer, "x.y", 5, 2000, 1ms, copy.now() + 2s);
    copy.Run(1s);
    copy.Kill(a);
    copy.Run(3s);
    copy.Restart(a);
    copy.Run(3s);
    return copy.Fingerprint();
  };
  EXPECT_EQ(run(11), run(11));
  EXPECT_NE(run(11), run(12));
}

}  // namespace
}  // namespace peermesh::node
