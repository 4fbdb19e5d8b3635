// The quorum among many peers, with seeds.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "mesh/base/rng.h"
#include "mesh/membership/quorum.h"

namespace peermesh::membership {
namespace {

using namespace std::chrono_literals;

PeerId Peer(std::size_t number) {
  PeerId id;
  id.bytes[0] = static_cast<std::uint8_t>(number * 37);
  id.bytes[1] = static_cast<std::uint8_t>(number >> 8);
  id.bytes[2] = static_cast<std::uint8_t>(number);
  return id;
}

RecordRef Make(std::size_t subject, const std::set<std::size_t>& observers,
               std::uint64_t incarnation = 1) {
  Record record;
  record.id = Peer(subject);
  record.incarnation = incarnation;
  for (const std::size_t observer : observers)
    record.observers.push_back(ObserverKey(Peer(observer)));
  std::sort(record.observers.begin(), record.observers.end());
  return record;
}

StatementRef Say(std::size_t observer, std::size_t subject, Claim claim = Claim::kGone,
                 std::uint64_t number = 1, std::uint64_t incarnation = 1) {
  Statement statement;
  statement.observer = Peer(observer);
  statement.subject = Peer(subject);
  statement.claim = claim;
  statement.number = number;
  statement.incarnation = incarnation;
  statement.reason = StateReason::kHeartbeatTimeout;
  return std::make_shared<const Statement>(statement);
}

std::map<PeerId, State> Standing(const Quorum& quorum) {
  std::map<PeerId, State> states;
  for (const Quorum::Verdict& verdict : quorum.Standing()) states[verdict.subject] = verdict.state;
  return states;
}

void Advance(Quorum& quorum, Instant& now, Duration duration) {
  const Instant until = now + duration;
  while (quorum.NextWake() <= until) {
    now = std::max(now, quorum.NextWake());
    quorum.Wake(now);
  }
  now = until;
}

template <class T>
void Shuffle(Rng& rng, std::vector<T>& items) {
  for (std::size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[rng.Below(i)]);
}

using Graph = std::vector<std::set<std::size_t>>;

// Random and regular: stubs are paired, and swapped until nothing is double.
Graph RandomRegular(Rng& rng, std::size_t peers, std::size_t degree) {
  std::vector<std::size_t> stubs;
  for (std::size_t i = 0; i < peers * degree; ++i) stubs.push_back(i % peers);
  Shuffle(rng, stubs);
  Graph graph(peers);
  for (std::size_t i = 0; i + 1 < stubs.size(); i += 2) {
    for (int tries = 0; tries < 10'000; ++tries) {
      if (stubs[i] != stubs[i + 1] && !graph[stubs[i]].contains(stubs[i + 1])) break;
      // With any later stub; at the very end a few pairs stay out.
      if (i + 2 >= stubs.size()) break;
      std::swap(stubs[i + 1], stubs[i + 2 + rng.Below(stubs.size() - i - 2)]);
    }
    if (stubs[i] == stubs[i + 1]) continue;
    graph[stubs[i]].insert(stubs[i + 1]);
    graph[stubs[i + 1]].insert(stubs[i]);
  }
  return graph;
}

TEST(QuorumRandomTest, FewerThanTheLowMarkNeverKillAndTheHighMarkAlwaysDoes) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Rng rng({seed, 1, 2, 3});
    const std::size_t k = 2 + rng.Below(30);
    std::set<std::size_t> observers;
    while (observers.size() < k) observers.insert(1 + rng.Below(200));
    for (const bool enough : {false, true}) {
      Quorum quorum;
      Instant now{1h};
      quorum.Describe(now, Make(0, observers));
      for (std::size_t i = 1; i <= 200; ++i) quorum.Describe(now, Make(i, {}));
      std::vector<std::size_t> voices(observers.begin(), observers.end());
      Shuffle(rng, voices);
      voices.resize(enough ? HighMark(k) : LowMark(k) - 1);
      // They speak often, take it back and say it again, and call strangers to help.
      std::vector<StatementRef> words;
      for (const std::size_t voice : voices) {
        const std::uint64_t last = 1 + rng.Below(5);
        for (std::uint64_t number = 1; number <= last; ++number) {
          const bool gone = number == last || rng.Below(2) == 0;
          words.push_back(Say(voice, 0, gone ? Claim::kGone : Claim::kBack, number));
        }
      }
      for (std::size_t i = 0; i < 20; ++i) {
        const std::size_t stranger = 1 + rng.Below(200);
        if (!observers.contains(stranger)) words.push_back(Say(stranger, 0));
      }
      Shuffle(rng, words);
      // Nobody dies on the way: each word is followed by the next at once.
      for (const StatementRef& word : words) quorum.Hear(now, word);
      quorum.CheckInvariants();
      if (!enough) Advance(quorum, now, 1h);
      const State state = Standing(quorum)[Peer(0)];
      EXPECT_EQ(state == State::kDead, enough) << "K " << k;
      quorum.CheckInvariants();
    }
  }
}

// Colluding peers speak against everybody they observe. Honest ones refute, and nobody dies.
TEST(QuorumRandomTest, AColludingMinorityKillsNobodyWhoRefutes) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Rng rng({seed, 4, 5, 6});
    const Graph graph = RandomRegular(rng, 300, 8);
    std::vector<std::uint64_t> incarnations(300, 1);
    Quorum quorum;
    Instant now{1h};
    for (std::size_t i = 0; i < graph.size(); ++i) quorum.Describe(now, Make(i, graph[i]));
    for (int round = 0; round < 30; ++round) {
      for (std::size_t bad = 0; bad < 15; ++bad) {
        for (const std::size_t victim : graph[bad]) {
          std::size_t enemies = 0;
          for (const std::size_t observer : graph[victim]) enemies += observer < 15;
          if (enemies >= LowMark(graph[victim].size())) continue;  // such may be killed
          quorum.Hear(now, Say(bad, victim, Claim::kGone, 1 + static_cast<std::uint64_t>(round),
                               incarnations[victim]));
        }
      }
      Advance(quorum, now, 5s);
      for (const auto& [id, state] : Standing(quorum)) EXPECT_EQ(state, State::kSuspect);
      for (std::size_t i = 0; i < graph.size(); ++i) {
        if (Standing(quorum).contains(Peer(i))) {
          quorum.Describe(now, Make(i, graph[i], ++incarnations[i]));
        }
      }
      quorum.CheckInvariants();
    }
  }
}

TEST(QuorumRandomTest, TheOrderInWhichWordsArriveDoesNotMatter) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Rng rng({seed, 7, 8, 9});
    const Graph graph = RandomRegular(rng, 40, 6);
    std::vector<StatementRef> words;
    for (std::size_t subject = 0; subject < graph.size(); ++subject) {
      for (const std::size_t observer : graph[subject]) {
        for (std::uint64_t number = 1; number <= 3; ++number) {
          const bool gone = rng.Below(3) != 0;
          // Of the incarnation that everybody knows, or of the one before.
          const std::uint64_t incarnation = 1 + rng.Below(2);
          words.push_back(
              Say(observer, subject, gone ? Claim::kGone : Claim::kBack, number, incarnation));
        }
      }
      if (rng.Below(10) == 0) words.push_back(Say(subject, subject, Claim::kLeft, 9, 2));
    }
    std::map<PeerId, State> first;
    for (int order = 0; order < 5; ++order) {
      Quorum quorum;
      Instant now{1h};
      for (std::size_t i = 0; i < graph.size(); ++i) {
        if (rng.Below(2) == 0) quorum.Describe(now, Make(i, graph[i], 1));
        quorum.Describe(now, Make(i, graph[i], 2));
        if (rng.Below(2) == 0) quorum.Describe(now, Make(i, graph[i], 1));
      }
      Shuffle(rng, words);
      std::vector<StatementRef> said = words;
      // Whoever was killed on the way stays dead, so what is taken back goes first.
      std::stable_partition(said.begin(), said.end(),
                            [](const StatementRef& word) { return word->claim == Claim::kBack; });
      for (const StatementRef& word : said) quorum.Hear(now, word);
      Advance(quorum, now, 30s);
      quorum.CheckInvariants();
      const auto states = Standing(quorum);
      if (order == 0) first = states;
      EXPECT_EQ(states, first) << "order " << order;
    }
    EXPECT_FALSE(first.empty());
  }
}

// A twentieth is cut off. It accuses those it had links to, links up among itself, and in time sees
// everybody else as dead.
TEST(QuorumRandomTest, BehindAPartitionEverybodyElseIsDeadInTheEnd) {
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Rng rng({seed, 10, 11, 12});
    constexpr std::size_t kPeers = 1000, kOurs = 50;
    const Graph graph = RandomRegular(rng, kPeers, 8);
    const Graph inside = RandomRegular(rng, kOurs, 8);
    Quorum quorum;
    Instant now{1h};
    for (std::size_t i = 0; i < kPeers; ++i) quorum.Describe(now, Make(i, graph[i]));
    for (std::size_t i = 0; i < kOurs; ++i) {
      for (const std::size_t lost : graph[i]) {
        if (lost >= kOurs) quorum.Hear(now, Say(i, lost));
      }
    }
    Advance(quorum, now, 10s);
    for (std::size_t i = 0; i < kOurs; ++i) quorum.Describe(now, Make(i, inside[i], 2));
    quorum.CheckInvariants();
    Duration taken{};
    while (taken < 15min) {
      Advance(quorum, now, 10s);
      taken += 10s;
      const auto standing = Standing(quorum);
      for (std::size_t i = 0; i < kOurs; ++i) ASSERT_FALSE(standing.contains(Peer(i)));
      const auto dead = std::count_if(standing.begin(), standing.end(),
                                      [](const auto& s) { return s.second == State::kDead; });
      if (dead == kPeers - kOurs) break;
    }
    quorum.CheckInvariants();
    EXPECT_LT(taken, 10min);
    RecordProperty("seconds_" + std::to_string(seed), static_cast<int>(taken / 1s));
    // It heals: everybody outside hears that it is called dead, and refutes.
    for (std::size_t i = kOurs; i < kPeers; ++i) quorum.Describe(now, Make(i, graph[i], 2));
    Advance(quorum, now, 1h);
    EXPECT_TRUE(Standing(quorum).empty());
    EXPECT_EQ(quorum.NextWake(), kNever);
    quorum.CheckInvariants();
  }
}

// Half of all die at once. The others renew their records within a minute, as their views heal.
TEST(QuorumRandomTest, HalfOfAllDieAndNobodyElse) {
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Rng rng({seed, 13, 14, 15});
    constexpr std::size_t kPeers = 600, kAlive = 300;
    const Graph graph = RandomRegular(rng, kPeers, 8);
    const Graph healed = RandomRegular(rng, kAlive, 8);
    Quorum quorum;
    Instant now{1h};
    for (std::size_t i = 0; i < kPeers; ++i) quorum.Describe(now, Make(i, graph[i]));
    for (std::size_t i = 0; i < kAlive; ++i) {
      for (const std::size_t lost : graph[i]) {
        if (lost >= kAlive) quorum.Hear(now, Say(i, lost));
      }
    }
    const auto nobody_alive_is_dead = [&] {
      for (const auto& [id, state] : Standing(quorum)) {
        if (state != State::kDead) continue;
        for (std::size_t i = 0; i < kAlive; ++i) ASSERT_NE(id, Peer(i)) << i;
      }
    };
    for (std::size_t i = 0; i < kAlive; ++i) {
      Advance(quorum, now, kStranded / std::int64_t{kAlive});
      if (i % 10 == 0) nobody_alive_is_dead();
      quorum.Describe(now, Make(i, healed[i], 2));
    }
    Advance(quorum, now, 10min);
    const auto standing = Standing(quorum);
    EXPECT_EQ(standing.size(), kPeers - kAlive);
    for (const auto& [id, state] : standing) EXPECT_EQ(state, State::kDead);
    nobody_alive_is_dead();
    quorum.CheckInvariants();
  }
}

}  // namespace
}  // namespace peermesh::membership
