#include "metrics/ledger/auditor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include "metrics/ledger/handle.h"
#include "tests/metrics/ledger/virtual_time.h"

namespace peermesh::ledger {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class AuditorTest : public testing::Test {
 protected:
  // Sweeps at its pace for so long.
  void Pass(Duration time) {
    for (const Time end = virtual_now + time; virtual_now < end;) {
      virtual_now += kSweepEvery;
      auditor_.Sweep();
    }
  }
  // Confirmed ones.
  std::vector<Verdict> Found() const {
    std::vector<Verdict> found;
    for (const Verdict& verdict : auditor_.verdicts())
      if (verdict.state == State::kConfirmed) found.push_back(verdict);
    return found;
  }
  const RuleView& Totals(const Snapshot& snapshot, const std::string& kind, Rule rule) const {
    for (const RuleView& view : snapshot.rules)
      if (view.kind == kind && view.rule == rule) return view;
    ADD_FAILURE() << kind << " has no " << ToString(rule);
    return snapshot.rules.front();
  }

  Ledger ledger_{&VirtualNow};
  std::optional<KernelReading> kernel_;
  std::vector<RpcCounts> rpcs_;
  std::chrono::year_month_day today_{std::chrono::year(2026), std::chrono::month(11),
                                     std::chrono::day(21)};
  Auditor auditor_{ledger_,
                   {.kernel = [this] { return kernel_; },
                    .rpcs = [this] { return rpcs_; },
                    .today = [this] { return today_; }}};
  const Kind stream_ = ledger_.Register(Active("stream", 10s));
  const Kind call_ = ledger_.Register(ShortLived("call", 30s));
  const Kind lease_ = ledger_.Register(Leased("lease"));
  const Kind timer_ = ledger_.Register(Owned("timer"));
  const Kind pool_ = ledger_.Register(ForProcess("pool"));
};

TEST_F(AuditorTest, WhatOutlivesItsScopeIsAnOrphanWithinTenSeconds) {
  Scope peer({}, ScopeType::kPeer, "beta", &VirtualNow);
  Scope stream(peer, ScopeType::kStream, "Exchange", &VirtualNow);
  Handle leaked(ledger_, timer_, stream);
  const int line = __LINE__ - 1;
  const Handle another(ledger_, timer_, stream);
  const Handle innocent(ledger_, timer_, peer);
  leaked.Note("heartbeat");
  Pass(60s);
  EXPECT_THAT(auditor_.verdicts(), IsEmpty());
  stream.End();
  Pass(10s);
  ASSERT_THAT(Found(), SizeIs(2));  // two places of birth
  const Verdict verdict = Found()[0];
  EXPECT_EQ(verdict.rule, Rule::kOrphan);
  EXPECT_EQ(verdict.tier(), Tier::kProof);
  EXPECT_TRUE(verdict.alerts());
  EXPECT_EQ(verdict.kind, "timer");
  EXPECT_THAT(verdict.site, HasSubstr("auditor_test.cc:" + std::to_string(line)));
  EXPECT_EQ(verdict.owner, "peer beta");
  ASSERT_THAT(verdict.examples, SizeIs(1));
  EXPECT_EQ(verdict.examples[0].scope, "peer beta > stream Exchange");
  EXPECT_EQ(verdict.examples[0].note, "heartbeat");
  EXPECT_EQ(verdict.examples[0].id, leaked.id());
  // It comes back.
  leaked.End();
  Pass(2s);
  EXPECT_THAT(Found(), SizeIs(1));
  const Snapshot snapshot = auditor_.TakeSnapshot();
  EXPECT_EQ(Totals(snapshot, "timer", Rule::kOrphan).confirmed, 2u);
  EXPECT_EQ(Totals(snapshot, "timer", Rule::kOrphan).cleared, 1u);
  EXPECT_EQ(Totals(snapshot, "timer", Rule::kOrphan).suspects, 1u);
}

TEST_F(AuditorTest, WhatGoesWithItsScopeInTimeIsNone) {
  for (int i = 0; i < 20; ++i) {
    Scope stream({}, ScopeType::kStream, "Exchange", &VirtualNow);
    Handle late(ledger_, timer_, stream);
    stream.End();
    Pass(4s);
  }
  EXPECT_THAT(auditor_.verdicts(), IsEmpty());
}

TEST_F(AuditorTest, AnEndAboveIsAnEndBelow) {
  Scope peer({}, ScopeType::kPeer, "beta", &VirtualNow);
  const Scope stream(peer, ScopeType::kStream, "Exchange", &VirtualNow);
  const Handle held(ledger_, timer_, stream);
  peer.End();
  Pass(10s);
  ASSERT_THAT(Found(), SizeIs(1));
  EXPECT_EQ(Found()[0].rule, Rule::kOrphan);
}

TEST_F(AuditorTest, AnActiveOneMustBeUsed) {
  Handle used(ledger_, stream_, Scope{}), idle(ledger_, stream_, Scope{});
  for (int i = 0; i < 12; ++i) {
    used.Touch();
    Pass(2s);
    // Not before max_idle, and confirmed within two sweeps after it.
    if (i < 5) {
      EXPECT_THAT(auditor_.verdicts(), IsEmpty()) << i;
    } else if (i == 6) {
      EXPECT_THAT(Found(), SizeIs(1));
    }
  }
  ASSERT_THAT(Found(), SizeIs(1));
  EXPECT_EQ(Found()[0].rule, Rule::kIdle);
  EXPECT_EQ(Found()[0].count, 1u);
  idle.Touch();
  Pass(2s);
  EXPECT_THAT(Found(), IsEmpty());
}

TEST_F(AuditorTest, AShortLivedOneMustEndAndALeaseBeRenewed) {
  const Handle call(ledger_, call_, Scope{});
  Handle lease(ledger_, lease_, Scope{});
  lease.SetDeadline(virtual_now + 20s);
  Pass(20s);
  EXPECT_THAT(auditor_.verdicts(), IsEmpty());
  lease.SetDeadline(virtual_now + 60s);
  Pass(36s);
  ASSERT_THAT(Found(), SizeIs(1));
  EXPECT_EQ(Found()[0].kind, "call");
  EXPECT_EQ(Found()[0].rule, Rule::kOverdue);
  EXPECT_THAT(Found()[0].because, HasSubstr("30 s"));
  Pass(40s);
  ASSERT_THAT(Found(), SizeIs(2));
  EXPECT_EQ(Found()[1].kind, "lease");
  EXPECT_EQ(Found()[1].because, "past their deadline");
}

TEST_F(AuditorTest, ChurnAtItsLimitIsNoLeak) {
  // Each is overdue for one sweep only; never the same one twice.
  std::vector<Handle> calls;
  for (int i = 0; i < 300; ++i) {
    calls.emplace_back(ledger_, call_, Scope{});
    virtual_now += 2s;
    auditor_.Sweep();
    if (calls.size() > 15) calls.erase(calls.begin());
    EXPECT_THAT(Found(), IsEmpty());
  }
}

TEST_F(AuditorTest, ASleepOfTheMachineProvesNothing) {
  Handle stream(ledger_, stream_, Scope{});
  Pass(6s);
  for (int i = 0; i < 5; ++i) {
    virtual_now += 1h;
    auditor_.Sweep();
    virtual_now += 1s;
    stream.Touch();
    Pass(4s);
    EXPECT_THAT(auditor_.verdicts(), IsEmpty());
  }
}

TEST_F(AuditorTest, WhatIsNotTheProcesssOwnAfterTheDrainIsResidue) {
  const Handle pool(ledger_, pool_, Scope{});
  Handle timer(ledger_, timer_, Scope{});
  Pass(4s);
  const auto residue = auditor_.SweepAtExit();
  ASSERT_THAT(residue, SizeIs(1));
  EXPECT_EQ(residue[0].kind, "timer");
  EXPECT_EQ(residue[0].tier(), Tier::kProof);
  timer.End();
}

TEST_F(AuditorTest, AReleaseTooManyIsAViolation) {
  alignas(Handle) unsigned char memory[sizeof(Handle)], copy[sizeof(Handle)];
  auto* handle = new (memory) Handle(ledger_, call_, Scope{});
  std::memcpy(copy, memory, sizeof(copy));
  handle->End();
  std::memcpy(memory, copy, sizeof(copy));
  handle->End();
  Pass(4s);
  ASSERT_THAT(Found(), SizeIs(1));
  EXPECT_EQ(Found()[0].rule, Rule::kViolation);
  EXPECT_THAT(Found()[0].because, HasSubstr("double_release"));
  EXPECT_EQ(auditor_.TakeSnapshot().violations, 1u);
  Pass(3602s);
  EXPECT_THAT(Found(), IsEmpty());
}

TEST_F(AuditorTest, WhatTheKernelSeesBeyondTheBooksIsFoundByClass) {
  kernel_.emplace();
  kernel_->descriptor_limit = 256;
  for (int i = 0; i < 12; ++i) kernel_->descriptors.push_back({i, "anon_inode:[eventpoll]", 0});
  for (int i = 0; i < 4; ++i) kernel_->threads.push_back({i, "grpc", false});
  kernel_->descriptors.push_back({50, "socket:[50]", 0});  // a library's
  Pass(660s);
  EXPECT_THAT(auditor_.verdicts(), IsEmpty());
  // A raw socket every minute, and one that is claimed.
  for (int i = 0; i < 30; ++i) {
    kernel_->descriptors.push_back({100 + i, "socket:[" + std::to_string(i) + "]", 0});
    kernel_->descriptors.push_back({200 + i, "pipe:[1]", 77});
    Pass(60s);
  }
  ASSERT_THAT(Found(), SizeIs(1));
  const Verdict verdict = Found()[0];
  EXPECT_EQ(verdict.rule, Rule::kKernelExcess);
  EXPECT_EQ(verdict.tier(), Tier::kStrong);
  EXPECT_EQ(verdict.kind, "fd_socket");
  EXPECT_EQ(verdict.count, 30u);
  ASSERT_FALSE(verdict.examples.empty());
  EXPECT_THAT(verdict.examples[0].note, HasSubstr("descriptor 100, socket:[0], to "))
      << "the oldest of those that were not there at first";
  const Capacity capacity = auditor_.TakeSnapshot().descriptors;
  EXPECT_EQ(capacity.used, 73u);
  ASSERT_TRUE(capacity.left);
  EXPECT_NEAR(std::chrono::duration<double>(*capacity.left).count(), (256 - 73) * 30, 900);
}

TEST_F(AuditorTest, ALibraryThatStaysAboveItsBaselineIsNoLeak) {
  kernel_.emplace();
  Pass(660s);
  for (int i = 0; i < 50; ++i) kernel_->threads.push_back({i, "pool", false});
  Pass(3600s);
  EXPECT_THAT(auditor_.verdicts(), IsEmpty());
}

TEST_F(AuditorTest, WhatALibraryHoldsForWhatIsBookedIsNoExcess) {
  const Kind channel = ledger_.Register(StandsFor("fd_socket", Owned("channel")));
  kernel_.emplace();
  Pass(660s);
  std::vector<Handle> channels;
  for (int i = 0; i < 40; ++i) {
    kernel_->descriptors.push_back({i, "socket:[" + std::to_string(i) + "]", 0});
    channels.push_back(Handle(ledger_, channel, Scope{}));
    Pass(60s);
  }
  EXPECT_THAT(auditor_.verdicts(), IsEmpty());
  EXPECT_EQ(auditor_.TakeSnapshot().unclaimed.at("fd_socket"), 0u);
  // The same without a booking is.
  for (int i = 0; i < 30; ++i) {
    kernel_->descriptors.push_back({100 + i, "socket:[" + std::to_string(100 + i) + "]", 0});
    Pass(60s);
  }
  ASSERT_THAT(Found(), SizeIs(1));
  EXPECT_EQ(Found()[0].rule, Rule::kKernelExcess);
  EXPECT_EQ(Found()[0].count, 30u);
}

TEST_F(AuditorTest, ACountKeptElsewhereSaysWhere) {
  rpcs_ = {{"session", 3, 2, "the node"}};
  Pass(70s);
  ASSERT_THAT(Found(), SizeIs(1));
  EXPECT_EQ(Found()[0].because, "the node counts 3 of them, the ledger 2");
}

TEST_F(AuditorTest, ACallThatOnlyGrpcKnowsIsASkew) {
  rpcs_ = {{"rpc_server", 5, 5}};
  Pass(120s);
  for (int i = 0; i < 60; ++i) {  // never of the same moment
    rpcs_[0].elsewhere = 5 + i % 3;
    Pass(4s);
  }
  EXPECT_THAT(auditor_.verdicts(), IsEmpty());
  rpcs_[0].elsewhere = 5;
  Pass(2s);
  rpcs_[0].elsewhere = 7;
  Pass(70s);
  ASSERT_THAT(Found(), SizeIs(1));
  EXPECT_EQ(Found()[0].rule, Rule::kRpcSkew);
  EXPECT_EQ(Found()[0].count, 2u);
}

TEST_F(AuditorTest, ASuppressionHidesTheAlertUntilItsDay) {
  auditor_.SetSuppressions(
      *Suppressions::Parse("call  *auditor*  overdue  2026-11-21  being looked at\n"
                           "call  *  overdue  2026-11-30  the pool of the test\n"));
  const Handle call(ledger_, call_, Scope{});
  Pass(40s);
  ASSERT_THAT(Found(), SizeIs(1));
  EXPECT_EQ(Found()[0].suppressed, "the pool of the test");
  EXPECT_FALSE(Found()[0].alerts());
  EXPECT_EQ(Totals(auditor_.TakeSnapshot(), "call", Rule::kOverdue).suspects, 0u);
  today_ = std::chrono::year_month_day(std::chrono::year(2026), std::chrono::month(12),
                                       std::chrono::day(1));
  Pass(2s);
  EXPECT_TRUE(Found()[0].alerts());
}

TEST_F(AuditorTest, ASnapshotIsOneMoment) {
  std::vector<Handle> calls;
  for (int i = 0; i < 10; ++i) calls.emplace_back(ledger_, call_, Scope{}, 100);
  virtual_now += 5s;
  calls.pop_back();
  const Snapshot snapshot = auditor_.TakeSnapshot();
  const KindView& view = snapshot.kinds[call_.index];
  EXPECT_EQ(view.live, 9u);
  EXPECT_EQ(view.counts.acquired - view.counts.released_sum(), view.live);
  EXPECT_EQ(view.counts.amount, 900u);
  EXPECT_EQ(view.oldest, 5s);
  // Whatever is live, there are as many series.
  EXPECT_EQ(auditor_.TakeSnapshot().rules.size(), snapshot.rules.size());
}

TEST_F(AuditorTest, VerdictsAreBounded) {
  std::vector<Handle> calls;
  static constexpr char kFiles[] = "0123456789abcdefghijklmnopqrstuvwxyz";
  for (std::uint32_t line = 1; line <= 400; ++line)
    calls.emplace_back(ledger_, call_, Scope{}, 1, Site{kFiles, "f", line});
  Pass(60s);
  EXPECT_THAT(auditor_.verdicts(), SizeIs(kMaxVerdicts));
}

}  // namespace
}  // namespace peermesh::ledger
