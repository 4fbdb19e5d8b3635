#include "mesh/flow/ring.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "mesh/base/rng.h"

namespace peermesh::flow {
namespace {

using testing::ElementsAre;

TEST(RingTest, NothingIsAllocatedUntilSomethingIsInIt) {
  Ring<int> ring;
  EXPECT_TRUE(ring.empty());
  EXPECT_EQ(ring.capacity(), 0u);
  EXPECT_LE(sizeof(ring), 32u) << "a peer has four for every link";
}

TEST(RingTest, WhatWentInFirstComesOutFirst) {
  Ring<std::string> ring;
  for (const char* word : {"a", "b", "c", "d", "e"}) ring.push_back(word);
  ring.push_front("0");
  EXPECT_THAT(ring, ElementsAre("0", "a", "b", "c", "d", "e"));
  EXPECT_EQ(ring.front(), "0");
  EXPECT_EQ(ring.back(), "e");
  ring.pop_front();
  ring.pop_front();
  ring.push_back("f");
  EXPECT_THAT(ring, ElementsAre("b", "c", "d", "e", "f"));
  EXPECT_EQ(ring[1], "c");
  for (std::string& word : ring) word += "!";
  EXPECT_EQ(ring.front(), "b!");
}

TEST(RingTest, AQueueThatIsEmptyAgainKeepsLittleAndAllocatesNothingMore) {
  using Wide = std::array<char, 64>;
  Ring<Wide> ring;
  for (int i = 0; i < 4; ++i) ring.emplace_back();
  while (!ring.empty()) ring.pop_front();
  const std::size_t kept = ring.capacity();
  EXPECT_GT(kept, 0u);
  EXPECT_LE(kept * sizeof(Wide), Ring<Wide>::kKept);
  for (int i = 0; i < 100; ++i) {
    ring.emplace_back();
    ring.pop_front();
    ASSERT_EQ(ring.capacity(), kept);
  }
}

TEST(RingTest, ALongQueueGivesItsArrayBackWhileItGetsShorter) {
  Ring<std::string> ring;
  for (int i = 0; i < 1000; ++i) ring.push_back(std::to_string(i));
  EXPECT_EQ(ring.capacity(), 1024u);
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(ring.front(), std::to_string(i));
    ring.pop_front();
    ASSERT_LE(ring.capacity(), std::max<std::size_t>(4 * ring.size() + 1, 8));
  }
  for (int i = 0; i < 1000; ++i) ring.push_back({});
  ring.clear();
  EXPECT_EQ(ring.capacity(), 0u) << "nobody knows whether it will be long again";
}

TEST(RingTest, WhatIsErasedLeavesTheOthersInOrder) {
  Ring<int> ring;
  for (int i = 0; i < 20; ++i) ring.push_back(i);
  for (int i = 0; i < 10; ++i) ring.pop_front();
  for (int i = 20; i < 24; ++i) ring.push_back(i);
  EXPECT_EQ(erase_if(ring, [](int value) { return value % 3 != 0; }), 10u);
  EXPECT_THAT(ring, ElementsAre(12, 15, 18, 21));
  EXPECT_EQ(erase_if(ring, [](int) { return false; }), 0u);
}

TEST(RingTest, AnElementOfItsOwnCanBePushed) {
  Ring<std::string> ring;
  ring.push_back("once");
  for (int i = 0; i < 9; ++i) ring.emplace_back(ring.front());
  EXPECT_THAT(ring, testing::Each("once"));
}

TEST(RingTest, MovingLeavesAnEmptyRing) {
  Ring<std::unique_ptr<int>> ring;
  ring.push_back(std::make_unique<int>(7));
  Ring<std::unique_ptr<int>> other(std::move(ring));
  EXPECT_EQ(*other.front(), 7);
  EXPECT_TRUE(ring.empty());  // NOLINT: what is left is defined
  ring.push_back(std::make_unique<int>(8));
  other = std::move(ring);
  EXPECT_EQ(other.size(), 1u);
  EXPECT_EQ(*other.front(), 8);
}

TEST(RingTest, ElementsEndWhenTheyLeave) {
  const auto held = std::make_shared<int>(1);
  {
    Ring<std::shared_ptr<int>> ring;
    for (int i = 0; i < 10; ++i) ring.push_back(held);
    EXPECT_EQ(held.use_count(), 11);
    ring.pop_front();
    EXPECT_EQ(held.use_count(), 10);
    int number = 0;
    erase_if(ring, [&](const auto&) { return number++ % 2 == 0; });
    EXPECT_EQ(held.use_count(), 5);
    ring.clear();
    EXPECT_EQ(held.use_count(), 1);
    ring.push_back(held);
  }
  EXPECT_EQ(held.use_count(), 1);
}

TEST(RingTest, ItIsWhatADequeIsUnderRandomUse) {
  Rng rng({3, 1, 4, 1});
  Ring<std::string> ring;
  std::deque<std::string> like;
  for (int step = 0; step < 20'000; ++step) {
    // Long spells of growth and of shrinking.
    const bool grows = step / 700 % 2 == 0;
    const std::uint64_t draw = rng.Below(10);
    if (draw < (grows ? 7u : 2u)) {
      ring.push_back(std::to_string(step));
      like.push_back(std::to_string(step));
    } else if (draw == 9 && step % 50 == 0) {
      const char last = static_cast<char>('0' + rng.Below(10));
      const auto gone = [&](const std::string& word) { return word.back() == last; };
      ASSERT_EQ(erase_if(ring, gone), std::erase_if(like, gone));
    } else if (draw == 8) {
      ring.push_front("front");
      like.push_front("front");
    } else if (!like.empty()) {
      ring.pop_front();
      like.pop_front();
    }
    ASSERT_EQ(ring.size(), like.size());
    if (step % 64 == 0) {
      ASSERT_TRUE(std::equal(ring.begin(), ring.end(), like.begin(), like.end()));
    }
  }
}

TEST(RingDeathTest, NothingIsTakenFromAnEmptyOne) {
  Ring<int> ring;
  EXPECT_DEATH(ring.pop_front(), "size_");
  EXPECT_DEATH(ring.front(), "size_");
  EXPECT_DEATH(ring.back(), "size_");
}

}  // namespace
}  // namespace peermesh::flow
