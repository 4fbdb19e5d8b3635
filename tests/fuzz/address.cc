// "host:port" as people write it. Three readers of it must not contradict each other.
#include "mesh/base/check.h"
#include "mesh/base/limits.h"
#include "mesh/identity/token.h"
#include "server/config/config.h"
#include "server/net/hosts.h"
#include "tests/fuzz/fuzz.h"

namespace peermesh::fuzz {

void Try(std::string_view input) {
  for (const std::optional<std::uint16_t> port :
       {std::optional<std::uint16_t>(), std::optional<std::uint16_t>(7443)}) {
    const auto parsed = net::ParseHostPort(input, port);
    if (!parsed.ok()) {
      PM_CHECK(!parsed.status().message().empty());
      PM_CHECK(parsed.status().message().size() < kMaxAddressBytes + 256);
      continue;
    }
    PM_CHECK(input.size() <= kMaxAddressBytes && !parsed->host.empty());
    const std::string formatted = net::FormatHostPort(parsed->host, parsed->port);
    // A host that fills the bound alone has no room for the port it was given.
    if (formatted.size() > kMaxAddressBytes) continue;
    const auto again = net::ParseHostPort(formatted);
    PM_CHECK(again.ok() && *again == *parsed);
  }
  // What a configuration may hold, the accept loop must be able to listen on.
  if (config::IsListenAddress(input)) PM_CHECK(net::ParseHostPort(input).ok());
}

}  // namespace peermesh::fuzz
