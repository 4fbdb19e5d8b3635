#include "metrics/ledger/ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <new>
#include <thread>
#include <vector>

#include "metrics/ledger/handle.h"
#include "tests/metrics/ledger/virtual_time.h"

namespace peermesh::ledger {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

struct Seen {
  Kind kind;
  std::string site, scope, note;
  Duration age{}, idle{};
  std::uint64_t amount = 0;
  std::size_t depth = 0;
};

class LedgerTest : public testing::Test {
 protected:
  std::vector<Seen> Walk() const {
    std::vector<Seen> seen;
    ledger_.Walk([&](const Item& item) {
      const auto* particulars = item.particulars;
      seen.push_back({item.kind, item.site.ToText(), item.scope ? item.scope->Path() : "",
                      particulars ? particulars->note : "", virtual_now - item.born,
                      virtual_now - item.touched, item.amount,
                      particulars ? particulars->depth : 0});
    });
    return seen;
  }
  Counts CountsOf(Kind kind) const { return ledger_.TakeCounts()[kind.index]; }

  Ledger ledger_{&VirtualNow};
  const Kind stream_ = ledger_.Register(Active("stream", 10s));
  const Kind call_ = ledger_.Register(ShortLived("call", 30s));
};

TEST_F(LedgerTest, AnEntrySaysWhereWhoseAndHowOld) {
  const Scope peer({}, ScopeType::kPeer, "beta", &VirtualNow);
  Scope connection(peer, ScopeType::kConnection, "", &VirtualNow);
  connection.Describe("10.0.0.4:7443");
  Handle handle(ledger_, stream_, connection, 4096);
  const int line = __LINE__ - 1;
  handle.Note("Exchange, grpc-python/1.51");
  virtual_now += 3s;
  handle.Touch();
  virtual_now += 1s;
  const auto seen = Walk();
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_THAT(seen[0].site, HasSubstr("ledger_test.cc:" + std::to_string(line)));
  EXPECT_EQ(seen[0].scope, "peer beta > connection 10.0.0.4:7443");
  EXPECT_EQ(seen[0].note, "Exchange, grpc-python/1.51");
  EXPECT_EQ(seen[0].age, 4s);
  EXPECT_EQ(seen[0].idle, 1s);
  EXPECT_EQ(seen[0].amount, 4096u);
}

TEST_F(LedgerTest, WhoOwnsAScopeMayBecomeKnownLater) {
  Scope owner({}, ScopeType::kClient, "unproven", &VirtualNow);
  const Scope connection(owner, ScopeType::kConnection, "10.0.0.4:7443", &VirtualNow);
  const Handle handle(ledger_, stream_, connection);
  EXPECT_EQ(Walk()[0].scope, "client unproven > connection 10.0.0.4:7443");
  owner.Describe(ScopeType::kPeer, "beta");
  EXPECT_EQ(Walk()[0].scope, "peer beta > connection 10.0.0.4:7443");
  owner.Describe("gamma");
  EXPECT_EQ(connection.record()->Owner(), "peer gamma");
}

TEST_F(LedgerTest, CountsAndEntriesAgree) {
  std::vector<Handle> handles;
  for (int i = 0; i < 1000; ++i) handles.emplace_back(ledger_, call_, Scope{}, 2);
  for (int i = 0; i < 300; ++i) handles[static_cast<std::size_t>(i)].End(Outcome::kError);
  handles.resize(900);
  const Counts counts = CountsOf(call_);
  EXPECT_EQ(counts.acquired, 1000u);
  EXPECT_EQ(counts.released[static_cast<int>(Outcome::kError)], 300u);
  EXPECT_EQ(counts.released_sum(), 400u);
  EXPECT_EQ(counts.amount, 1200u);
  EXPECT_EQ(Walk().size(), 600u);
  handles.clear();
  EXPECT_EQ(CountsOf(call_).released_sum(), 1000u);
  EXPECT_EQ(Walk().size(), 0u);
}

TEST_F(LedgerTest, AMovedHandleIsTheSameEntry) {
  Handle first(ledger_, call_, Scope{});
  const std::uint64_t id = first.id();
  Handle second = std::move(first);
  EXPECT_EQ(second.id(), id);
  EXPECT_FALSE(first);  // NOLINT(bugprone-use-after-move): that is the point
  second = Handle(ledger_, call_, Scope{});
  EXPECT_NE(second.id(), id);
  EXPECT_EQ(Walk().size(), 1u);
  EXPECT_EQ(CountsOf(call_).released_sum(), 1u);
}

TEST_F(LedgerTest, AgesAtReleaseFallIntoBuckets) {
  for (const Duration age : {5ms, 50ms, 5000ms, 7'200'000ms}) {
    const Handle handle(ledger_, call_, Scope{});
    virtual_now += age;
  }
  const Counts counts = CountsOf(call_);
  EXPECT_THAT(counts.ages, testing::ElementsAre(1, 1, 0, 1, 0, 0, 0, 1));
  EXPECT_EQ(counts.age_sum_ms, 7'205'055u);
}

TEST_F(LedgerTest, ADoubleReleaseIsSeenAndHarmsNothing) {
  alignas(Handle) unsigned char memory[sizeof(Handle)];
  auto* handle = new (memory) Handle(ledger_, call_, Scope{});
  unsigned char copy[sizeof(Handle)];
  std::memcpy(copy, memory, sizeof(copy));
  handle->End();
  const Handle other(ledger_, call_, Scope{});  // takes the place of the first
  std::memcpy(memory, copy, sizeof(copy));
  handle->End();
  EXPECT_EQ(Walk().size(), 1u);
  ASSERT_EQ(ledger_.violations().size(), 1u);
  EXPECT_EQ(ledger_.violations()[0].type, ViolationType::kDoubleRelease);
  EXPECT_THAT(ledger_.violations()[0].site.file, HasSubstr("ledger_test.cc"));
}

TEST_F(LedgerTest, LevelsCanChangeWhileThingsLive) {
  ledger_.SetLevel(Level::kOff);
  Handle counted(ledger_, call_, Scope{});
  EXPECT_EQ(Walk().size(), 0u);
  EXPECT_EQ(CountsOf(call_).unlisted, 1u);
  ledger_.SetLevel(Level::kStacks);
  Handle deep(ledger_, call_, Scope{});
  ASSERT_EQ(Walk().size(), 1u);
  EXPECT_GT(Walk()[0].depth, 1u);
  ledger_.SetLevel(Level::kTrack);
  counted.End();
  deep.End();
  const Counts counts = CountsOf(call_);
  EXPECT_EQ(counts.unlisted, 0u);
  EXPECT_EQ(counts.acquired, counts.released_sum());
}

TEST_F(LedgerTest, ASampledKindListsOneInSoMany) {
  KindSpec spec = ShortLived("message", 30s);
  spec.sample = 8;
  const Kind message = ledger_.Register(spec);
  std::vector<Handle> handles;
  for (int i = 0; i < 80; ++i) handles.emplace_back(ledger_, message, Scope{});
  EXPECT_EQ(Walk().size(), 10u);
  EXPECT_EQ(CountsOf(message).unlisted, 70u);
}

TEST_F(LedgerTest, ThePathOfAnEndedScopeStaysKnown) {
  auto peer = std::make_unique<Scope>(Scope{}, ScopeType::kPeer, "beta", &VirtualNow);
  auto stream = std::make_unique<Scope>(*peer, ScopeType::kStream, "Exchange", &VirtualNow);
  const Handle handle(ledger_, call_, *stream);
  peer.reset();
  stream.reset();
  EXPECT_EQ(Walk()[0].scope, "peer beta > stream Exchange");
}

TEST_F(LedgerTest, ManyThreadsBookWithoutLosingOne) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([this] {
      const Scope scope({}, ScopeType::kClient, "c", &VirtualNow);
      std::vector<Handle> kept;
      for (int i = 0; i < 2000; ++i) {
        Handle handle(ledger_, call_, scope);
        handle.Touch();
        if (i % 4 == 0) kept.push_back(std::move(handle));
      }
    });
  }
  for (int i = 0; i < 50; ++i) {
    std::uint64_t walked = 0;
    const auto counts = ledger_.Walk([&](const Item&) { ++walked; });
    EXPECT_EQ(counts[call_.index].acquired - counts[call_.index].released_sum(), walked);
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(CountsOf(call_).acquired, 16'000u);
  EXPECT_EQ(CountsOf(call_).released_sum(), 16'000u);
}

TEST_F(LedgerTest, AKindHasOneContract) {
  EXPECT_EQ(ledger_.Register(Active("stream", 10s)), stream_);
  EXPECT_DEATH(ledger_.Register(Owned("stream")), "two contracts for one kind: stream");
}

}  // namespace
}  // namespace peermesh::ledger
