#include "metrics/ledger/kernel.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>

#include "metrics/ledger/claims.h"

namespace peermesh::ledger {
namespace {

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};
using Directory = std::unique_ptr<DIR, CloseDirectory>;

// Calls `visit(number)` for every entry that is a number.
template <class Visit>
bool ForEachNumber(const char* path, const Visit& visit) {
  const Directory directory(::opendir(path));
  if (directory == nullptr) return false;
  while (const dirent* entry = ::readdir(directory.get())) {
    char* end = nullptr;
    const long number = std::strtol(entry->d_name, &end, 10);
    if (*end == '\0') visit(static_cast<int>(number), ::dirfd(directory.get()), entry->d_name);
  }
  return true;
}

std::string ReadName(int directory, const std::string& path) {
  char text[32];
  const int file = ::openat(directory, path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return "";  // it has ended meanwhile
  const ssize_t size = ::read(file, text, sizeof(text));
  ::close(file);
  std::string name(text, size > 0 ? static_cast<std::size_t>(size) : 0);
  if (name.ends_with('\n')) name.pop_back();
  return name;
}

// Copied out, because a buffer of bytes is no sockaddr_in.
template <class Address>
Address As(const sockaddr_storage& any) {
  Address address{};
  std::memcpy(&address, &any, sizeof(address));
  return address;
}

std::string ToText(const sockaddr_storage& any, socklen_t size) {
  char text[INET6_ADDRSTRLEN] = "";
  if (any.ss_family == AF_INET) {
    const auto address = As<sockaddr_in>(any);
    ::inet_ntop(AF_INET, &address.sin_addr, text, sizeof(text));
    return std::string(text) + ":" + std::to_string(ntohs(address.sin_port));
  }
  if (any.ss_family == AF_INET6) {
    const auto address = As<sockaddr_in6>(any);
    ::inet_ntop(AF_INET6, &address.sin6_addr, text, sizeof(text));
    return "[" + std::string(text) + "]:" + std::to_string(ntohs(address.sin6_port));
  }
  if (any.ss_family != AF_UNIX || size <= offsetof(sockaddr_un, sun_path)) return "";
  const auto address = As<sockaddr_un>(any);
  const std::size_t bytes =
      std::min(size - offsetof(sockaddr_un, sun_path), sizeof(address.sun_path));
  std::string path(address.sun_path, ::strnlen(address.sun_path, bytes));
  return path.empty() ? "an abstract address" : path;
}

}  // namespace

std::string OtherEndOf(int socket) {
  for (const auto ask : {&::getpeername, &::getsockname}) {
    sockaddr_storage address{};
    socklen_t size = sizeof(address);
    if (ask(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0) continue;
    if (std::string text = ToText(address, size); !text.empty()) return text;
    if (ask == &::getpeername)
      return "a program on this host";  // a pair, or a caller without a name
  }
  return "nobody";
}

std::string_view ClassOf(std::string_view target) {
  constexpr std::pair<std::string_view, std::string_view> kPrefixes[] = {
      {"socket:", "socket"},
      {"pipe:", "pipe"},
      {"anon_inode:[eventpoll]", "eventpoll"},
      {"anon_inode:[eventfd]", "eventfd"},
      {"anon_inode:[timerfd]", "timerfd"},
      {"anon_inode:[signalfd]", "signalfd"},
      {"anon_inode:[pidfd]", "pidfd"},
      {"/dev/", "device"},
      {"/proc/", "proc"},
      {"/", "file"}};
  for (const auto& [prefix, name] : kPrefixes)
    if (target.starts_with(prefix)) return name;
  return "other";
}

std::map<std::string, std::uint64_t> KernelReading::unclaimed() const {
  std::map<std::string, std::uint64_t> counts{{"thread", 0}};
  for (const std::string_view name : kDescriptorClasses) counts["fd_" + std::string(name)] = 0;
  for (const Descriptor& descriptor : descriptors)
    counts["fd_" + std::string(ClassOf(descriptor.target))] += descriptor.claim == 0;
  for (const Task& thread : threads) counts["thread"] += !thread.claimed;
  return counts;
}

std::optional<KernelReading> ReadKernel() {
  KernelReading reading;
  const bool read =
      ForEachNumber("/proc/self/fd", [&](int number, int directory, const char* name) {
        if (number == directory) return;
        char target[256];
        const ssize_t size = ::readlinkat(directory, name, target, sizeof(target));
        if (size <= 0) return;  // closed meanwhile
        reading.descriptors.push_back(
            {number, std::string(target, static_cast<std::size_t>(size)), ClaimOf(number)});
      });
  if (!read) return std::nullopt;
  ForEachNumber("/proc/self/task", [&](int id, int directory, const char* name) {
    reading.threads.push_back(
        {id, ReadName(directory, std::string(name) + "/comm"), IsThreadClaimed(id)});
  });
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
    reading.descriptor_limit = limit.rlim_cur;
  return reading;
}

}  // namespace peermesh::ledger
