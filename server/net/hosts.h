// Addresses as people write them: "host:port", "[v6]:port".
//
// Thread-safe; nothing here resolves a name or waits.
#ifndef PEERMESH_SERVER_NET_HOSTS_H_
#define PEERMESH_SERVER_NET_HOSTS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace peermesh::net {

struct HostPort {
  std::string host;  // a DNS name, an IPv4 address, or an IPv6 address without brackets
  std::uint16_t port = 0;

  friend bool operator==(const HostPort&, const HostPort&) = default;
};

// Accepts "name:port", "1.2.3.4:port" and "[v6]:port"; an IPv6 address needs its brackets. Without
// a port the default is used, if there is one: then "name", "1.2.3.4", "[v6]" and a bare "v6" will
// do. At most kMaxAddressBytes bytes.
absl::StatusOr<HostPort> ParseHostPort(std::string_view text,
                                       std::optional<std::uint16_t> default_port = std::nullopt);

// The form that ParseHostPort takes back.
std::string FormatHostPort(std::string_view host, std::uint16_t port);

// True for addresses that mean "all of this host": "0.0.0.0", "::" in any spelling, and "*".
bool IsWildcard(std::string_view host);

// Addresses other hosts may reach this one at: IPv4 first, then IPv6, each in the order of the
// interfaces, at most kMaxAddressesPerPeer. Neither loopback nor link-local ones unless there is
// nothing else; then 127.0.0.1 at least.
std::vector<std::string> InterfaceAddresses();

}  // namespace peermesh::net

#endif  // PEERMESH_SERVER_NET_HOSTS_H_
