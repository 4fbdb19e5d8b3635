#include "tests/sim/baseline/member.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

namespace peermesh::sim::baseline {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::IsEmpty;

Instant At(int ms) { return Instant(milliseconds(ms)); }

class MemberTest : public testing::Test {
 protected:
  Wishes Period(int ms) {
    Wishes out;
    member_.Period(At(ms), out);
    return out;
  }
  Wishes Fire(const Timer& timer) {
    Wishes out;
    member_.Fire(timer.when, timer, out);
    return out;
  }
  Wishes Hear(int ms, const Datagram& datagram) {
    Wishes out;
    member_.Receive(At(ms), datagram, out);
    return out;
  }
  Wishes Hear(int ms, const Update& update) {
    return Hear(ms, {.from = 9, .kind = DatagramKind::kGossip, .updates = {update}});
  }
  static const Timer& Of(const Wishes& wishes, TimerKind kind) {
    for (const Timer& timer : wishes.timers) {
      if (timer.kind == kind) return timer;
    }
    ADD_FAILURE() << "no such timer";
    static const Timer none;
    return none;
  }

  const Config config_{.members = 10};
  Member member_{0, config_, Rng({1, 2, 3, 4})};
};

TEST_F(MemberTest, AProbedMemberThatAnswersIsNotSuspected) {
  const Wishes probe = Period(0);
  ASSERT_EQ(probe.sends.size(), 1u);
  const Datagram& ping = probe.sends[0];
  EXPECT_EQ(ping.kind, DatagramKind::kPing);
  Hear(20, {.from = ping.to, .kind = DatagramKind::kAck, .sequence = ping.sequence});
  EXPECT_THAT(Fire(Of(probe, TimerKind::kProbeTimeout)).sends, IsEmpty());
  EXPECT_THAT(Fire(Of(probe, TimerKind::kProbeEnd)).beliefs, IsEmpty());
  EXPECT_EQ(member_.belief(ping.to), Belief::kAlive);
}

TEST_F(MemberTest, ThreeOthersAreAskedBeforeAnybodyIsSuspected) {
  const Wishes probe = Period(0);
  const std::uint32_t target = probe.sends[0].to;
  const Timer timeout = Of(probe, TimerKind::kProbeTimeout);
  EXPECT_EQ(timeout.when, At(500));
  const Wishes asked = Fire(timeout);
  std::set<std::uint32_t> helpers;
  for (const Datagram& request : asked.sends) {
    EXPECT_EQ(request.kind, DatagramKind::kPingRequest);
    EXPECT_EQ(request.target, target);
    helpers.insert(request.to);
  }
  EXPECT_EQ(helpers.size(), 3u);
  EXPECT_FALSE(helpers.contains(0));
  EXPECT_FALSE(helpers.contains(target));
  // What a helper passes on counts like an answer.
  Hear(700,
       {.from = *helpers.begin(), .kind = DatagramKind::kAck, .sequence = probe.sends[0].sequence});
  EXPECT_THAT(Fire(Of(probe, TimerKind::kProbeEnd)).beliefs, IsEmpty());
}

TEST_F(MemberTest, ASuspectThatDoesNotObjectIsDeadWhenItsTimeIsOver) {
  const Wishes probe = Period(0);
  const std::uint32_t target = probe.sends[0].to;
  const Timer end = Of(probe, TimerKind::kProbeEnd);
  EXPECT_EQ(end.when, At(1000));
  const Wishes suspected = Fire(end);
  EXPECT_THAT(suspected.beliefs, ElementsAre(Update{target, 1, Belief::kSuspect}));
  const Timer suspicion = Of(suspected, TimerKind::kSuspicion);
  EXPECT_EQ(suspicion.when, At(5000));
  EXPECT_THAT(Fire(suspicion).beliefs, ElementsAre(Update{target, 1, Belief::kDead}));
}

TEST_F(MemberTest, ASuspectThatObjectsInTimeStaysAlive) {
  const Wishes suspected = Hear(0, {4, 1, Belief::kSuspect});
  EXPECT_THAT(Hear(1, {4, 1, Belief::kAlive}).beliefs, IsEmpty()) << "the old incarnation";
  EXPECT_THAT(Hear(2, {4, 2, Belief::kAlive}).beliefs, ElementsAre(Update{4, 2, Belief::kAlive}));
  EXPECT_THAT(Fire(Of(suspected, TimerKind::kSuspicion)).beliefs, IsEmpty());
  EXPECT_THAT(Hear(3, {4, 1, Belief::kDead}).beliefs, IsEmpty()) << "the old incarnation";
}

TEST_F(MemberTest, ASecondSuspicionHasATimeOfItsOwn) {
  const Wishes first = Hear(0, {4, 1, Belief::kSuspect});
  Hear(100, {4, 2, Belief::kAlive});
  const Wishes second = Hear(200, {4, 2, Belief::kSuspect});
  EXPECT_THAT(Fire(Of(first, TimerKind::kSuspicion)).beliefs, IsEmpty());
  EXPECT_THAT(Fire(Of(second, TimerKind::kSuspicion)).beliefs,
              ElementsAre(Update{4, 2, Belief::kDead}));
}

TEST_F(MemberTest, OneMemberAloneCanDeclareAnotherDead) {
  EXPECT_THAT(Hear(0, {4, 1, Belief::kDead}).beliefs, ElementsAre(Update{4, 1, Belief::kDead}));
  EXPECT_THAT(Hear(1, {4, 2, Belief::kAlive}).beliefs, ElementsAre(Update{4, 2, Belief::kAlive}));
}

TEST_F(MemberTest, ASuspectedMemberObjectsWithAHigherIncarnation) {
  Hear(0, {0, 5, Belief::kSuspect});
  const Wishes answer = Hear(1, {.from = 3, .kind = DatagramKind::kPing, .sequence = 77});
  ASSERT_EQ(answer.sends.size(), 1u);
  EXPECT_EQ(answer.sends[0].kind, DatagramKind::kAck);
  EXPECT_EQ(answer.sends[0].sequence, 77u);
  EXPECT_THAT(answer.sends[0].updates, ElementsAre(Update{0, 6, Belief::kAlive}));
  Hear(2, {0, 5, Belief::kDead});
  EXPECT_EQ(member_.incarnation(0), 6u) << "objected already";
}

TEST_F(MemberTest, AHelperPassesOnTheAnswerOnlyForAWhile) {
  const Datagram request{
      .from = 3, .kind = DatagramKind::kPingRequest, .sequence = 40, .target = 5};
  const Wishes ping = Hear(0, request);
  ASSERT_EQ(ping.sends.size(), 1u);
  EXPECT_EQ(ping.sends[0].to, 5u);
  const Wishes passed =
      Hear(30, {.from = 5, .kind = DatagramKind::kAck, .sequence = ping.sends[0].sequence});
  ASSERT_EQ(passed.sends.size(), 1u);
  EXPECT_EQ(passed.sends[0].to, 3u);
  EXPECT_EQ(passed.sends[0].sequence, 40u);
  const Wishes again = Hear(1000, request);
  EXPECT_THAT(
      Hear(1501, {.from = 5, .kind = DatagramKind::kAck, .sequence = again.sends[0].sequence})
          .sends,
      IsEmpty());
}

TEST_F(MemberTest, APeriodThatBeginsWhileAProbeIsOutWaitsForItsEnd) {
  const Wishes late = Period(700);
  EXPECT_THAT(Period(1000).sends, IsEmpty());
  const Wishes end = Fire(Of(late, TimerKind::kProbeEnd));
  ASSERT_EQ(end.sends.size(), 1u);
  EXPECT_EQ(end.sends[0].kind, DatagramKind::kPing);
}

TEST_F(MemberTest, TheDeadAreNotProbedAndHearOfItForAWhile) {
  for (std::uint32_t other = 2; other < 10; ++other) Hear(0, {other, 1, Belief::kDead});
  int probes = 0;
  for (int i = 0; i < 20; ++i) {
    const Wishes probe = Period(i * 1000);
    // As deployed, it looks at so many members in a period and may find only dead ones.
    if (probe.sends.empty()) continue;
    ++probes;
    EXPECT_EQ(probe.sends[0].to, 1u);
    Hear(i * 1000 + 1,
         {.from = 1, .kind = DatagramKind::kAck, .sequence = probe.sends[0].sequence});
  }
  EXPECT_GE(probes, 8);
  std::set<std::uint32_t> soon, late;
  for (int i = 0; i < 20; ++i) {
    Wishes out;
    member_.Announce();
    member_.Gossip(At(29'000), out);
    for (const Datagram& datagram : out.sends) soon.insert(datagram.to);
    out = {};
    member_.Gossip(At(31'000), out);
    for (const Datagram& datagram : out.sends) late.insert(datagram.to);
  }
  EXPECT_EQ(soon.size(), 9u);
  EXPECT_THAT(late, ElementsAre(1));
}

// The bound of the SWIM paper: at most 2n - 1 periods between two probes of the same member.
TEST_F(MemberTest, EveryMemberIsProbedOnceInEachPassInAnotherOrder) {
  std::map<std::uint32_t, int> last;
  int longest = 0, shortest = 1000;
  for (int period = 0; period < 2000; ++period) {
    const Wishes probe = Period(period * 1000);
    ASSERT_EQ(probe.sends.size(), 1u);
    const std::uint32_t target = probe.sends[0].to;
    Hear(period * 1000 + 1,
         {.from = target, .kind = DatagramKind::kAck, .sequence = probe.sends[0].sequence});
    if (const auto before = last.find(target); before != last.end()) {
      longest = std::max(longest, period - before->second);
      shortest = std::min(shortest, period - before->second);
    }
    last[target] = period;
  }
  EXPECT_EQ(last.size(), 9u);
  EXPECT_LE(longest, 2 * 10 - 1);
  EXPECT_GT(longest, 12) << "the passes are not shuffled";
  EXPECT_LT(shortest, 3) << "the passes are not shuffled";
}

}  // namespace
}  // namespace peermesh::sim::baseline
