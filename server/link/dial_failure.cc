#include "server/link/dial_failure.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <initializer_list>

#include "server/net/hosts.h"

namespace peermesh::link {
namespace {

using node::DialFailure;

constexpr int kDeadlineExceeded = 4;
constexpr int kUnavailable = 14;

bool HasOneOf(std::string_view text, std::initializer_list<std::string_view> words) {
  for (const std::string_view word : words) {
    if (text.find(word) != std::string_view::npos) return true;
  }
  return false;
}

}  // namespace

DialFailure DialFailureOf(int code, std::string_view message) {
  if (code == kDeadlineExceeded) return DialFailure::kTimeout;
  if (code != kUnavailable) return DialFailure::kRejected;  // a status the other side chose
  // Texts of our verifier, then of strerror and gRPC 1.51.
  if (HasOneOf(message, {"wrong_peer"})) return DialFailure::kWrongPeer;
  if (HasOneOf(message, {"verification check failed", "Handshake failed", "SSL_ERROR", "Ssl"})) {
    return DialFailure::kRejected;
  }
  if (HasOneOf(message, {"Connection refused", "No such file or directory"})) {
    return DialFailure::kRefused;
  }
  if (HasOneOf(message, {"No route to host", "Network is unreachable", "Host is unreachable",
                         "DNS resolution failed", "Name or service not known"})) {
    return DialFailure::kUnreachable;
  }
  if (HasOneOf(message, {"timed out", "timeout", "Timeout"})) return DialFailure::kTimeout;
  return DialFailure::kTransport;
}

std::optional<std::string> TargetOf(const std::string& address) {
  const auto parsed = net::ParseHostPort(address);
  if (!parsed.ok()) return std::nullopt;
  in6_addr binary;
  if (inet_pton(AF_INET, parsed->host.c_str(), &binary) == 1) {
    return fmt::format("ipv4:{}:{}", parsed->host, parsed->port);
  }
  if (inet_pton(AF_INET6, parsed->host.c_str(), &binary) == 1) {
    return fmt::format("ipv6:%5B{}%5D:{}", parsed->host,
                       parsed->port);  // a URI has no room for brackets
  }
  return fmt::format("dns:///{}:{}", parsed->host, parsed->port);
}

}  // namespace peermesh::link
