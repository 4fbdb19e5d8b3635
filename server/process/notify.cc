#include "server/process/notify.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <utility>

#include "fmt/format.h"
#include "metrics/ledger/kinds.h"

namespace peermesh {
namespace {

// A variable that is ours to read once.
std::string Take(const char* name) {
  const char* value = std::getenv(name);
  std::string taken = value == nullptr ? "" : value;
  ::unsetenv(name);
  return taken;
}

std::int64_t Number(const std::string& text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() ? number : 0;
}

struct Address {
  sockaddr_un name{};
  socklen_t length = 0;
};

// A path, or a name in the abstract namespace after '@'; nothing if it is neither.
std::optional<Address> ToAddress(const std::string& text) {
  Address address;
  if (text.size() < 2 || (text[0] != '/' && text[0] != '@') ||
      text.size() >= sizeof(address.name.sun_path)) {
    return std::nullopt;
  }
  address.name.sun_family = AF_UNIX;
  std::memcpy(address.name.sun_path, text.data(), text.size());
  if (text[0] == '@') address.name.sun_path[0] = '\0';
  address.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + text.size());
  if (text[0] == '/') ++address.length;  // a path ends with a zero
  return address;
}

// One line: the protocol ends a field with a newline.
std::string StatusField(std::string_view status) {
  std::string line(status.substr(0, kMaxStatusBytes));
  std::replace(line.begin(), line.end(), '\n', ' ');
  return "STATUS=" + line;
}

std::int64_t MonotonicMicroseconds() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * std::int64_t{1'000'000} + now.tv_nsec / 1000;
}

}  // namespace

Notifier Notifier::FromEnvironment() {
  Notifier notifier;
  notifier.address_ = Take("NOTIFY_SOCKET");
  const std::int64_t interval = Number(Take("WATCHDOG_USEC"));
  const std::string process = Take("WATCHDOG_PID");
  if (!ToAddress(notifier.address_)) return notifier;
  notifier.socket_ =
      ledger::UniqueFd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0),
                       ledger::kProcessFd, ledger::Scope{});
  const bool for_us = process.empty() || Number(process) == ::getpid();
  if (interval > 0 && for_us) notifier.StartTimer(Duration(interval) / kProofsPerInterval);
  return notifier;
}

void Notifier::StartTimer(Duration interval) {
  const auto us = std::max<std::int64_t>(interval.count(), 1);
  timespec each{};
  each.tv_sec = us / 1'000'000;
  each.tv_nsec = us % 1'000'000 * 1000;
  const itimerspec every{.it_interval = each, .it_value = each};
  timer_ = ledger::UniqueFd(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK),
                            ledger::kProcessFd, ledger::Scope{});
  if (timer_) ::timerfd_settime(timer_.get(), 0, &every, nullptr);
}

void Notifier::Send(std::string_view text) const {
  const auto to = ToAddress(address_);
  if (!socket_ || !to) return;
  (void)::sendto(socket_.get(), text.data(), text.size(), MSG_NOSIGNAL,
                 reinterpret_cast<const sockaddr*>(&to->name), to->length);
}

void Notifier::Ready(std::string_view status) { Send("READY=1\n" + StatusField(status)); }

void Notifier::Reloading() {
  Send(fmt::format("RELOADING=1\nMONOTONIC_USEC={}", MonotonicMicroseconds()));
}

void Notifier::Stopping(Duration at_most) {
  Send(fmt::format("STOPPING=1\nEXTEND_TIMEOUT_USEC={}\n{}", at_most.count(),
                   StatusField("leaving")));
}

void Notifier::Status(std::string_view status) { Send(StatusField(status)); }

bool Notifier::Feed(const std::function<bool()>& alive) {
  std::uint64_t expired = 0;
  if (!timer_ || ::read(timer_.get(), &expired, sizeof(expired)) != sizeof(expired)) return true;
  if (!alive()) return false;
  Send("WATCHDOG=1");
  return true;
}

bool Greets(const std::string& path, Duration patience) {
  const auto to = path.empty() || path[0] != '/' ? std::nullopt : ToAddress(path);
  if (!to) return false;
  const ledger::UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0),
                            ledger::kBriefFd, ledger::Scope{});
  if (!fd) return false;
  bool greeted = false;
  // A full backlog refuses at once: the accept thread is behind by hundreds, or gone.
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&to->name), to->length) == 0) {
    pollfd wait{fd.get(), POLLIN, 0};
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(patience);
    constexpr std::size_t kFrameHeader = 9, kTypeAt = 3;
    constexpr unsigned char kSettings = 4;  // the first frame of any HTTP/2 server
    std::array<unsigned char, kFrameHeader> header{};
    greeted =
        ::poll(&wait, 1, static_cast<int>(ms.count())) == 1 &&
        ::read(fd.get(), header.data(), header.size()) == static_cast<ssize_t>(header.size()) &&
        header[kTypeAt] == kSettings;
  }
  return greeted;
}

}  // namespace peermesh
