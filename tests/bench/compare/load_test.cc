// What makes a run void, and what holds a publisher back.
#include "tests/bench/compare/load.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <set>
#include <thread>

namespace peermesh::bench {
namespace {

constexpr std::size_t kBytes = 128;

std::string Numbered(std::uint32_t publisher, std::uint64_t sequence) {
  std::string payload = MakePayload(publisher, kBytes);
  Number(payload, sequence);
  return payload;
}

class DeliveryCheckTest : public testing::Test {
 protected:
  DeliveryCheck check_{2, kBytes, false};
};

TEST_F(DeliveryCheckTest, PublishersMayInterleave) {
  EXPECT_TRUE(check_.Take(Numbered(0, 0)));
  EXPECT_TRUE(check_.Take(Numbered(1, 0)));
  EXPECT_TRUE(check_.Take(Numbered(1, 1)));
  EXPECT_TRUE(check_.Take(Numbered(0, 1)));
  EXPECT_EQ(check_.taken(), 4u);
}

TEST_F(DeliveryCheckTest, AMessageThatIsMissingIsAFault) {
  EXPECT_TRUE(check_.Take(Numbered(0, 0)));
  EXPECT_FALSE(check_.Take(Numbered(0, 2)));
  EXPECT_EQ(check_.fault(), "message 2 of publisher 0 arrived where 1 was due");
}

TEST_F(DeliveryCheckTest, AMessageThatComesTwiceIsAFault) {
  EXPECT_TRUE(check_.Take(Numbered(0, 0)));
  EXPECT_FALSE(check_.Take(Numbered(0, 0)));
}

TEST_F(DeliveryCheckTest, ADamagedMessageIsAFault) {
  std::string front = Numbered(0, 0), tail = front;
  front[8] ^= 1;
  tail.back() ^= 1;
  EXPECT_FALSE(check_.Take(front));
  EXPECT_FALSE(check_.Take(tail));
  EXPECT_FALSE(check_.Take(Numbered(0, 0).substr(1)));
  EXPECT_FALSE(check_.Take(Numbered(7, 0))) << "nobody has that number";
  EXPECT_TRUE(check_.Take(Numbered(0, 0)));
}

TEST(LossyCheck, MayMissButNeverGoBack) {
  DeliveryCheck check(1, kBytes, true);
  EXPECT_TRUE(check.Take(Numbered(0, 5)));
  EXPECT_TRUE(check.Take(Numbered(0, 9)));
  EXPECT_FALSE(check.Take(Numbered(0, 9)));
  EXPECT_FALSE(check.Take(Numbered(0, 6)));
}

TEST(Subjects, ManyAreDistinctAndATenthAreWildcards) {
  std::set<std::string> subjects, patterns;
  int wild = 0;
  for (int i = 0; i < 100; ++i) {
    subjects.insert(SubjectOf(i, 100));
    patterns.insert(PatternOf(i, 100));
    wild += PatternOf(i, 100) != SubjectOf(i, 100);
  }
  EXPECT_EQ(subjects.size(), 100u);
  EXPECT_EQ(patterns.size(), 100u);
  EXPECT_EQ(wild, 10);
}

class WindowTest : public testing::Test {
 protected:
  WindowTest() {
    options_.bytes = 100;
    options_.window = 1000;  // ten messages
    options_.slots = 2;
    options_.window_file = testing::TempDir() + "window" + std::to_string(getpid());
  }
  ~WindowTest() override { std::filesystem::remove(options_.window_file); }

  Options options_;
};

TEST_F(WindowTest, AFullWindowWaitsForTheSlowestUntilItIsHalfEmpty) {
  const Window publisher(options_);
  EXPECT_EQ(publisher.Wait(3, 9, 0), 0u) << "there is room for the tenth";
  std::atomic<bool> passed{false};
  std::thread waiting([&] {
    EXPECT_EQ(publisher.Wait(3, 10, 0), 5u);
    passed = true;
  });
  Window subscribers(options_);  // another mapping, as in another process
  subscribers.Took(0, 3, 10);
  subscribers.Took(1, 3, 4);
  EXPECT_FALSE(passed) << "one of them has taken fewer than half";
  subscribers.Took(1, 3, 5);
  waiting.join();
}

TEST_F(WindowTest, WithoutAFileNobodyWaits) {
  options_.window_file.clear();
  EXPECT_EQ(Window(options_).Wait(0, 1'000'000, 0), 0u);
}

}  // namespace
}  // namespace peermesh::bench
