#include "metrics/ledger/excess.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <future>
#include <thread>

#include "metrics/ledger/kernel.h"
#include "metrics/ledger/thread.h"

namespace peermesh::ledger {
namespace {

using namespace std::chrono_literals;

TEST(ExcessTest, WhatIsThereAtFirstIsTheBaseline) {
  Time now{1h};
  Excess excess(now);
  for (int i = 0; i < 300; ++i) excess.Add(now += 2s, 40);
  for (int i = 0; i < 600; ++i) excess.Add(now += 2s, 40 + static_cast<std::uint64_t>(i % 9));
  EXPECT_FALSE(excess.found(now));
  EXPECT_EQ(excess.baseline(), 40u);
  for (int i = 0; i < 600; ++i) excess.Add(now += 2s, 60 + static_cast<std::uint64_t>(i / 60));
  EXPECT_EQ(excess.found(now), 29u);
}

TEST(ExcessTest, AForecastSaysWhenTheLimitIsReached) {
  Forecast forecast;
  Time now{1h};
  EXPECT_FALSE(forecast.Until(256));
  for (std::uint64_t i = 0; i < 12; ++i) forecast.Add(now += 10s, 100 + 2 * i);
  EXPECT_NEAR(std::chrono::duration<double>(*forecast.Until(256)).count(), (256 - 122) * 5, 1);
  for (int i = 0; i < 40; ++i) forecast.Add(now += 10s, 122);
  EXPECT_FALSE(forecast.Until(256));
}

TEST(KernelTest, SeesASocketAndAThread) {
  const auto count = [](const char* name) { return ReadKernel()->unclaimed()[name]; };
  std::thread([] {}).join();  // with the first one ThreadSanitizer starts one of its own
  const std::uint64_t sockets = count("fd_socket"), threads = count("thread");
  const int raw = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_EQ(count("fd_socket"), sockets + 1);
  ::close(raw);
  EXPECT_EQ(count("fd_socket"), sockets);

  std::promise<void> end, started;
  const std::shared_future<void> ended = end.get_future().share();
  std::thread nobodys([&] { ended.wait(); });
  EXPECT_EQ(count("thread"), threads + 1);
  const Kind kind = Ledger::Process().Register(Owned("test_thread"));
  Thread ours("pm-test", kind, Scope{}, [&] {
    started.set_value();
    ended.wait();
  });
  started.get_future().wait();
  bool named = false;
  const auto reading = ReadKernel();
  for (const Task& one : reading->threads) named |= one.name == "pm-test" && one.claimed;
  EXPECT_TRUE(named);
  EXPECT_EQ(count("thread"), threads + 1);
  end.set_value();
  nobodys.join();
}

TEST(KernelTest, KnowsDescriptorsByClass) {
  EXPECT_EQ(ClassOf("socket:[12]"), "socket");
  EXPECT_EQ(ClassOf("anon_inode:[eventpoll]"), "eventpoll");
  EXPECT_EQ(ClassOf("/dev/null"), "device");
  EXPECT_EQ(ClassOf("/var/lib/peermesh/ca.db"), "file");
  EXPECT_EQ(ClassOf("anon_inode:inotify"), "other");
}

}  // namespace
}  // namespace peermesh::ledger
