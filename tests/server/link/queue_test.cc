#include "server/link/queue.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "tests/server/link/harness.h"

namespace peermesh::link {
namespace {

using std::chrono::milliseconds;

class QueueTest : public testing::Test {
 protected:
  QueueTest() { pool_.AddClientQueues(1); }
  ~QueueTest() override {
    if (!stopped_) pool_.Stop();
  }
  void Stop() {
    pool_.Stop();
    stopped_ = true;
  }

  Queue& queue() { return *pool_.queues().front(); }

  QueuePool pool_{"test"};
  bool stopped_ = false;
  Watched<std::vector<int>> seen_;
};

TEST_F(QueueTest, PostedFunctionsRunInOrderOnOneThread) {
  std::atomic<bool> one_thread{true};
  std::thread::id first;
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(queue().Post([&, i] {
      if (i == 0) first = std::this_thread::get_id();
      if (std::this_thread::get_id() != first) one_thread = false;
      seen_.With([i](auto& seen) { seen.push_back(i); });
    }));
  }
  ASSERT_TRUE(seen_.Wait([](const auto& seen) { return seen.size() == 1000; }));
  seen_.With([](const auto& seen) {
    for (int i = 0; i < 1000; ++i) EXPECT_EQ(seen[static_cast<std::size_t>(i)], i);
  });
  EXPECT_TRUE(one_thread);
}

TEST_F(QueueTest, AFunctionMayPostAnother) {
  queue().Post(
      [this] { queue().Post([this] { seen_.With([](auto& seen) { seen.push_back(1); }); }); });
  EXPECT_TRUE(seen_.Wait([](const auto& seen) { return seen.size() == 1; }));
}

TEST_F(QueueTest, TimersFireInOrderOfTheirInstants) {
  const auto now = Queue::Clock::now();
  for (const int ms : {30, 10, 20}) {
    queue().SetTimer(now + milliseconds(ms),
                     [this, ms] { seen_.With([ms](auto& seen) { seen.push_back(ms); }); });
  }
  ASSERT_TRUE(seen_.Wait([](const auto& seen) { return seen.size() == 3; }));
  EXPECT_GE(Queue::Clock::now(), now + milliseconds(30));
  seen_.With([](const auto& seen) { EXPECT_EQ(seen, (std::vector<int>{10, 20, 30})); });
}

TEST_F(QueueTest, ATimerSetFromElsewhereWakesAQueueThatWaitsForALaterOne) {
  const auto now = Queue::Clock::now();
  queue().SetTimer(now + std::chrono::hours(1), [] { FAIL() << "an hour has passed"; });
  queue().SetTimer(now + milliseconds(5),
                   [this] { seen_.With([](auto& seen) { seen.push_back(5); }); });
  EXPECT_TRUE(seen_.Wait([](const auto& seen) { return seen.size() == 1; }));
}

TEST_F(QueueTest, ACancelledTimerDoesNotFire) {
  const auto now = Queue::Clock::now();
  const auto timer = queue().SetTimer(now + milliseconds(20), [] { FAIL() << "it was cancelled"; });
  queue().CancelTimer(timer);
  queue().CancelTimer(timer);
  queue().CancelTimer(0);
  queue().SetTimer(now + milliseconds(40),
                   [this] { seen_.With([](auto& seen) { seen.push_back(1); }); });
  EXPECT_TRUE(seen_.Wait([](const auto& seen) { return seen.size() == 1; }));
}

TEST_F(QueueTest, AStoppedQueueTakesNothingMore) {
  Stop();
  EXPECT_FALSE(queue().Post([] { FAIL() << "stopped"; }));
  EXPECT_EQ(queue().SetTimer(Queue::Clock::now(), [] { FAIL() << "stopped"; }), 0u);
}

TEST_F(QueueTest, StoppingDropsWhatIsDueLater) {
  auto held = std::make_shared<int>(1);
  queue().SetTimer(Queue::Clock::now() + std::chrono::hours(1), [held] { (void)held; });
  EXPECT_EQ(held.use_count(), 2);
  Stop();
  EXPECT_EQ(held.use_count(), 1);
}

TEST(QueuePoolTest, QueuesAreGivenOutInTurn) {
  QueuePool pool("turn");
  pool.AddClientQueues(2);
  Queue& first = pool.Next();
  Queue& second = pool.Next();
  EXPECT_NE(&first, &second);
  EXPECT_EQ(&pool.Next(), &first);
  EXPECT_EQ(second.name(), "turn-1");
  pool.Stop();
}

}  // namespace
}  // namespace peermesh::link
