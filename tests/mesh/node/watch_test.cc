// Who is silent, or hears nothing: in a full mesh those who watch agree, and one path that is
// broken is nobody's death.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/mesh/node/world.h"

namespace peermesh::node {
namespace {

using namespace std::chrono_literals;
using membership::State;

class WatchTest : public testing::Test {
 protected:
  void Make(std::size_t peers) {
    for (std::size_t i = 0; i < peers; ++i) {
      world.Add("peer-" + std::to_string(i),
                i == 0 ? std::vector<HostIndex>{} : std::vector<HostIndex>{0});
      world.Run(230ms);  // so that their heartbeats are not sent at the same moments
    }
    world.Run(10s);
    ASSERT_EQ(Taken(0, State::kAlive), peers - 1);
  }
  // How many others take it for that.
  std::size_t Taken(HostIndex about, State state) const {
    std::size_t taken = 0;
    for (HostIndex host = 0; host < world.hosts(); ++host) {
      taken += host != about && world.StateOf(host, about) == state;
    }
    return taken;
  }
  void Isolate(HostIndex host) {
    for (HostIndex other = 0; other < world.hosts(); ++other) {
      if (other != host) world.Cut(host, other);
    }
  }

  World world{7};
};

TEST_F(WatchTest, AFullMeshAgreesOnADeathBeforeEachLinkTimesOut) {
  Make(12);
  Isolate(5);
  const Instant cut = world.now();
  while (Taken(5, State::kDead) == 0 && world.now() < cut + kDeadAfter) world.Run(10ms);
  EXPECT_LE(world.now() - cut, kSuspectAfter + 50ms) << "the last heartbeat came before the cut";
  world.Run(cut + kSuspectAfter + 100ms - world.now());
  EXPECT_EQ(Taken(5, State::kDead), 11u) << "told to all";
}

TEST_F(WatchTest, OneBrokenPathIsNoDeath) {
  Make(12);
  world.Cut(3, 8);
  for (int i = 0; i < 300; ++i) {
    world.Run(100ms);
    ASSERT_EQ(Taken(3, State::kDead) + Taken(8, State::kDead), 0u);
  }
  EXPECT_EQ(world.StateOf(3, 8), State::kUnreachable);
  EXPECT_EQ(Taken(8, State::kAlive), 10u);
}

TEST_F(WatchTest, WhoDoubtedAndIsGoneCountsNoLonger) {
  Make(8);
  world.Cut(3, 6);
  world.Cut(4, 6);
  world.Run(kSuspectAfter + 200ms);  // two doubt it; invariants see to it that both are there
  world.Kill(3);
  world.Kill(4);
  world.Run(30s);
  EXPECT_EQ(Taken(6, State::kAlive), 5u);
  EXPECT_EQ(Taken(3, State::kDead) + Taken(4, State::kDead), 12u);
}

TEST_F(WatchTest, TwoWhoWatchAreNoMajority) {
  Make(3);
  Isolate(2);
  const Instant cut = world.now();
  while (Taken(2, State::kDead) == 0) world.Run(10ms);
  EXPECT_GE(world.now() - cut, kDeadAfter - kHeartbeat);
}

}  // namespace
}  // namespace peermesh::node
