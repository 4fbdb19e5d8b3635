#include "metrics/export/process.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace peermesh::metrics {
namespace {

// The value of a series without labels; -1 if it is not there.
double Read(const std::string& name) {
  Page page;
  CollectProcess(page);
  const std::string text = page.Text();
  const std::size_t at = text.find("\n" + name + " ");
  return at == std::string::npos ? -1 : std::strtod(text.c_str() + at + name.size() + 2, nullptr);
}

TEST(ProcessTest, FileDescriptorsAreCounted) {
  const double before = Read("process_open_fds");
  EXPECT_GE(before, 3);
  std::vector<int> fds;
  for (int i = 0; i < 5; ++i) fds.push_back(open("/dev/null", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(Read("process_open_fds"), before + 5);
  for (const int fd : fds) close(fd);
  EXPECT_EQ(Read("process_open_fds"), before);
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  EXPECT_EQ(Read("process_max_fds"), static_cast<double>(limit.rlim_cur));
}

TEST(ProcessTest, ThreadsAreCounted) {
  const double before = Read("process_threads");
  EXPECT_GE(before, 1);
  double with_one_more = 0;
  std::thread([&] { with_one_more = Read("process_threads"); }).join();
  EXPECT_EQ(with_one_more, before + 1);
}

TEST(ProcessTest, ResidentMemoryFollowsUse) {
  const double before = Read("process_resident_memory_bytes");
  EXPECT_GT(before, 1e5);
  const std::vector<char> block(64u << 20, 'x');
  EXPECT_GT(Read("process_resident_memory_bytes"), before + 60e6) << block.size();
  EXPECT_GT(Read("process_virtual_memory_bytes"), 64e6);
}

#if !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)  // they have a heap of their own
double Heap(const std::string& state) {
  Page page;
  CollectHeap(page);
  const std::string text = page.Text(), series = "peermesh_heap_bytes{state=\"" + state + "\"} ";
  const std::size_t at = text.find(series);
  return at == std::string::npos ? -1 : std::strtod(text.c_str() + at + series.size(), nullptr);
}

TEST(ProcessTest, TheHeapTellsSmallPiecesFromLargeOnesAndBothFromWhatIsKept) {
  const double in_use = Heap("in_use"), mapped = Heap("mapped");
  ASSERT_GT(in_use, 0);
  ASSERT_GE(mapped, 0);
  std::vector<std::unique_ptr<char[]>> small;
  for (int i = 0; i < 10'000; ++i) small.push_back(std::make_unique<char[]>(1000));
  EXPECT_NEAR(Heap("in_use") - in_use, 10e6, 2e6);
  auto large = std::make_unique<char[]>(64u << 20);
  EXPECT_NEAR(Heap("mapped") - mapped, 64 << 20, 1 << 20);
  const auto last = std::make_unique<char[]>(1000);  // so that nothing below goes to the kernel
  const double free_before = Heap("free");
  small.clear();
  large.reset();
  EXPECT_NEAR(Heap("free") - free_before, 10e6, 2e6);
  EXPECT_NEAR(Heap("mapped"), mapped, 1 << 20) << "a large one goes back at once";
}
#endif

TEST(ProcessTest, CpuTimeRises) {
  const double before = Read("process_cpu_seconds_total");
  EXPECT_GE(before, 0);
  const std::clock_t until = std::clock() + CLOCKS_PER_SEC / 50;
  while (std::clock() < until) {
  }
  const double used = Read("process_cpu_seconds_total") - before;
  EXPECT_GE(used, 0.019);
  EXPECT_LT(used, 5);
}

TEST(ProcessTest, TheStartLiesBetweenBootAndNow) {
  const double start = Read("process_start_time_seconds");
  const auto now = static_cast<double>(std::time(nullptr));
  EXPECT_LE(start, now + 1);
  EXPECT_GT(start, now - 600) << "this test takes no ten minutes";
}

TEST(ProcessTest, TheBuildIsNamed) {
  Page page;
  CollectBuild({.version = "1.2.3", .grpc_version = "1.51.1"}, page);
  EXPECT_THAT(page.Text(), testing::ContainsRegex(
                               "peermesh_build_info\\{version=\"1.2.3\",compiler=\"(gcc|clang) "
                               "[0-9.]+.*\",grpc_version=\"1.51.1\"\\} 1\n"));
}

}  // namespace
}  // namespace peermesh::metrics
