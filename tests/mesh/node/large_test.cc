// A mesh beyond the full one: neighbours instead of links to everybody, broadcasts, verdicts, and
// the way back.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "mesh/node/bounds.h"
#include "tests/mesh/node/world.h"

namespace peermesh::node {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kPeers = 60;

class LargeTest : public testing::Test {
 protected:
  explicit LargeTest(std::size_t peers = kPeers, const Shape& shape = {}) {
    world.SetShape(shape);
    world.checks.every = 256;
    for (std::size_t i = 0; i < peers; ++i) {
      world.Add("peer-" + std::to_string(i),
                i == 0 ? std::vector<HostIndex>{} : std::vector{first});
      world.Run(20ms);
    }
    EXPECT_TRUE(Eventually([&] { return Whole() && Links() < 12 * peers; }, 60s));
  }

  // Looked at ten times a second: it walks all tables.
  template <typename Condition>
  bool Eventually(Condition condition, Duration limit) {
    for (const Instant end = world.now() + limit; world.now() < end; world.Run(100ms)) {
      if (condition()) return true;
    }
    return condition();
  }
  // Everybody that runs sees everybody that runs alive, and nobody else.
  bool Whole() const {
    for (HostIndex at = 0; at < world.hosts(); ++at) {
      if (!world.running(at)) continue;
      for (const membership::PeerView& row : world.node(at).Peers()) {
        if (row.self || (row.state == membership::State::kAlive) == Runs(row.id)) continue;
        return false;
      }
      if (world.node(at).Peers().size() < Running()) return false;
    }
    return true;
  }
  bool Runs(const PeerId& id) const {
    for (HostIndex host = 0; host < world.hosts(); ++host) {
      if (world.id(host) == id) return world.running(host);
    }
    return false;
  }
  std::size_t Running() const {
    std::size_t running = 0;
    for (HostIndex host = 0; host < world.hosts(); ++host) running += world.running(host);
    return running;
  }
  std::size_t Links() const {
    std::size_t links = 0;
    for (HostIndex host = 0; host < world.hosts(); ++host) {
      if (world.running(host)) links += world.node(host).TakeCensus().links;
    }
    return links;
  }
  HostIndex Stranger(HostIndex of) const {
    for (HostIndex other = 0; other < world.hosts(); ++other) {
      if (other != of && !world.Linked(of, other)) return other;
    }
    ADD_FAILURE() << "linked to everybody";
    return of;
  }
  const Answer& AnswerTo(AppIndex app, RequestId request) {
    EXPECT_TRUE(world.RunUntil([&] { return world.app(app).answers.contains(request); }, 10s));
    return world.app(app).answers.at(request);
  }

  // Splits the mesh in the middle for so long.
  void ExpectHalvesToMeet(Duration apart) {
    const HostIndex peers = world.hosts();
    for (HostIndex a = 0; a < peers / 2; ++a) {
      for (HostIndex b = peers / 2; b < peers; ++b) world.Cut(a, b);
    }
    world.Run(apart);
    EXPECT_FALSE(Whole());
    world.HealAll();
    const bool whole = Eventually([&] { return Whole(); }, 60s);
    std::map<membership::State, std::size_t> seen;
    std::size_t large = 0;
    for (HostIndex host = 0; !whole && host < peers; ++host) {
      large += world.node(host).TakeCensus().large;
      for (const membership::PeerView& row : world.node(host).Peers()) ++seen[row.state];
    }
    EXPECT_TRUE(whole) << testing::PrintToString(seen) << ", large: " << large;
  }

  World world{34};
  HostIndex first = 0;
};

TEST_F(LargeTest, EverybodyHasAFewNeighborsAndTheyAgree) {
  world.Run(30s);
  std::map<PeerId, std::set<PeerId>> neighbors;
  for (HostIndex host = 0; host < kPeers; ++host) {
    EXPECT_TRUE(world.node(host).TakeCensus().large);
    for (const PeerId& peer : world.node(host).Neighbors()) {
      neighbors[world.id(host)].insert(peer);
    }
    EXPECT_GE(neighbors[world.id(host)].size(), 5u);
    EXPECT_LE(neighbors[world.id(host)].size(), 12u);
  }
  std::size_t one_sided = 0;
  for (const auto& [peer, its] : neighbors) {
    for (const PeerId& other : its) one_sided += !neighbors[other].contains(peer);
  }
  EXPECT_LE(one_sided, 2u) << "but for those that are being agreed on";
}

TEST_F(LargeTest, ABroadcastReachesEverybodyOnceAndInOrder) {
  std::vector<AppIndex> readers;
  for (HostIndex host = 0; host < kPeers; ++host) {
    readers.push_back(world.Open(host));
    world.Subscribe(readers.back(), 1, "news.*");
  }
  world.Run(12s);  // who started 30 s ago passes on what others tell: all know who listens
  for (int round = 0; round < 10; ++round) {
    const AppIndex publisher = readers[static_cast<std::size_t>(round) * 5];
    const Answer& answer = AnswerTo(publisher, world.Publish(publisher, {"news.a", "news.b"}));
    EXPECT_EQ(answer.refusal, Refusal::kNone);
    EXPECT_EQ(answer.interested_peers, kPeers) << "as their records say";
    world.Run(300ms);
  }
  world.Run(3s);
  for (const AppIndex reader : readers) {
    EXPECT_EQ(world.app(reader).received.delivered, 20u) << "at host " << world.app(reader).host;
  }
}

TEST_F(LargeTest, AnnouncementsGoWithHeartbeats) {
  const AppIndex publisher = world.Open(first);
  const AppIndex reader = world.Open(Stranger(first));
  world.Subscribe(reader, 1, "news");
  for (HostIndex host = 0; host < 40; ++host) world.Subscribe(world.Open(host), 1, "news");
  world.Run(4s);
  const auto publish = [&] {
    AnswerTo(publisher, world.Publish(publisher, {"news"}));
    world.Run(2s);
  };
  for (int i = 0; i < 5; ++i) publish();  // the tree grows
  const std::size_t about_trees = ControlFrame(broadcast::Message{}).index();
  const auto all = [&] {
    std::uint64_t frames = 0, bytes = 0;
    for (HostIndex host = 0; host < kPeers; ++host) {
      frames += world.TrafficOf(host).sent[about_trees].frames;
      bytes += world.TrafficOf(host).announced_bytes;
    }
    return std::pair{frames, bytes};
  };
  const auto before = all();
  constexpr std::uint64_t kRounds = 10;
  for (std::uint64_t i = 0; i < kRounds; ++i) publish();
  const auto after = all();
  EXPECT_LE(after.first - before.first, kRounds * kPeers) << "alone it would be three for each";
  EXPECT_GE(after.second - before.second, kRounds * kPeers * 2 * 60) << "two for each at least";
  EXPECT_LE(after.second - before.second, kRounds * kPeers * 4 * 65);
  EXPECT_EQ(world.app(reader).received.delivered, kRounds + 5);
}

TEST_F(LargeTest, TwoThatKnowTheSameTellEachOtherNoRecordsOnANewLink) {
  const HostIndex other = Stranger(first);
  const AppIndex reader = world.Open(other);
  world.Subscribe(reader, 1, "direct");
  const AppIndex publisher = world.Open(first);
  world.Run(60s);
  ASSERT_FALSE(world.Linked(first, other));
  const std::size_t records = ControlFrame(PeerRecords{}).index();
  const std::size_t hashes = ControlFrame(TableHashes{}).index();
  const auto told = [&] {
    std::uint64_t frames = 0;
    for (const HostIndex host : {first, other}) {
      frames += world.TrafficOf(host).sent[records].frames;
      frames += world.TrafficOf(host).sent[hashes].frames;
    }
    return frames;
  };
  const std::uint64_t before = told();
  world.Publish(publisher, {"direct"}, 100, world.name(other));
  ASSERT_TRUE(world.RunUntil([&] { return world.app(reader).received.delivered == 1; }, 2s));
  EXPECT_TRUE(world.Linked(first, other));
  EXPECT_EQ(told(), before);
}

// The world checks the order, and that nothing is missing.
TEST_F(LargeTest, WhatFewListenToGoesToThemAlone) {
  std::vector<AppIndex> readers;
  const auto listen = [&](HostIndex host) {
    readers.push_back(world.Open(host));
    world.Subscribe(readers.back(), 1, "news");
  };
  for (HostIndex host = 40; host < 43; ++host) listen(host);
  const AppIndex publisher = world.Open(first);
  world.Run(kNewcomer + 4s);
  const auto publish = [&](int rounds) {
    for (int round = 0; round < rounds; ++round) {
      AnswerTo(publisher, world.Publish(publisher, {"news", "news"}));
      world.Run(100ms);
    }
  };
  const auto sent = [&] {
    std::uint64_t messages = 0;
    for (HostIndex host = 0; host < kPeers; ++host) {
      messages += world.node(host).stats().sent_messages;
    }
    return messages;
  };
  publish(20);
  std::uint64_t before = sent();
  publish(20);
  EXPECT_EQ(sent() - before, 20 * 2 * 3u) << "by the publisher to its listeners";
  listen(50);
  world.Run(2s);
  publish(20);
  before = sent();
  publish(20);
  EXPECT_EQ(sent() - before, 20 * 2 * 4u) << "with the newcomer";
  for (HostIndex host = 0; host < 40; ++host) listen(host);
  world.Run(4s);
  before = sent();
  publish(20);
  EXPECT_GE(sent() - before, 20 * 2 * (kPeers - 1)) << "everybody passes it on";
  for (HostIndex host = 5; host < 40; ++host) world.CloseApp(readers[4 + host]);
  world.Run(10s);
  publish(40);
  world.Run(3s);
  for (std::size_t reader = 0; reader < 3; ++reader) {
    EXPECT_EQ(world.app(readers[reader]).received.delivered, 140 * 2u);
    EXPECT_TRUE(world.app(readers[reader]).received.gapped.empty());
  }
  EXPECT_EQ(world.app(readers[3]).received.delivered, 100 * 2u);
  EXPECT_TRUE(world.app(readers[3]).received.gapped.empty());
  EXPECT_EQ(world.app(readers[4]).received.delivered, 60 * 2u);
  EXPECT_TRUE(world.app(readers[4]).received.gapped.empty());
}

TEST_F(LargeTest, WhereNobodyListensNothingIsSent) {
  const AppIndex publisher = world.Open(first);
  world.Run(kNewcomer + 4s);
  AnswerTo(publisher, world.Publish(publisher, {"news"}));
  world.Run(2s);
  for (HostIndex host = 0; host < kPeers; ++host) {
    EXPECT_EQ(world.node(host).stats().sent_messages, 0u);
  }
}

TEST_F(LargeTest, ALinkThatBreaksIsMadeAgainAndItsLossesAreAnnounced) {
  const HostIndex other = Stranger(first);
  const AppIndex reader = world.Open(other);
  world.Subscribe(reader, 1, "news");
  const AppIndex publisher = world.Open(first);
  world.Run(kNewcomer + 4s);
  const auto publish = [&](int rounds) {
    for (int round = 0; round < rounds; ++round) {
      AnswerTo(publisher, world.Publish(publisher, {"news"}));
      world.Run(100ms);
    }
  };
  publish(30);
  ASSERT_TRUE(world.Linked(first, other));
  world.Cut(first, other);
  publish(100);
  EXPECT_FALSE(world.Linked(first, other));
  world.Heal(first, other);
  publish(200);
  world.Run(3s);
  const sim::Received& received = world.app(reader).received;
  std::uint64_t gapped = 0;
  for (const auto& [reason, numbers] : received.gapped) gapped += numbers;
  EXPECT_EQ(received.delivered + gapped, 330u);
  EXPECT_GE(received.delivered, 270u) << "while there was no link they went over the trees";
  EXPECT_GE(gapped, 1u);
}

// The world checks the order.
TEST_F(LargeTest, AMessageToOnePeerDoesNotOvertakeABroadcast) {
  const HostIndex other = Stranger(first);
  const AppIndex reader = world.Open(other);
  world.Subscribe(reader, 1, "news");
  const AppIndex publisher = world.Open(first);
  world.Run(12s);
  for (int round = 1; round <= 40; ++round) {
    AnswerTo(publisher, world.Publish(publisher, {"news", "news"}));
    AnswerTo(publisher, world.Publish(publisher, {"news"}, 100, world.name(other)));
    world.Run(round % 2 == 0 ? 10ms : 300ms);
  }
  world.Run(3s);
  EXPECT_EQ(world.app(reader).received.delivered, 120u);
}

TEST_F(LargeTest, AMessageToOnePeerBorrowsALink) {
  const HostIndex other = Stranger(first);
  const AppIndex reader = world.Open(other);
  world.Subscribe(reader, 1, "direct");
  const AppIndex publisher = world.Open(first);
  world.Run(2s);
  const std::string target = world.name(other);
  const RequestId sent = world.Publish(publisher, {"direct"}, 100, target);
  EXPECT_EQ(AnswerTo(publisher, sent).refusal, Refusal::kNone);
  world.Run(1s);
  EXPECT_EQ(world.app(reader).received.delivered, 1u);
  EXPECT_TRUE(world.Linked(first, other));
  world.Run(200s);
  EXPECT_LE(Links(), 12 * kPeers);
}

TEST_F(LargeTest, WhoIsGoneIsDeadByTheWordOfItsNeighborsAndComesBack) {
  world.Run(20s);
  const HostIndex gone = 17;
  std::set<PeerId> observers;
  for (const PeerId& peer : world.node(gone).Neighbors()) observers.insert(peer);
  world.PowerOff(gone);
  const auto dead = [&] {
    for (HostIndex host = 0; host < kPeers; ++host) {
      if (host != gone && world.StateOf(host, gone) != membership::State::kDead) return false;
    }
    return true;
  };
  EXPECT_FALSE(Eventually(dead, 2s)) << "one missed heartbeat is nothing";
  EXPECT_TRUE(Eventually(dead, 3s));
  const PeerDetail detail = *world.node(first).Detail(world.id(gone));
  EXPECT_GE(detail.accusers.size(), 3u);
  for (const membership::Quorum::Voice& voice : detail.accusers) {
    EXPECT_TRUE(observers.contains(voice.observer)) << "only neighbours speak";
  }
  for (HostIndex host = 0; host < kPeers; ++host) {
    if (host == gone) continue;
    for (HostIndex other = 0; other < kPeers; ++other) {
      if (other == host || other == gone) continue;
      EXPECT_EQ(world.StateOf(host, other), membership::State::kAlive);
    }
  }
  world.Start(gone);
  EXPECT_TRUE(Eventually([&] { return Whole(); }, 20s));
}

TEST_F(LargeTest, WhoLeavesHasLeftForEverybody) {
  const HostIndex leaves = 9;
  world.Tell(leaves, DrainRequested{world.now() + 5s});
  const auto left = [&] {
    for (HostIndex host = 0; host < kPeers; ++host) {
      if (host != leaves && world.StateOf(host, leaves) != membership::State::kLeft) return false;
    }
    return true;
  };
  EXPECT_TRUE(Eventually(left, 2s));
}

TEST_F(LargeTest, TwoHalvesFindEachOtherAgain) { ExpectHalvesToMeet(300s); }

// More peers than the table holds.
class PartialTest : public testing::Test {
 protected:
  PartialTest() {
    Shape shape;
    shape.table_peers = 100;  // the overlay holds on to 72
    world.SetShape(shape);
    world.keep_truth = false;
    world.keep_keys = true;
    world.checks.every = 1024;
    while (world.hosts() < kMany) {
      AddOne();
      world.Run(20ms);
    }
    world.Run(60s);
  }
  void AddOne() {
    world.Add("peer-" + std::to_string(world.hosts()),
              world.hosts() == 0 ? std::vector<HostIndex>{} : std::vector<HostIndex>{0});
  }
  std::uint64_t BytesSent() const {
    std::uint64_t sum = 0;
    for (HostIndex host = 0; host < world.hosts(); ++host)
      sum += world.TrafficOf(host).bytes_sent();
    return sum;
  }

  static constexpr HostIndex kMany = 160;
  World world{35};
};

// Whoever speaks is a stranger to most.
TEST_F(PartialTest, WhoIsGoneIsDeadForAllWhoKnewItAndEveryWordCanBeChecked) {
  for (const HostIndex gone : {3u, 77u, 120u, 159u}) {
    std::vector<HostIndex> knew;
    for (HostIndex at = 0; at < kMany; ++at) {
      if (!world.running(at) || at == gone) continue;
      if (world.node(at).Detail(world.id(gone))) knew.push_back(at);
    }
    EXPECT_GT(knew.size(), 20u);
    EXPECT_LT(knew.size(), kMany - 20u) << "no table is partial";
    world.PowerOff(gone);
    world.Run(10s);
    for (const HostIndex at : knew) {
      const auto row = world.node(at).Detail(world.id(gone));
      EXPECT_TRUE(!row || row->row.state == membership::State::kDead) << at << " of " << gone;
    }
  }
  EXPECT_EQ(world.refused(), 0u);
}

// Whom it learns of while its table fills others know, or do not keep: it is no news to everybody.
TEST_F(PartialTest, WhatNewcomersLearnIsPassedOnByThoseThatKeepIt) {
  EXPECT_LT(BytesSent() / kMany, 1'000'000u) << "1.5 MB with floods, half of it without";
}

// Half of forty go, and the rest is a full mesh a minute later.
class ShrinkTest : public LargeTest {
 protected:
  ShrinkTest() : LargeTest(40) {}
  // Whether all of the first that run take the mesh for a large one, or none does.
  bool All(HostIndex hosts, bool large) const {
    for (HostIndex host = 0; host < hosts; ++host) {
      if (world.running(host) && world.node(host).TakeCensus().large != large) return false;
    }
    return true;
  }
};

// What went by trees takes longer than what goes straight: the world checks the order.
TEST_F(ShrinkTest, WhatGoesStraightDoesNotOvertakeWhatWasBroadcast) {
  for (HostIndex host = 0; host < 20; ++host) world.Subscribe(world.Open(host), 1, "news.*");
  world.Run(12s);
  for (HostIndex host = 20; host < 40; ++host) world.PowerOff(host);
  const AppIndex publisher = world.Open(first);
  const auto small = [&] { return !world.node(first).TakeCensus().large; };
  world.Run(60s);
  const Instant end = world.now() + 200s;
  while (!small() && world.now() < end) {
    AnswerTo(publisher, world.Publish(publisher, {"news.a"}));
    world.Run(50ms);
  }
  ASSERT_TRUE(small());
  const Instant shrunk = world.now();
  AnswerTo(publisher, world.Publish(publisher, {"news.a"}));
  EXPECT_LE(world.now(), shrunk + 100ms) << "it is for receivers to wait";
  for (int more = 0; more < 20; ++more) {
    AnswerTo(publisher, world.Publish(publisher, {"news.a"}));
    world.Run(50ms);
  }
  world.Run(3s);
}

// Links that were too many for the larger mesh are none for the smaller one.
TEST_F(ShrinkTest, WhatBecameSmallStaysSmall) {
  for (HostIndex host = 20; host < 40; ++host) world.PowerOff(host);
  ASSERT_TRUE(Eventually([&] { return All(20, false); }, 180s));
  for (const Instant end = world.now() + 180s; world.now() < end; world.Run(100ms)) {
    ASSERT_TRUE(All(20, false));
  }
}

TEST_F(ShrinkTest, InBetweenItStaysLarge) {
  for (HostIndex host = 28; host < 40; ++host) world.PowerOff(host);
  for (const Instant end = world.now() + 240s; world.now() < end; world.Run(100ms)) {
    ASSERT_TRUE(All(28, true));
  }
}

// The quorum heard that it came back, and nothing of its second death.
TEST_F(ShrinkTest, WhoDiesInASmallMeshStaysDeadWhenItGrows) {
  const HostIndex gone = 5;
  world.PowerOff(gone);
  world.Run(10s);
  ASSERT_EQ(world.StateOf(first, gone), membership::State::kDead);
  world.Start(gone);
  world.Run(10s);
  ASSERT_EQ(world.StateOf(first, gone), membership::State::kAlive);
  for (HostIndex host = 20; host < 40; ++host) world.PowerOff(host);
  ASSERT_TRUE(Eventually([&] { return All(20, false); }, 180s));
  world.PowerOff(gone);
  world.Run(10s);
  for (HostIndex host = 20; host < 40; ++host) world.Start(host);
  ASSERT_TRUE(Eventually([&] { return All(20, true); }, 60s));
  for (const Instant end = world.now() + 20s; world.now() < end; world.Run(100ms)) {
    for (HostIndex host = 0; host < 20; ++host) {
      if (host == gone) continue;
      ASSERT_NE(world.StateOf(host, gone), membership::State::kAlive) << host;
    }
  }
}

// Who is cut off with nobody of its passive view knows the others from its table alone.
class CutOffTest : public LargeTest {
 protected:
  CutOffTest() : LargeTest(kPeers, {.full_mesh_peers = 6, .passive = 4}) {}
};

TEST_F(CutOffTest, TheFewFindEachOther) {
  constexpr HostIndex kFew = 8, kMany = kPeers - kFew;  // the seed is one of the many
  for (HostIndex a = 0; a < kMany; ++a) {
    for (HostIndex b = kMany; b < kPeers; ++b) world.Cut(a, b);
  }
  world.Run(90s);
  std::set<PeerId> reached{world.id(kMany)};
  for (std::size_t before = 0; before < reached.size();) {
    before = reached.size();
    for (HostIndex host = kMany; host < kPeers; ++host) {
      if (!reached.contains(world.id(host))) continue;
      for (const PeerId& neighbor : world.node(host).Neighbors()) reached.insert(neighbor);
    }
  }
  EXPECT_EQ(reached.size(), kFew);
}

// Each half is a full mesh after a while, and both together are none.
class BorderTest : public LargeTest {
 protected:
  BorderTest() : LargeTest(48) {}
};

TEST_F(BorderTest, TwoHalvesThatBecameSmallFindEachOtherAgain) { ExpectHalvesToMeet(300s); }

TEST_F(BorderTest, TwoHalvesThatAreAboutToBecomeSmallFindEachOtherAgain) {
  ExpectHalvesToMeet(64s);
}

}  // namespace
}  // namespace peermesh::node
