// The world itself: what it promises to experiments beside what scripts test.
#include "tests/sim/world.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "tests/sim/agenda.h"

namespace peermesh::sim {
namespace {

using namespace std::chrono_literals;

TEST(AgendaTest, EventsComeInOrderOfTimeAndThoseOfOneMomentAsTheyWerePlanned) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Rng rng({seed, 1, 1, 1});
    Agenda agenda;
    std::vector<std::pair<Instant, std::uint64_t>> planned, taken;
    Instant now{1h};
    for (std::uint64_t number = 0; number < 5000;) {
      for (std::uint64_t more = rng.Below(6); more > 0; --more, ++number) {
        constexpr Duration kSpans[] = {0us, 3us, 200us, 2s, 1h};
        const Duration span = kSpans[rng.Below(std::size(kSpans))];
        const Instant when = now + rng.Between({}, span);
        agenda.Add({.when = when, .kind = EventKind::kCall, .b = number});
        planned.emplace_back(when, number);
      }
      const Instant limit = now + rng.Between({}, rng.Below(2) == 0 ? 1ms : 1s);
      for (std::uint64_t most = rng.Below(8); most > 0; --most) {
        const auto event = agenda.Take(limit);
        if (!event) {
          now = limit;
          break;
        }
        ASSERT_GE(event->when, now);
        ASSERT_LE(event->when, limit);
        now = event->when;
        taken.emplace_back(event->when, event->b);
      }
    }
    while (const auto event = agenda.Take(kNever)) taken.emplace_back(event->when, event->b);
    std::sort(planned.begin(), planned.end());
    EXPECT_EQ(taken, planned);
  }
}

class WorldTest : public testing::Test {
 protected:
  void Build(std::size_t hosts, Network network = {}, bool large = false) {
    world = std::make_unique<World>(7, network);
    world->on_failure = [](const std::string& what) { ADD_FAILURE() << what; };
    if (large) {
      node::Shape shape;
      shape.full_mesh_peers = 3;
      world->SetShape(shape);
      world->keep_truth = false;
    }
    for (HostIndex host = 0; host < hosts; ++host) {
      world->Add("h" + std::to_string(host),
                 host == 0 ? std::vector<HostIndex>{} : std::vector<HostIndex>{0});
    }
  }
  // Everybody wants everything; how many copies of one message of the first host arrive.
  std::size_t Broadcast() {
    std::vector<AppIndex> apps;
    for (HostIndex host = 0; host < world->hosts(); ++host) {
      apps.push_back(world->Open(host));
      world->Subscribe(apps.back(), 1, ">");
    }
    world->Run(30s);
    world->Publish(apps[0], {"a.b"});
    world->Run(10s);
    return static_cast<std::size_t>(std::count_if(
        apps.begin(), apps.end(), [&](AppIndex app) { return !world->app(app).texts.empty(); }));
  }
  std::unique_ptr<World> world;
};

// Changes what others signed while it is under way.
class Forger final : public Codec {
 public:
  node::ControlFrame Pass(const node::ControlFrame& frame) override {
    const auto* told = std::get_if<node::Statements>(&frame);
    if (told == nullptr) return frame;
    node::Statements altered;
    for (const membership::StatementRef& statement : told->statements) {
      membership::Statement other = *statement;
      ++other.number;
      altered.statements.push_back(std::make_shared<const membership::Statement>(other));
    }
    return altered;
  }
  node::DataFrame Pass(const node::DataFrame& frame) override {
    node::DataFrame altered = frame;
    for (node::Relayed& relayed : altered.relayed) {
      broadcast::Piece other = *relayed.piece;
      auto batch = std::make_shared<Batch>(*other.batch);
      std::string text = *batch->buffer;
      text.back() ^= 1;
      batch->buffer = std::make_shared<const std::string>(text);
      other.batch = batch;
      relayed.piece = std::make_shared<const broadcast::Piece>(std::move(other));
    }
    return altered;
  }
};

TEST_F(WorldTest, WhatIsSignedReachesEverybodyAndWhatIsForgedNobody) {
  Build(40, {}, true);
  EXPECT_EQ(Broadcast(), 40u);
  EXPECT_EQ(world->refused(), 0u);
  Build(40, {}, true);
  Forger forger;
  world->codec = &forger;
  EXPECT_EQ(Broadcast(), 1u) << "its own host";
  const std::uint64_t pieces = world->refused();
  EXPECT_GT(pieces, 0u);
  world->PowerOff(5);
  world->Run(10s);
  EXPECT_GT(world->refused(), pieces) << "statements";
}

TEST_F(WorldTest, WhoeverIsApartHearsNothingUntilTheSplitIsHealed) {
  Build(6);
  ASSERT_TRUE(world->RunUntil([&] { return world->FullMesh(); }, 10s));
  world->Split({0, 1});
  world->Run(20s);
  EXPECT_TRUE(world->Linked(0, 1));
  EXPECT_TRUE(world->Linked(2, 5));
  EXPECT_FALSE(world->Linked(1, 2));
  world->HealAll();
  EXPECT_TRUE(world->RunUntil([&] { return world->FullMesh(); }, 30s));
}

TEST_F(WorldTest, AHostThatLosesPacketsIsSlowNotCutOff) {
  Build(2);
  ASSERT_TRUE(world->RunUntil([&] { return world->FullMesh(); }, 10s));
  const std::uint64_t heard = world->TrafficOf(1).received.frames;
  world->Lossy(1, 0.3);
  world->Run(20s);
  EXPECT_TRUE(world->Linked(0, 1));
  EXPECT_GT(world->TrafficOf(1).received.frames, heard);
  world->Lossy(1, 1.0);
  world->Run(30s);
  EXPECT_FALSE(world->Linked(0, 1));
  world->Lossy(1, 0);
  EXPECT_TRUE(world->RunUntil([&] { return world->FullMesh(); }, 5min));
}

TEST_F(WorldTest, PairsAreAsFarApartAsTheNetworkSays) {
  Network network;
  network.latency = 1ms;
  network.jitter = network.write_time = {};
  network.regions = {{0ms, 50ms}, {50ms, 0ms}};
  Build(3, network);
  ASSERT_TRUE(world->RunUntil([&] { return world->FullMesh(); }, 10s));
  world->Run(10s);
  EXPECT_EQ(*world->RowOf(0, 2)->round_trip, 2ms) << "both in the first region";
  EXPECT_EQ(*world->RowOf(0, 1)->round_trip, 102ms);
}

TEST_F(WorldTest, AQuietMeshSendsHeartbeatsAndNothingElse) {
  Build(3);
  ASSERT_TRUE(world->RunUntil([&] { return world->FullMesh(); }, 10s));
  world->Run(10s);
  const Traffic before = world->TrafficOf(0);
  world->Run(100s);
  const Traffic& after = world->TrafficOf(0);
  EXPECT_NEAR(static_cast<double>(after.sent[0].frames - before.sent[0].frames), 100, 2)
      << "two links, one every two seconds";
  EXPECT_EQ(after.frames_sent() - before.frames_sent(),
            after.sent[0].frames - before.sent[0].frames);
  EXPECT_NEAR(static_cast<double>(after.bytes_sent() - before.bytes_sent()) / 100, 126 + 52, 8);
}

TEST_F(WorldTest, WritesThatTakeNoTimeSaveTurnsAndChangeNothingElse) {
  Build(5);
  EXPECT_EQ(Broadcast(), 5u);
  const std::uint64_t turns = world->turns();
  Network network;
  network.write_time = {};
  Build(5, network);
  EXPECT_EQ(Broadcast(), 5u);
  EXPECT_LT(world->turns(), turns * 4 / 5);
  EXPECT_TRUE(world->FullMesh());
}

}  // namespace
}  // namespace peermesh::sim
