#include "server/ca/call_limiter.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "server/net/sockets.h"

namespace peermesh::ca {

std::string AddressKey(std::string_view peer) {
  constexpr std::string_view kOpen = "ipv6:%5B";  // "[", as gRPC writes it
  const std::string_view address = peer.substr(0, peer.rfind(':'));
  if (!address.starts_with(kOpen)) return std::string(address);
  const std::string_view host = address.substr(kOpen.size());
  sockaddr_storage parsed{};
  auto& v6 = reinterpret_cast<sockaddr_in6&>(parsed);
  v6.sin6_family = AF_INET6;
  const std::string text(host.substr(0, host.find('%')));  // a zone, or the closing bracket
  if (inet_pton(AF_INET6, text.c_str(), &v6.sin6_addr) != 1) return std::string(address);
  return net::CapKey(parsed);
}

std::optional<Duration> CallLimiter::TryTake(const std::string& key, Instant now) {
  if (buckets_.size() >= kMaxKeys && !buckets_.contains(key)) {
    // A bucket that would take a whole burst is full: forgetting it changes no answer.
    std::erase_if(buckets_, [&](const auto& entry) {
      return !entry.second.RefusedUntil(rate_, rate_.burst, now).has_value();
    });
    if (buckets_.size() >= kMaxKeys) return rate_.period;
  }
  const auto until = buckets_[key].TryTake(rate_, 1, now);
  if (!until) return std::nullopt;
  return *until - now;
}

}  // namespace peermesh::ca
