#include "mesh/broadcast/windows.h"

#include <gtest/gtest.h>

#include "tests/mesh/broadcast/swarm.h"

namespace peermesh::broadcast {
namespace {

using namespace std::chrono_literals;

class WindowsTest : public testing::Test {
 protected:
  ~WindowsTest() override { windows.CheckInvariants(); }
  Window& Add(std::uint32_t origin, bool proven) {
    now += 1us;
    Window& window =
        windows.Begin(now, {PeerOf(origin), 1, origin % kChannels}, 1, Standing::kClaimed);
    if (proven) windows.Prove(now, window);
    return window;
  }
  bool Has(std::uint32_t origin) {
    return windows.Find({PeerOf(origin), 1, origin % kChannels}) != nullptr;
  }
  Instant now{};
  Windows windows;
};

TEST_F(WindowsTest, InventedStreamsMakeRoomBeforeGenuineOnes) {
  for (std::uint32_t i = 0; i < 1000; ++i) Add(i, true);
  for (std::uint32_t i = 1000; i < 1000 + 2 * kMaxStreams; ++i) Add(i, false);
  EXPECT_EQ(windows.all().size(), 1000 + kMaxClaimedStreams);
  for (std::uint32_t i = 0; i < 1000; ++i) EXPECT_TRUE(Has(i)) << i;
}

TEST_F(WindowsTest, TheLongestIdleStreamMakesRoomAndIsRemembered) {
  for (std::uint32_t i = 0; i < kMaxStreams; ++i) Add(i, true);
  windows.Prove(now, *windows.Find({PeerOf(0), 1, 0}));
  Add(kMaxStreams, true);
  EXPECT_EQ(windows.all().size(), kMaxStreams);
  EXPECT_TRUE(Has(0)) << "it was in use";
  EXPECT_FALSE(Has(1));
  EXPECT_TRUE(windows.WasDropped({PeerOf(1), 1, 1}));
  EXPECT_FALSE(windows.WasDropped({PeerOf(1), 1, 2}));
  EXPECT_FALSE(windows.WasDropped({PeerOf(1), 2, 1}));
}

TEST_F(WindowsTest, AStreamWithABacklogMakesNoRoom) {
  Window& busy = Add(0, true);
  Backlog& backlog = windows.MakeBacklog(busy);
  HoleCounts counts;
  Hole hole;
  hole.first = 1;
  hole.next = 2;
  hole.deadline = now;
  backlog.holes.Append(hole, counts);
  backlog.top = 2;
  for (std::uint32_t i = 1; i <= kMaxStreams; ++i) Add(i, true);
  EXPECT_TRUE(Has(0));
  EXPECT_FALSE(Has(1));
  backlog.holes.Clear(counts);
  windows.DropBacklog(now, busy);
}

TEST_F(WindowsTest, WhatWasLostIsTakenOnce) {
  Window& window = Add(1, true);
  windows.NoteLost(now, window, 10, 20);
  EXPECT_FALSE(windows.TakeLost(now, window, 1, 10));
  EXPECT_TRUE(windows.TakeLost(now, window, 12, 14));
  EXPECT_FALSE(windows.TakeLost(now, window, 12, 14));
  EXPECT_TRUE(windows.TakeLost(now, window, 14, 30));
  EXPECT_TRUE(windows.TakeLost(now, window, 1, 11));
  windows.NoteLost(now, window, 30, 40);
  now += kRetiredMemory;
  EXPECT_FALSE(windows.TakeLost(now, window, 30, 40)) << "too long ago";
}

TEST_F(WindowsTest, ClosedProcessesStayClosed) {
  windows.Close(PeerOf(1), 5);
  windows.Close(PeerOf(1), 3);
  EXPECT_TRUE(windows.IsClosed(PeerOf(1), 5));
  EXPECT_FALSE(windows.IsClosed(PeerOf(1), 6));
  EXPECT_FALSE(windows.IsClosed(PeerOf(2), 1));
}

}  // namespace
}  // namespace peermesh::broadcast
