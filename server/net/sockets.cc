#include "server/net/sockets.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>

#include "server/net/holder.h"
#include "server/net/hosts.h"
#include "server/net/kinds.h"

namespace peermesh::net {
namespace {

constexpr std::string_view kUnixPrefix = "unix:";
// Room for a burst while the accept thread is busy; the kernel cuts it to net.core.somaxconn.
constexpr int kBacklog = 1024;
// As long as the HTTP/2 keepalive of both sides waits for an answer.
constexpr unsigned kUserTimeoutMs = 10'000;
// The most that any process may ask for (net.core.wmem_max of Debian); the kernel doubles it. TCP
// grows its buffers by itself, unix sockets do not, and a write that finds no room costs two
// wake-ups.
constexpr int kUnixSendBytes = 212'992;

absl::Status InUse(const std::string& address) {
  std::string holder;
  if (address.starts_with(kUnixPrefix)) {
    holder = HolderOfSocket(address.substr(kUnixPrefix.size()));
  } else if (const auto parsed = ParseHostPort(address); parsed.ok()) {
    holder = HolderOfPort(parsed->port);
  }
  return absl::AlreadyExistsError(fmt::format(
      "Cannot listen on {}: {} ({}). Stop it, or choose another address.", address,
      std::strerror(EADDRINUSE), holder.empty() ? "by a program of another user" : "by " + holder));
}

absl::Status Failed(const std::string& address, int error) {
  if (error == EADDRINUSE) return InUse(address);
  const std::string what = fmt::format("Cannot listen on {}: {}. ", address, std::strerror(error));
  switch (error) {
    case EACCES:
    case EPERM:
      return absl::PermissionDeniedError(what +
                                         "Choose a place this user may use, or a port above 1023.");
    case EADDRNOTAVAIL: return absl::UnavailableError(what + "Choose an address of this host.");
    default:
      return absl::UnavailableError(what + "Check the address and the limits of the process.");
  }
}

ledger::UniqueFd MakeSocket(int family, ledger::Kind kind,
                            ledger::Site site = ledger::Site::Here()) {
  return ledger::UniqueFd(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), kind,
                          ledger::Scope{}, site);
}

bool SomebodyAnswers(const sockaddr_un& name) {
  const ledger::UniqueFd probe = MakeSocket(AF_UNIX, ledger::kBriefFd);
  if (!probe) return true;  // cannot know: leave the file alone
  if (connect(probe.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0) return true;
  return errno != ECONNREFUSED;  // EAGAIN: its backlog is full, so it lives
}

// Makes way for a socket file of our own.
absl::Status RemoveStale(const std::string& address, const sockaddr_un& name) {
  struct stat info;
  if (lstat(name.sun_path, &info) != 0) {
    return errno == ENOENT ? absl::OkStatus() : Failed(address, errno);
  }
  if (!S_ISSOCK(info.st_mode)) {
    return absl::AlreadyExistsError(fmt::format(
        "Cannot listen on {}: a file that is not a socket is there. Move it away.", address));
  }
  if (SomebodyAnswers(name)) return Failed(address, EADDRINUSE);
  if (unlink(name.sun_path) != 0) return Failed(address, errno);
  return absl::OkStatus();
}

absl::StatusOr<ListeningSocket> OpenUnix(const std::string& address, unsigned mode) {
  ListeningSocket result;
  result.address = address;
  result.unix_path = address.substr(kUnixPrefix.size());
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  if (result.unix_path.empty() || result.unix_path.size() >= sizeof name.sun_path) {
    return absl::InvalidArgumentError(fmt::format(
        "The socket path \"{}\" has {} bytes, which must be 1 to {}. Choose a shorter directory.",
        result.unix_path, result.unix_path.size(), sizeof name.sun_path - 1));
  }
  std::memcpy(name.sun_path, result.unix_path.data(), result.unix_path.size());
  if (absl::Status status = RemoveStale(address, name); !status.ok()) return status;
  ledger::UniqueFd fd = MakeSocket(AF_UNIX, kListenerFd);
  if (!fd) return Failed(address, errno);
  // Before bind: the file is never wider open than asked, whatever the umask. After it: nor
  // narrower.
  struct stat info;
  if (fchmod(fd.get(), mode) != 0 ||
      bind(fd.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0 ||
      chmod(name.sun_path, mode) != 0 || lstat(name.sun_path, &info) != 0 ||
      listen(fd.get(), kBacklog) != 0) {
    return Failed(address, errno);
  }
  result.device = info.st_dev;
  result.inode = info.st_ino;
  result.fd = std::move(fd);
  return result;
}

absl::StatusOr<std::string> BoundAddress(int fd, const std::string& wanted) {
  sockaddr_storage bound{};
  socklen_t length = sizeof bound;
  char host[NI_MAXHOST];
  char port[NI_MAXSERV];
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &length) != 0)
    return Failed(wanted, errno);
  if (getnameinfo(reinterpret_cast<const sockaddr*>(&bound), length, host, sizeof host, port,
                  sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    return Failed(wanted, EADDRNOTAVAIL);
  }
  return FormatHostPort(host, static_cast<std::uint16_t>(std::stoi(port)));
}

absl::StatusOr<ListeningSocket> OpenResolved(const std::string& wanted, const addrinfo& where) {
  ledger::UniqueFd fd = MakeSocket(where.ai_family, kListenerFd);
  if (!fd) return Failed(wanted, errno);
  const int one = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (where.ai_family == AF_INET6) {
    const auto& v6 = *reinterpret_cast<const sockaddr_in6*>(where.ai_addr);
    const int only = IN6_IS_ADDR_UNSPECIFIED(&v6.sin6_addr) ? 0 : 1;
    setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only);
  }
  if (bind(fd.get(), where.ai_addr, where.ai_addrlen) != 0 || listen(fd.get(), kBacklog) != 0) {
    return Failed(wanted, errno);
  }
  auto address = BoundAddress(fd.get(), wanted);
  if (!address.ok()) return address.status();
  ListeningSocket result;
  result.address = *std::move(address);
  result.fd = std::move(fd);
  return result;
}

bool HasIpv6() { return static_cast<bool>(MakeSocket(AF_INET6, ledger::kBriefFd)); }

absl::StatusOr<ListeningSocket> OpenTcp(const std::string& address) {
  auto parsed = ParseHostPort(address);
  if (!parsed.ok()) return parsed.status();
  if (parsed->host == "*") parsed->host = "::";
  // A host without IPv6: "all addresses" is then all of IPv4.
  if (parsed->host == "::" && !HasIpv6()) parsed->host = "0.0.0.0";
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* raw = nullptr;
  const int error =
      getaddrinfo(parsed->host.c_str(), std::to_string(parsed->port).c_str(), &hints, &raw);
  if (error != 0) {
    return absl::InvalidArgumentError(
        fmt::format("Cannot listen on {}: the host is unknown ({}). Use an address of this host.",
                    address, gai_strerror(error)));
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> list(raw, freeaddrinfo);
  return OpenResolved(address, *list);
}

// A URI path: gRPC escapes what may not stand there.
std::string Escape(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (c == '[' || c == ']' || c == '%') {
      result += fmt::format("%{:02X}", static_cast<unsigned>(c));
    } else {
      result += c;
    }
  }
  return result;
}

std::string Numeric(const sockaddr_in& v4) {
  char text[INET_ADDRSTRLEN] = {};
  inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
  return text;
}

// An IPv4 connection to a dual-stack socket, as what it is.
bool Unmap(const sockaddr_storage& address, sockaddr_in& v4) {
  if (address.ss_family == AF_INET) {
    std::memcpy(&v4, &address, sizeof v4);
    return true;
  }
  if (address.ss_family != AF_INET6) return false;
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
  if (!IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) return false;
  v4 = {};
  v4.sin_family = AF_INET;
  v4.sin_port = v6.sin6_port;
  std::memcpy(&v4.sin_addr, v6.sin6_addr.s6_addr + 12, sizeof v4.sin_addr);
  return true;
}

}  // namespace

absl::StatusOr<ListeningSocket> OpenListener(const std::string& address, unsigned unix_mode) {
  if (std::string_view(address).substr(0, kUnixPrefix.size()) == kUnixPrefix) {
    return OpenUnix(address, unix_mode);
  }
  return OpenTcp(address);
}

void CloseListener(ListeningSocket& socket) {
  if (!socket.fd) return;
  socket.fd.Close();
  if (socket.unix_path.empty()) return;
  struct stat info;
  const bool ours = lstat(socket.unix_path.c_str(), &info) == 0 && info.st_dev == socket.device &&
                    info.st_ino == socket.inode;
  if (ours) unlink(socket.unix_path.c_str());
}

void SetConnectionOptions(int fd, sa_family_t family) {
  if (family == AF_UNIX) {
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &kUnixSendBytes, sizeof kUnixSendBytes);
    return;
  }
  const int one = 1;
  const unsigned timeout = kUserTimeoutMs;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof timeout);
}

void Refuse(ledger::UniqueFd fd) {
  const linger reset{1, 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
}

std::string PeerText(const sockaddr_storage& address, socklen_t length) {
  sockaddr_in v4;
  if (Unmap(address, v4)) return fmt::format("ipv4:{}:{}", Numeric(v4), ntohs(v4.sin_port));
  if (address.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
    char text[INET6_ADDRSTRLEN] = {};
    inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
    std::string host = text;
    if (v6.sin6_scope_id != 0) host += fmt::format("%{}", v6.sin6_scope_id);
    return "ipv6:" + Escape(fmt::format("[{}]:{}", host, ntohs(v6.sin6_port)));
  }
  const auto& local = reinterpret_cast<const sockaddr_un&>(address);
  const std::size_t header = offsetof(sockaddr_un, sun_path);
  if (length <= header || local.sun_path[0] == '\0') return std::string(kUnixPrefix);
  return std::string(kUnixPrefix) +
         std::string(local.sun_path, strnlen(local.sun_path, length - header));
}

std::string CapKey(const sockaddr_storage& address) {
  sockaddr_in v4;
  if (Unmap(address, v4)) return Numeric(v4);
  if (address.ss_family != AF_INET6) return "unix";
  in6_addr prefix = reinterpret_cast<const sockaddr_in6&>(address).sin6_addr;
  // Loopback shares its /64 with nothing that matters; it keeps its own key all the same.
  if (!IN6_IS_ADDR_LOOPBACK(&prefix)) std::memset(prefix.s6_addr + 8, 0, 8);
  char text[INET6_ADDRSTRLEN] = {};
  inet_ntop(AF_INET6, &prefix, text, sizeof text);
  return text;
}

}  // namespace peermesh::net
