#include "mesh/membership/quorum.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <initializer_list>
#include <memory>
#include <vector>

#include "tests/mesh/membership/quorum_fixture.h"

namespace peermesh::membership {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using Heard = Quorum::Heard;

TEST_F(QuorumTest, AlmostAllObserversTogetherKillAtOnce) {
  Describe(kSubject, 8);
  Accuse(kSubject, 1, 1);
  auto verdicts = quorum.TakeVerdicts();
  ASSERT_EQ(verdicts.size(), 1u);
  EXPECT_EQ(verdicts[0].subject, Peer(kSubject));
  EXPECT_EQ(verdicts[0].state, State::kSuspect);
  EXPECT_EQ(verdicts[0].reason, StateReason::kLinkBroken);
  Accuse(kSubject, 2, 6);
  EXPECT_THAT(quorum.TakeVerdicts(), IsEmpty());
  Accuse(kSubject, 7, 7);
  verdicts = quorum.TakeVerdicts();
  ASSERT_EQ(verdicts.size(), 1u);
  EXPECT_EQ(verdicts[0].state, State::kDead);
  EXPECT_EQ(quorum.Evidence(now, Peer(kSubject)).size(), 7u);
}

TEST_F(QuorumTest, AFewKillWhenLifeguardsTimerFires) {
  Describe(kSubject, 8);
  Accuse(kSubject, 1, 2);
  Wait(5s);
  Accuse(kSubject, 3, 3);  // counted from here
  Wait(4s - 1us);
  EXPECT_EQ(StateOf(kSubject), State::kSuspect);
  Wait(1us);
  EXPECT_EQ(StateOf(kSubject), State::kDead);
}

TEST_F(QuorumTest, FewerThanThatNeverKill) {
  Describe(kSubject, 8);
  Accuse(kSubject, 1, 2);
  Wait(24h);
  EXPECT_EQ(StateOf(kSubject), State::kSuspect);
  EXPECT_THAT(quorum.Evidence(now, Peer(kSubject)), testing::SizeIs(2)) << "for it to refute";
}

TEST_F(QuorumTest, NobodyAloneKillsUnlessItIsTheOnlyObserver) {
  for (std::uint32_t observers = 2; observers <= 12; ++observers) {
    Describe(kSubject + observers, observers);
    Accuse(kSubject + observers, 1, 1);
  }
  Wait(1h);
  for (std::uint32_t observers = 2; observers <= 12; ++observers) {
    EXPECT_EQ(StateOf(kSubject + observers), State::kSuspect) << observers;
  }
  Describe(kSubject, 1);
  Accuse(kSubject, 1, 1);
  EXPECT_EQ(StateOf(kSubject), State::kDead);
}

TEST_F(QuorumTest, TheTimerIsShorterTheMoreSpeakAndLongerTheLessWeKeepUp) {
  EXPECT_EQ(TimerOf(1), 14s);
  EXPECT_NEAR(static_cast<double>(TimerOf(2).count()), 8'150'375.0, 20.0);
  EXPECT_EQ(TimerOf(3), 4s);
  EXPECT_EQ(TimerOf(50), 4s);
  Describe(kSubject, 5);  // two voices, or four
  Accuse(kSubject, 1, 2);
  quorum.SetMultiplier(now, 3);
  Wait(3 * TimerOf(2) - 1us);
  EXPECT_EQ(StateOf(kSubject), State::kSuspect);
  quorum.SetMultiplier(now, 4);
  Wait(1s);
  EXPECT_EQ(StateOf(kSubject), State::kSuspect);
  Accuse(kSubject, 3, 3);
  Wait(0s);
  EXPECT_EQ(StateOf(kSubject), State::kDead) << "long enough for three";
}

TEST_F(QuorumTest, AVoiceThatIsTakenBackCountsNoLonger) {
  Describe(kSubject, 8);
  Accuse(kSubject, 1, 3);
  Say(3, kSubject, Claim::kBack, 2);
  Wait(1h);
  EXPECT_EQ(StateOf(kSubject), State::kSuspect);
  Say(1, kSubject, Claim::kBack, 2);
  Say(2, kSubject, Claim::kBack, 2);
  EXPECT_EQ(StateOf(kSubject), State::kAlive);
  EXPECT_THAT(quorum.Accusers(Peer(kSubject)), IsEmpty());
  EXPECT_EQ(Say(3, kSubject, Claim::kGone, 1), Heard::kOld);
  EXPECT_EQ(Say(3, kSubject, Claim::kGone, 2), Heard::kOld);
  EXPECT_EQ(Say(3, kSubject, Claim::kGone, 3), Heard::kNews);
  EXPECT_EQ(StateOf(kSubject), State::kSuspect);
}

TEST_F(QuorumTest, AWordTakenBackBeforeItArrivesDoesNotCount) {
  Describe(kSubject, 1);
  EXPECT_EQ(Say(1, kSubject, Claim::kBack, 6), Heard::kNews);
  EXPECT_EQ(Say(1, kSubject, Claim::kGone, 5), Heard::kOld);
  EXPECT_EQ(StateOf(kSubject), State::kAlive);
}

TEST_F(QuorumTest, OneObserverIsOneVoice) {
  Describe(kSubject, 8);
  for (std::uint64_t number = 1; number <= 20; ++number) Say(1, kSubject, Claim::kGone, number);
  Wait(1h);
  EXPECT_EQ(StateOf(kSubject), State::kSuspect);
  EXPECT_EQ(quorum.Accusers(Peer(kSubject)).size(), 1u);
}

TEST_F(QuorumTest, ALargerIncarnationMakesVoicesVoid) {
  Describe(kSubject, 8);
  Accuse(kSubject, 1, 3);
  quorum.TakeVerdicts();
  Describe(kSubject, 8, 2);
  const auto verdicts = quorum.TakeVerdicts();
  ASSERT_EQ(verdicts.size(), 1u);
  EXPECT_EQ(verdicts[0].state, State::kAlive);
  EXPECT_EQ(Say(4, kSubject, Claim::kGone, 1, 1), Heard::kOld);
  EXPECT_EQ(Say(4, kSubject, Claim::kGone, 2, 3), Heard::kOld) << "its record did not come yet";
  EXPECT_EQ(Say(4, kSubject, Claim::kGone, 3, 2), Heard::kNews);
  Describe(kSubject, 8, 1);
  EXPECT_EQ(StateOf(kSubject), State::kSuspect) << "an old record says nothing";
}

TEST_F(QuorumTest, NobodyClearsItselfByLosingItsObservers) {
  Describe(kSubject, 8);
  Accuse(kSubject, 1, 4);
  Move(kSubject, 4, 6, 2);
  EXPECT_EQ(StateOf(kSubject), State::kSuspect);
  EXPECT_EQ(quorum.Accusers(Peer(kSubject)).size(), 4u);
  EXPECT_EQ(Say(7, kSubject, Claim::kGone, 1, 1), Heard::kNews) << "no observer any more";
  EXPECT_EQ(Say(5, kSubject, Claim::kGone, 1, 1), Heard::kNews) << "of the record before";
  EXPECT_EQ(StateOf(kSubject), State::kDead) << "4 and 5 of three, and three of before";
}

TEST_F(QuorumTest, WhoObservesItNowCountsFromNowOn) {
  Describe(kSubject, 3);
  Accuse(kSubject, 4, 6);
  EXPECT_EQ(StateOf(kSubject), State::kAlive);
  Move(kSubject, 4, 7, 2);
  EXPECT_EQ(StateOf(kSubject), State::kSuspect);
  EXPECT_EQ(Say(7, kSubject, Claim::kGone, 1, 2), Heard::kNews);
  EXPECT_EQ(StateOf(kSubject), State::kDead);
}

TEST_F(QuorumTest, AGoodbyeIsTheSubjectsOwnAndFinal) {
  Describe(kSubject, 8);
  EXPECT_EQ(Say(1, kSubject, Claim::kLeft), Heard::kOld) << "of another it means nothing";
  EXPECT_EQ(StateOf(kSubject), State::kAlive);
  Accuse(kSubject, 1, 8);
  EXPECT_EQ(Say(kSubject, kSubject, Claim::kLeft), Heard::kNews);
  EXPECT_EQ(StateOf(kSubject), State::kLeft);
  EXPECT_EQ(Say(kSubject, kSubject, Claim::kLeft, 2), Heard::kOld);
  EXPECT_EQ(Say(9, kSubject, Claim::kGone), Heard::kOld);
  EXPECT_THAT(quorum.Evidence(now, Peer(kSubject)), testing::SizeIs(1));
  Wait(1h);
  EXPECT_EQ(StateOf(kSubject), State::kLeft);
  Describe(kSubject, 8, 2);
  EXPECT_EQ(StateOf(kSubject), State::kAlive);
}

TEST_F(QuorumTest, WhatNoHonestPeerSaysIsImpolite) {
  Describe(kSubject, 8);
  EXPECT_EQ(Say(kSubject, kSubject, Claim::kGone), Heard::kImpolite);
  EXPECT_EQ(Say(1, kSubject, static_cast<Claim>(0)), Heard::kImpolite);
  EXPECT_EQ(Say(1, kSubject, static_cast<Claim>(4)), Heard::kImpolite);
  EXPECT_EQ(Say(1, kSubject, Claim::kGone, 0), Heard::kImpolite);
  EXPECT_EQ(Say(1, kSubject, Claim::kGone, 1, 0), Heard::kImpolite);
  EXPECT_EQ(Say(1, 77, Claim::kGone), Heard::kOld) << "nobody we know";
  EXPECT_EQ(StateOf(kSubject), State::kAlive);
}

TEST_F(QuorumTest, WhoIsNoObserverIsShownAndNotCounted) {
  Describe(kSubject, 3);
  for (std::uint32_t i = 50; i < 50 + kMaxStrangersOfOne; ++i) {
    EXPECT_EQ(Say(i, kSubject, Claim::kGone), Heard::kNews);
  }
  EXPECT_EQ(Say(99, kSubject, Claim::kGone), Heard::kOld) << "enough";
  EXPECT_EQ(StateOf(kSubject), State::kAlive);
  const auto accusers = quorum.Accusers(Peer(kSubject));
  ASSERT_EQ(accusers.size(), kMaxStrangersOfOne);
  EXPECT_FALSE(accusers[0].counts);
  Accuse(kSubject, 1, 3);
  EXPECT_EQ(StateOf(kSubject), State::kDead);
}

TEST_F(QuorumTest, StrangersAreBoundedInAllAndMakeRoomWhenTheyAreVoid) {
  for (std::uint32_t subject = 1000; subject < 1100; ++subject) {
    Describe(subject, 3);
    EXPECT_EQ(Say(50, subject, Claim::kGone),
              subject < 1000 + kMaxStrangers ? Heard::kNews : Heard::kOld);
  }
  Describe(1000, 3, 2);
  EXPECT_EQ(Say(50, 1099, Claim::kGone), Heard::kNews);
  quorum.Forget(Peer(1001));
  EXPECT_EQ(Say(50, 1098, Claim::kGone), Heard::kNews);
  EXPECT_EQ(Say(50, 1097, Claim::kGone), Heard::kOld);
}

TEST_F(QuorumTest, VoicesOfOneSubjectAreBounded) {
  Describe(kSubject, 500);
  for (std::uint32_t i = 1001; i <= 1000 + kMaxStrangersOfOne; ++i) Say(i, kSubject, Claim::kGone);
  Accuse(kSubject, 1, 500);
  const auto accusers = quorum.Accusers(Peer(kSubject));
  EXPECT_EQ(accusers.size(), kMaxVoices);
  EXPECT_TRUE(std::all_of(accusers.begin(), accusers.end(), [](const auto& v) { return v.counts; }))
      << "who counts has the room of who does not";
}

TEST_F(QuorumTest, WithAnEmptyListEverybodyCountsAndOneIsEnough) {
  Describe(kSubject, 0);
  Say(77, kSubject, Claim::kGone);
  EXPECT_EQ(StateOf(kSubject), State::kDead);
}

TEST_F(QuorumTest, TheReasonIsThatOfMostAndOfSeveralTheSmallest) {
  Describe(kSubject, 4);
  Say(1, kSubject, Claim::kGone, 1, 1, StateReason::kConnectionRefused);
  Say(2, kSubject, Claim::kGone, 1, 1, StateReason::kHeartbeatTimeout);
  Say(3, kSubject, Claim::kGone, 1, 1, StateReason::kConnectionRefused);
  quorum.TakeVerdicts();
  Say(4, kSubject, Claim::kGone, 1, 1, StateReason::kHeartbeatTimeout);
  const auto verdicts = quorum.TakeVerdicts();
  ASSERT_EQ(verdicts.size(), 1u);
  EXPECT_EQ(verdicts[0].reason, StateReason::kHeartbeatTimeout);
}

TEST_F(QuorumTest, ADeadObserverIsAVoiceOnceALivingOneSpeaks) {
  for (std::uint32_t observer = 1; observer <= 6; ++observer) {
    Describe(observer, 0);
    Say(77, observer, Claim::kGone);
  }
  Describe(kSubject, 8);
  Wait(1s);
  EXPECT_EQ(StateOf(kSubject), State::kAlive) << "its neighbours are dead, it is not";
  Say(7, kSubject, Claim::kGone);
  EXPECT_EQ(StateOf(kSubject), State::kDead);
}

TEST_F(QuorumTest, AnObserverThatDiesLaterIsAVoiceToo) {
  Describe(kSubject, 8);
  Accuse(kSubject, 1, 2);
  Wait(10s);
  for (std::uint32_t observer = 3; observer <= 7; ++observer) {
    Describe(observer, 0);
    Say(77, observer, Claim::kGone);
  }
  Wait(kCascadePause);
  EXPECT_EQ(StateOf(kSubject), State::kDead);
  EXPECT_EQ(quorum.Evidence(now, Peer(kSubject)).size(), 2u) << "only what was said can be shown";
}

TEST_F(QuorumTest, ItsOwnRecordSavesWhoHasDeadNeighbours) {
  for (std::uint32_t observer = 1; observer <= 7; ++observer) {
    Describe(observer, 0);
    Say(77, observer, Claim::kGone);
  }
  Describe(kSubject, 8);
  Say(8, kSubject, Claim::kGone);
  EXPECT_EQ(StateOf(kSubject), State::kDead);
  Describe(kSubject, 0, 2);
  EXPECT_EQ(StateOf(kSubject), State::kAlive);
  Wait(1h);
  EXPECT_EQ(StateOf(kSubject), State::kAlive);
}

TEST_F(QuorumTest, WhoseObserversAreAllGoneIsGoneUnlessItRenewsItsRecord) {
  constexpr std::uint32_t kRenews = 101;
  for (std::uint32_t observer = 1; observer <= 8; ++observer) {
    Describe(observer, 0);
    Say(77, observer, Claim::kGone);
  }
  Describe(kSubject, 8);
  Describe(kRenews, 8);
  Wait(kStranded - 1us);
  EXPECT_EQ(StateOf(kSubject), State::kAlive);
  Wait(kSweepPause);
  EXPECT_EQ(StateOf(kSubject), State::kSuspect);
  EXPECT_EQ(StateOf(kRenews), State::kSuspect);
  Describe(kRenews, 0, 2);
  EXPECT_EQ(StateOf(kRenews), State::kAlive);
  Wait(kStranded + kSweepPause);
  EXPECT_EQ(StateOf(kSubject), State::kDead);
  EXPECT_EQ(StateOf(kRenews), State::kAlive);
}

TEST_F(QuorumTest, ARecordThatComesLateAndNamesTheDeadIsLookedAt) {
  for (std::uint32_t observer = 1; observer <= 8; ++observer) {
    Describe(observer, 0);
    Say(77, observer, Claim::kGone);
  }
  Wait(1h);
  Describe(kSubject, 8);
  EXPECT_EQ(StateOf(kSubject), State::kAlive);
  Wait(kStranded + kSweepPause);
  EXPECT_EQ(StateOf(kSubject), State::kSuspect);
  Wait(kStranded + kSweepPause);
  EXPECT_EQ(StateOf(kSubject), State::kDead);
}

TEST_F(QuorumTest, WhoseObserversComeBackIsSuspectNoLonger) {
  for (std::uint32_t observer = 1; observer <= 3; ++observer) {
    Describe(observer, 0);
    Say(77, observer, Claim::kGone);
  }
  Describe(kSubject, 8);
  Wait(kStranded + kSweepPause);
  ASSERT_EQ(StateOf(kSubject), State::kSuspect);
  Describe(1, 0, 2);
  Wait(kSweepPause);
  EXPECT_EQ(StateOf(kSubject), State::kAlive);
}

TEST_F(QuorumTest, WhoBeginsToListenHearsWhoCameBack) {
  Describe(kSubject, 1);
  EXPECT_THAT(quorum.Standing(), IsEmpty());
  Say(1, kSubject, Claim::kGone, 1);
  Describe(kSubject, 1, 2);
  ASSERT_EQ(quorum.Standing().size(), 1u);
  EXPECT_EQ(quorum.Standing()[0].state, State::kAlive);
  EXPECT_EQ(quorum.Standing()[0].since, now);
  Wait(1s);
  Say(2, kSubject, Claim::kGone, 2, 2);  // a stranger's word
  EXPECT_EQ(quorum.Standing()[0].since, now - 1s);
}

TEST_F(QuorumTest, WhoIsForgottenIsUnknown) {
  Describe(kSubject, 8);
  Accuse(kSubject, 1, 4);
  quorum.Forget(Peer(kSubject));
  EXPECT_EQ(quorum.NextWake() == kNever || StateOf(kSubject) == State::kAlive, true);
  EXPECT_THAT(quorum.TakeVerdicts(), IsEmpty());
  EXPECT_EQ(Say(5, kSubject, Claim::kGone), Heard::kOld);
  Wait(1h);
}

TEST_F(QuorumTest, TimeOnceMoreChangesNothing) {
  Describe(kSubject, 8);
  Accuse(kSubject, 1, 4);
  Wait(4s);
  const std::uint64_t before = quorum.Digest();
  quorum.Wake(now);
  EXPECT_EQ(quorum.Digest(), before);
  Accuse(kSubject, 5, 5);
  EXPECT_NE(quorum.Digest(), before);
}

}  // namespace
}  // namespace peermesh::membership
