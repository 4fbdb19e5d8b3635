#include "server/process/notify.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>
#include <thread>

#include "mesh/base/check.h"

namespace peermesh {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::StartsWith;

constexpr int kPatienceMs = 10'000;

sockaddr_un AddressOf(const std::string& name) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  PM_CHECK(name.size() < sizeof(address.sun_path));
  std::memcpy(address.sun_path, name.data(), name.size());
  if (name[0] == '@') address.sun_path[0] = '\0';
  return address;
}

socklen_t LengthOf(const std::string& name) {
  return static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size() + (name[0] == '/'));
}

// What systemd is to a service: a datagram socket that is read.
class Manager {
 public:
  explicit Manager(const std::string& name) : fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    const sockaddr_un address = AddressOf(name);
    PM_CHECK(::bind(fd_, reinterpret_cast<const sockaddr*>(&address), LengthOf(name)) == 0);
    ::setenv("NOTIFY_SOCKET", name.c_str(), 1);
  }
  ~Manager() {
    ::close(fd_);
    for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) ::unsetenv(name);
  }
  // The lines of one datagram; none if nothing was sent.
  std::vector<std::string> Take() const {
    std::array<char, 1024> bytes{};
    const ssize_t got = ::recv(fd_, bytes.data(), bytes.size(), MSG_DONTWAIT);
    std::vector<std::string> lines;
    for (std::size_t at = 0; got > 0 && at <= static_cast<std::size_t>(got);) {
      const std::string_view rest(bytes.data() + at, static_cast<std::size_t>(got) - at);
      lines.emplace_back(rest.substr(0, rest.find('\n')));
      at += lines.back().size() + 1;
    }
    return lines;
  }

 private:
  const int fd_;
};

class NotifyTest : public testing::Test {
 protected:
  NotifyTest() {
    std::string pattern = testing::TempDir() + "peermesh-notify-XXXXXX";
    PM_CHECK(mkdtemp(pattern.data()) != nullptr);
    directory_ = pattern;
  }
  ~NotifyTest() override { std::filesystem::remove_all(directory_); }
  static bool WaitUntilDue(const Notifier& notifier) {
    pollfd wait{notifier.due(), POLLIN, 0};
    return ::poll(&wait, 1, kPatienceMs) == 1;
  }
  std::string Socket() const { return directory_ + "/notify"; }

  std::string directory_;
};

TEST_F(NotifyTest, AManagerIsToldOfTheWholeLife) {
  const Manager manager(Socket());
  Notifier notifier = Notifier::FromEnvironment();
  notifier.Ready("peer alpha");
  EXPECT_THAT(manager.Take(), ElementsAre("READY=1", "STATUS=peer alpha"));
  notifier.Reloading();
  EXPECT_THAT(manager.Take(), ElementsAre("RELOADING=1", MatchesRegex("MONOTONIC_USEC=[0-9]+")));
  notifier.Status("joining");
  EXPECT_THAT(manager.Take(), ElementsAre("STATUS=joining"));
  notifier.Stopping(std::chrono::seconds(5));
  EXPECT_THAT(manager.Take(),
              ElementsAre("STOPPING=1", "EXTEND_TIMEOUT_USEC=5000000", "STATUS=leaving"));
}

TEST_F(NotifyTest, AnAbstractSocketIsOneToo) {
  const Manager manager("@peermesh-notify-test-" + std::to_string(::getpid()));
  Notifier notifier = Notifier::FromEnvironment();
  notifier.Ready("up");
  EXPECT_THAT(manager.Take(), ElementsAre("READY=1", "STATUS=up"));
}

TEST_F(NotifyTest, WhatWeStartDoesNotSpeakForUs) {
  const Manager manager(Socket());
  ::setenv("WATCHDOG_USEC", "1000000", 1);
  ::setenv("WATCHDOG_PID", std::to_string(::getpid()).c_str(), 1);
  const Notifier notifier = Notifier::FromEnvironment();
  for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) {
    EXPECT_EQ(std::getenv(name), nullptr) << name;
  }
}

TEST_F(NotifyTest, AStatusIsOneLineAndBounded) {
  const Manager manager(Socket());
  Notifier notifier = Notifier::FromEnvironment();
  notifier.Status("two\nREADY=1");
  EXPECT_THAT(manager.Take(), ElementsAre("STATUS=two READY=1"));
  notifier.Status(std::string(10 * kMaxStatusBytes, 'x'));
  EXPECT_THAT(manager.Take(), ElementsAre("STATUS=" + std::string(kMaxStatusBytes, 'x')));
}

TEST_F(NotifyTest, ASignOfLifeIsGivenWhenItIsDueAndProven) {
  const Manager manager(Socket());
  ::setenv("WATCHDOG_USEC", "60000", 1);
  Notifier notifier = Notifier::FromEnvironment();
  int asked = 0;
  ASSERT_TRUE(WaitUntilDue(notifier));
  EXPECT_TRUE(notifier.Feed([&] { return ++asked > 0; }));
  EXPECT_THAT(manager.Take(), ElementsAre("WATCHDOG=1"));

  ASSERT_TRUE(WaitUntilDue(notifier));
  EXPECT_FALSE(notifier.Feed([&] { return ++asked == 0; })) << "it could not be proven";
  EXPECT_THAT(manager.Take(), ElementsAre());
  EXPECT_EQ(asked, 2);
}

TEST_F(NotifyTest, NothingIsProvenBeforeItIsDue) {
  const Manager manager(Socket());
  ::setenv("WATCHDOG_USEC", "3600000000", 1);
  Notifier notifier = Notifier::FromEnvironment();
  ASSERT_GE(notifier.due(), 0);
  EXPECT_TRUE(notifier.Feed([] {
    ADD_FAILURE() << "nobody asked";
    return false;
  }));
  EXPECT_THAT(manager.Take(), ElementsAre());
}

TEST_F(NotifyTest, TheWatchdogOfAnotherProcessIsNotOurs) {
  const Manager manager(Socket());
  ::setenv("WATCHDOG_USEC", "1000000", 1);
  ::setenv("WATCHDOG_PID", "1", 1);
  EXPECT_EQ(Notifier::FromEnvironment().due(), -1);
}

TEST_F(NotifyTest, WithoutAManagerNothingHappens) {
  for (const char* socket : {"", "relative", "/nobody/listens/here", "@"}) {
    ::setenv("NOTIFY_SOCKET", socket, 1);
    Notifier notifier = Notifier::FromEnvironment();
    notifier.Ready("up");
    notifier.Stopping(std::chrono::seconds(1));
    EXPECT_TRUE(notifier.Feed([] { return false; })) << socket;
  }
  ::setenv("WATCHDOG_USEC", "1000", 1);
  EXPECT_EQ(Notifier::FromEnvironment().due(), -1);
}

// A listener that greets with these bytes, or keeps silent.
class Listener {
 public:
  Listener(const std::string& path, std::string greeting)
      : fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const sockaddr_un address = AddressOf(path);
    PM_CHECK(::bind(fd_, reinterpret_cast<const sockaddr*>(&address), LengthOf(path)) == 0);
    PM_CHECK(::listen(fd_, 4) == 0);
    if (greeting.empty()) return;
    thread_ = std::thread([this, greeting = std::move(greeting)] {
      const int taken = ::accept(fd_, nullptr, nullptr);
      (void)!::write(taken, greeting.data(), greeting.size());
      ::close(taken);
    });
  }
  ~Listener() {
    if (thread_.joinable()) thread_.join();
    ::close(fd_);
  }

 private:
  const int fd_;
  std::thread thread_;
};

TEST_F(NotifyTest, AServerOfGrpcGreetsWithItsSettings) {
  const Listener listener(Socket(), std::string("\0\0\6\4\0\0\0\0\0\0\1\0\0\0\0", 15));
  EXPECT_TRUE(Greets(Socket(), std::chrono::seconds(10)));
}

TEST_F(NotifyTest, WhatSaysSomethingElseDoesNotGreet) {
  const Listener listener(Socket(), "HTTP/1.1 400 Bad Request\r\n\r\n");
  EXPECT_FALSE(Greets(Socket(), std::chrono::seconds(10)));
}

TEST_F(NotifyTest, ABacklogThatNobodyServesDoesNotGreet) {
  const Listener listener(Socket(), "");
  EXPECT_FALSE(Greets(Socket(), std::chrono::milliseconds(20)));
  EXPECT_FALSE(Greets(directory_ + "/absent", std::chrono::seconds(10)));
}

}  // namespace
}  // namespace peermesh
