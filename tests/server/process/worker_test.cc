#include "server/process/worker.h"

#include <gtest/gtest.h>

#include <mutex>

namespace peermesh {
namespace {

TEST(Worker, FinishesWhatWaitsAndRefusesWhatIsTooMuch) {
  std::mutex gate;
  int done = 0;
  int posted = 0;
  {
    Worker worker("worker");
    const std::lock_guard closed(gate);
    while (worker.Post([&] {
      const std::lock_guard wait(gate);
      ++done;
    })) {
      ++posted;
      ASSERT_LE(posted, static_cast<int>(Worker::kMaxWaiting) + 1);
    }
  }
  EXPECT_GE(posted, static_cast<int>(Worker::kMaxWaiting));
  EXPECT_EQ(done, posted);
}

}  // namespace
}  // namespace peermesh
