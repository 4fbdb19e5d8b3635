#include "server/net/hosts.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <memory>

#include "mesh/base/limits.h"

namespace peermesh::net {
namespace {

absl::Status Bad(std::string_view text, std::string_view what) {
  return absl::InvalidArgumentError(fmt::format(
      "\"{}\" is not an address: {}. Write it as host:port, or [address]:port for IPv6.",
      text.substr(0, kMaxAddressBytes), what));
}

// The name of an interface behind "%": what Linux allows, less what would end the address.
bool IsZone(std::string_view zone) {
  return !zone.empty() && zone.size() < IFNAMSIZ &&
         std::all_of(zone.begin(), zone.end(), [](char c) {
           return c > ' ' && c < 127 && std::string_view("[]:%/").find(c) == std::string_view::npos;
         });
}

bool IsIpv6(std::string_view host) {
  in6_addr address;
  // A zone ("%eth0") is for the kernel, not for inet_pton.
  const std::size_t percent = host.find('%');
  if (percent != std::string_view::npos && !IsZone(host.substr(percent + 1))) return false;
  const std::string bare(host.substr(0, percent));
  // inet_pton would see the end of the text in a zero byte.
  return bare.find('\0') == std::string::npos && inet_pton(AF_INET6, bare.c_str(), &address) == 1;
}

bool IsNameOrIpv4(std::string_view host) {
  return !host.empty() && std::all_of(host.begin(), host.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_';
  });
}

std::optional<std::uint16_t> ParsePort(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return port;
}

// How little one wants to be found at an address; 0 is best.
enum class Rank : std::uint8_t { kIpv4, kIpv6, kIpv4LinkLocal, kIpv4Loopback, kUnusable };

Rank RankOf(const sockaddr& address, unsigned flags) {
  if (address.sa_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    const std::uint32_t bits = ntohl(v4.sin_addr.s_addr);
    if ((flags & IFF_LOOPBACK) != 0 || bits >> 24 == 127) return Rank::kIpv4Loopback;
    if (bits >> 16 == 0xa9fe) return Rank::kIpv4LinkLocal;  // 169.254.0.0/16
    return Rank::kIpv4;
  }
  if (address.sa_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
    // A link-local IPv6 address means nothing without this host's name for the interface.
    const bool local = IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr) || IN6_IS_ADDR_LINKLOCAL(&v6.sin6_addr);
    if ((flags & IFF_LOOPBACK) != 0 || local) return Rank::kUnusable;
    return Rank::kIpv6;
  }
  return Rank::kUnusable;
}

std::string Text(const sockaddr& address) {
  char text[INET6_ADDRSTRLEN] = {};
  const void* bytes =
      address.sa_family == AF_INET
          ? static_cast<const void*>(&reinterpret_cast<const sockaddr_in&>(address).sin_addr)
          : static_cast<const void*>(&reinterpret_cast<const sockaddr_in6&>(address).sin6_addr);
  return inet_ntop(address.sa_family, bytes, text, sizeof text) != nullptr ? text : "";
}

}  // namespace

absl::StatusOr<HostPort> ParseHostPort(std::string_view text,
                                       std::optional<std::uint16_t> default_port) {
  if (text.size() > kMaxAddressBytes) return Bad(text, "it is too long");
  HostPort result;
  std::string_view port;
  bool has_port = false;
  if (!text.empty() && text.front() == '[') {
    const std::size_t close = text.find(']');
    if (close == std::string_view::npos) return Bad(text, "the bracket is not closed");
    result.host = text.substr(1, close - 1);
    std::string_view rest = text.substr(close + 1);
    if (!IsIpv6(result.host)) return Bad(text, "what is in the brackets is not an IPv6 address");
    if (!rest.empty() && rest.front() != ':')
      return Bad(text, "after the bracket only a port may follow");
    has_port = !rest.empty();
    if (has_port) port = rest.substr(1);
  } else if (default_port && IsIpv6(text)) {
    result.host = text;
  } else {
    const std::size_t colon = text.find(':');
    has_port = colon != std::string_view::npos;
    result.host = text.substr(0, colon);
    if (has_port) port = text.substr(colon + 1);
    if (result.host != "*" && !IsNameOrIpv4(result.host))
      return Bad(text, "the host part is not a host");
  }
  if (!has_port) {
    if (!default_port) return Bad(text, "the port is missing");
    result.port = *default_port;
    return result;
  }
  const auto number = ParsePort(port);
  if (!number) return Bad(text, "the port is not a number from 0 to 65535");
  result.port = *number;
  return result;
}

std::string FormatHostPort(std::string_view host, std::uint16_t port) {
  const bool brackets = host.find(':') != std::string_view::npos;
  return brackets ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
}

bool IsWildcard(std::string_view host) {
  if (host == "*") return true;
  const std::string text(host);
  in_addr v4;
  if (inet_pton(AF_INET, text.c_str(), &v4) == 1) return v4.s_addr == INADDR_ANY;
  in6_addr v6;
  if (inet_pton(AF_INET6, text.c_str(), &v6) == 1) return IN6_IS_ADDR_UNSPECIFIED(&v6);
  return false;
}

std::vector<std::string> InterfaceAddresses() {
  ifaddrs* raw = nullptr;
  if (getifaddrs(&raw) != 0) return {"127.0.0.1"};
  const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> list(raw, freeifaddrs);
  std::vector<std::pair<Rank, std::string>> found;
  for (const ifaddrs* i = list.get(); i != nullptr; i = i->ifa_next) {
    if (i->ifa_addr == nullptr || (i->ifa_flags & IFF_UP) == 0) continue;
    const Rank rank = RankOf(*i->ifa_addr, i->ifa_flags);
    if (rank != Rank::kUnusable) found.emplace_back(rank, Text(*i->ifa_addr));
  }
  if (found.empty()) return {"127.0.0.1"};
  std::stable_sort(found.begin(), found.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  const Rank best = found.front().first;
  std::vector<std::string> result;
  for (const auto& [rank, text] : found) {
    const bool good = rank <= Rank::kIpv6 || rank == best;
    if (good && result.size() < kMaxAddressesPerPeer) result.push_back(text);
  }
  return result;
}

}  // namespace peermesh::net
