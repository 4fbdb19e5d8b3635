// Who dies again and again stays out for a while; who was behind a partition does not.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>

#include "mesh/membership/quorum.h"
#include "tests/mesh/membership/quorum_fixture.h"

namespace peermesh::membership {
namespace {

using namespace std::chrono_literals;

class QuorumDampingTest : public QuorumTest {};

TEST_F(QuorumDampingTest, TheFirstReturnIsFreeAndTheNextOnesAreDamped) {
  Describe(kSubject, 1);
  std::uint64_t incarnation = 1;
  Say(1, kSubject, Claim::kGone, 1, incarnation);
  Describe(kSubject, 1, ++incarnation);
  EXPECT_EQ(StateOf(kSubject), State::kAlive) << "anybody is lost once";
  for (const Duration penalty : {5min, 10min, 20min, 20min}) {
    Say(1, kSubject, Claim::kGone, incarnation, incarnation);
    ASSERT_EQ(StateOf(kSubject), State::kDead);
    Wait(10s);
    quorum.TakeVerdicts();
    Describe(kSubject, 1, ++incarnation);
    const auto verdicts = quorum.TakeVerdicts();
    ASSERT_EQ(verdicts.size(), 1u) << "said again to a table that took the record for life";
    EXPECT_EQ(verdicts[0].state, State::kDead);
    Wait(penalty - 10s - 1us);
    EXPECT_EQ(StateOf(kSubject), State::kDead);
    Wait(1us);
    EXPECT_EQ(StateOf(kSubject), State::kAlive);
  }
  Wait(kDeathMemory);
  Say(1, kSubject, Claim::kGone, incarnation, incarnation);
  Describe(kSubject, 1, ++incarnation);
  EXPECT_EQ(StateOf(kSubject), State::kAlive) << "an hour is forgiven";
}

TEST_F(QuorumDampingTest, ANewProcessIsNotDamped) {
  Describe(kSubject, 1);
  for (std::uint64_t life = 1; life < 5; ++life) {
    Say(1, kSubject, Claim::kGone, life, life);
    ASSERT_EQ(StateOf(kSubject), State::kDead);
    Describe(kSubject, 1, life + 1, life + 1);
    EXPECT_EQ(StateOf(kSubject), State::kAlive);
  }
}

TEST_F(QuorumDampingTest, WhoDiesInCompanyIsNotDamped) {
  for (std::uint32_t peer = 0; peer < kCompany; ++peer) Describe(peer + 100, 1);
  for (std::uint64_t time = 1; time < 4; ++time) {
    for (std::uint32_t peer = 0; peer < kCompany; ++peer) {
      Say(1, peer + 100, Claim::kGone, time * 10 + peer, time);
      ASSERT_EQ(StateOf(peer + 100), State::kDead);
    }
    Wait(1min);
    for (std::uint32_t peer = 0; peer < kCompany; ++peer) {
      Describe(peer + 100, 1, time + 1);
      EXPECT_EQ(StateOf(peer + 100), State::kAlive) << "a partition that heals";
    }
  }
}

// The sides of a partition that has healed tell each other of the same peer's deaths long ago.
TEST_F(QuorumDampingTest, DeathsOfThePastCountAsOne) {
  Describe(kSubject, 8);
  std::uint64_t incarnation = 1;
  for (int time = 0; time < 3; ++time) {
    HearOfThePast(kSubject, 1, 8, incarnation);
    ASSERT_EQ(StateOf(kSubject), State::kDead);
    Describe(kSubject, 8, ++incarnation);
    ASSERT_EQ(StateOf(kSubject), State::kAlive);
    Wait(1s);
  }
  Accuse(kSubject, 1, 8, incarnation);
  Wait(10s);
  // A penalty runs from the last death that counted.
  Describe(kSubject, 8, ++incarnation);
  ASSERT_EQ(StateOf(kSubject), State::kDead);
  HearOfThePast(kSubject, 1, 8, incarnation);
  Describe(kSubject, 8, ++incarnation);
  Wait(kFirstPenalty - 10s);
  EXPECT_EQ(StateOf(kSubject), State::kAlive);
}

TEST_F(QuorumDampingTest, FewOldVoicesDoNotMakeADeathOneOfThePast) {
  for (const bool enough : {false, true}) {
    const std::uint32_t subject = kSubject + enough;
    Describe(subject, 8);
    Accuse(subject, 1, 8);
    Describe(subject, 8, 2);
    const std::uint32_t recent = enough ? LowMark(8) : LowMark(8) - 1;
    Accuse(subject, 1, recent, 2);
    HearOfThePast(subject, recent + 1, 8, 2);
    ASSERT_EQ(StateOf(subject), State::kDead);
    Describe(subject, 8, 3);
    EXPECT_EQ(StateOf(subject), enough ? State::kDead : State::kAlive);
  }
}

// Behind a partition most observers are dead, too, each time.
TEST_F(QuorumDampingTest, SilenceIsNoFlapping) {
  for (std::uint32_t peer = 2; peer <= 8; ++peer) {
    Describe(peer, 1);
    Say(1, peer, Claim::kGone, peer);
    Wait(kTogether + 1s);
  }
  Describe(kSubject, 8);
  Accuse(kSubject, 1, 1);
  ASSERT_EQ(StateOf(kSubject), State::kDead);
  Describe(kSubject, 8, 2);
  ASSERT_EQ(StateOf(kSubject), State::kAlive);
  Accuse(kSubject, 1, 1, 2);
  ASSERT_EQ(StateOf(kSubject), State::kDead);
  Describe(kSubject, 8, 3);
  EXPECT_EQ(StateOf(kSubject), State::kAlive);
}

TEST_F(QuorumDampingTest, WhoNamesNobodyIsDamped) {
  Describe(kSubject, 0);
  for (const State after : {State::kAlive, State::kDead}) {
    const std::uint64_t incarnation = after == State::kAlive ? 1 : 2;
    Say(1, kSubject, Claim::kGone, incarnation, incarnation);
    ASSERT_EQ(StateOf(kSubject), State::kDead);
    Describe(kSubject, 0, incarnation + 1);
    EXPECT_EQ(StateOf(kSubject), after);
  }
}

// What kills it a second time does not count, and it is company for the others all the same.
TEST_F(QuorumDampingTest, WhoDiedInThePastIsCompany) {
  for (std::uint32_t peer = 0; peer < kCompany; ++peer) {
    Describe(peer + 100, 8);
    Accuse(peer + 100, 1, 8);
    Wait(kTogether + 1s);
    Describe(peer + 100, 8, 2);
  }
  for (std::uint32_t peer = 1; peer < kCompany; ++peer) HearOfThePast(peer + 100, 1, 8, 2);
  Accuse(100, 1, 8, 2);
  Describe(100, 8, 3);
  EXPECT_EQ(StateOf(100), State::kAlive);
}

TEST_F(QuorumDampingTest, EvidenceIsOfThePastAfterAWhile) {
  Describe(kSubject, 8);
  Accuse(kSubject, 1, 2);
  const auto past = [this] {
    const auto evidence = quorum.Evidence(now, Peer(kSubject));
    return std::count_if(evidence.begin(), evidence.end(), [](const auto& it) { return it->past; });
  };
  EXPECT_EQ(past(), 0);
  Wait(kTogether);
  EXPECT_EQ(past(), 2) << "voices that stand";
  Accuse(kSubject, 3, 8);
  ASSERT_EQ(StateOf(kSubject), State::kDead);
  EXPECT_EQ(past(), 0) << "a death";
  Wait(kTogether);
  EXPECT_GE(past(), 7);
  Describe(kSubject, 8, 2);
  HearOfThePast(kSubject, 1, 1, 2);
  EXPECT_EQ(past(), 1) << "passed on as it came";
}

TEST_F(QuorumDampingTest, VoicesAtTheEndOfThePenaltyKeepItDeadUntilTheyAreTakenBack) {
  Describe(kSubject, 8);
  Accuse(kSubject, 1, 8, 1);
  Describe(kSubject, 8, 2);
  Accuse(kSubject, 1, 8, 2);
  Describe(kSubject, 8, 3);
  Accuse(kSubject, 1, 1, 3);
  Wait(kFirstPenalty);
  EXPECT_EQ(StateOf(kSubject), State::kDead);
  Say(1, kSubject, Claim::kBack, 2, 3);
  EXPECT_EQ(StateOf(kSubject), State::kAlive);
}

}  // namespace
}  // namespace peermesh::membership
