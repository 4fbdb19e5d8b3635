#include "mesh/broadcast/cache.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/mesh/broadcast/swarm.h"

namespace peermesh::broadcast {
namespace {

using namespace std::chrono_literals;

class CacheTest : public testing::Test {
 protected:
  ~CacheTest() override { cache.CheckInvariants(); }
  void Add(std::uint64_t after, std::uint64_t first, std::size_t rows = 1,
           std::size_t bytes = 100) {
    cache.Insert(now, 1, MakePiece({PeerOf(1), 1, 0}, after, first, rows, bytes), 3, 7);
  }
  std::size_t Count(std::uint64_t first, std::uint64_t next) {
    std::vector<const Cache::Entry*> found;
    cache.Collect(1, first, next, 100, found);
    return found.size();
  }
  Instant now{};
  Cache cache;
};

TEST_F(CacheTest, APieceAnswersForItsNumbersAndForThoseItSkips) {
  Add(5, 10, 3);
  for (const std::uint64_t number : {5, 9, 10, 12}) EXPECT_NE(cache.Find(1, number), nullptr);
  for (const std::uint64_t number : {4, 13}) EXPECT_EQ(cache.Find(1, number), nullptr);
  EXPECT_EQ(cache.Find(2, 10), nullptr) << "another stream";
  EXPECT_EQ(Count(5, 6), 1u);
  EXPECT_EQ(Count(12, 90), 1u);
  EXPECT_EQ(Count(13, 90), 0u);
  EXPECT_EQ(Count(1, 5), 0u);
}

TEST_F(CacheTest, PiecesGoAfterAMinute) {
  Add(1, 1);
  now += 30s;
  Add(2, 2);
  now += 30s;
  cache.Expire(now);
  EXPECT_EQ(cache.Find(1, 1), nullptr);
  EXPECT_NE(cache.Find(1, 2), nullptr);
  EXPECT_EQ(cache.NextWake(), now + 30s + kCacheSweep);
}

TEST_F(CacheTest, TheOldestGoWhenThereAreTooManyBytes) {
  for (std::uint64_t i = 1; i <= 40; ++i) Add(i, i, 1, 1u << 20);
  EXPECT_LE(cache.bytes(), kCacheBytes);
  EXPECT_EQ(cache.size(), 31u);
  EXPECT_EQ(cache.Find(1, 9), nullptr);
  EXPECT_NE(cache.Find(1, 10), nullptr);
}

TEST_F(CacheTest, ASmallPieceOfALargeFrameIsChargedForItOnce) {
  const auto frame = std::make_shared<const std::string>(std::size_t{1} << 20, 'x');
  for (std::uint64_t i = 1; i <= 2; ++i) {
    auto piece = std::make_shared<Piece>(*MakePiece({PeerOf(1), 1, 0}, i, i));
    auto batch = std::make_shared<Batch>(*piece->batch);
    batch->buffer = frame;
    piece->batch = batch;
    cache.Insert(now, 1, piece, 1, 1);
  }
  EXPECT_GE(cache.bytes(), 1u << 20);
  EXPECT_LT(cache.bytes(), (1u << 20) + 4096);
}

TEST_F(CacheTest, ContiguousEndsAtAGap) {
  Add(1, 1);
  Add(3, 3);
  Add(4, 7, 2);
  EXPECT_EQ(cache.ContiguousFrom(1, 9), 3u);
  EXPECT_EQ(cache.ContiguousFrom(1, 2), 1u);
  EXPECT_EQ(cache.ContiguousFrom(1, 20), 20u);
  EXPECT_EQ(cache.ContiguousFrom(2, 9), 9u);
}

}  // namespace
}  // namespace peermesh::broadcast
