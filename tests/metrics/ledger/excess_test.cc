#include "metrics/ledger/excess.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
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

TEST(KernelTest, SaysWhoIsAtTheOtherEndOfASocket) {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_EQ(OtherEndOf(listener), "0.0.0.0:0");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  ASSERT_EQ(::bind(listener, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(::listen(listener, 1), 0);
  ASSERT_EQ(::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size), 0);
  const int caller = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ASSERT_EQ(::connect(caller, reinterpret_cast<sockaddr*>(&address), size), 0);
  EXPECT_EQ(OtherEndOf(caller), "127.0.0.1:" + std::to_string(ntohs(address.sin_port)));
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
  EXPECT_EQ(OtherEndOf(pair[0]), "a program on this host");
  const int fresh = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_EQ(OtherEndOf(fresh), "nobody");
  for (const int open : {listener, caller, pair[0], pair[1], fresh}) ::close(open);
  EXPECT_EQ(OtherEndOf(fresh), "nobody") << "closed";
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
