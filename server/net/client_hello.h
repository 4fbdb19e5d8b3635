// What the first bytes of a connection are: a look at a TLS ClientHello before anybody spends
// memory on the connection. Sources: RFC 8446, sections 4.1.2, 4.2.1 and 5.1.
//
// It only turns away what can never become TLS 1.3; everything else is for the TLS library to
// judge. Stateless; reads nothing beyond `bytes`.
#ifndef PEERMESH_SERVER_NET_CLIENT_HELLO_H_
#define PEERMESH_SERVER_NET_CLIENT_HELLO_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace peermesh::net {

// The longest first record there can be: a header and 2^14 bytes.
inline constexpr std::size_t kMaxFirstRecord = 5 + 16384;

enum class FirstBytes : std::uint8_t {
  kIncomplete,  // could still become either
  kTls,         // the client offers TLS 1.3, or what it sent is for the TLS library to judge
  kOldTls,      // a ClientHello that does not offer TLS 1.3
  kNotTls,
};

FirstBytes Classify(std::string_view bytes);

// The fatal alert "protocol_version", for a client that offers no TLS 1.3.
std::string_view ProtocolVersionAlert();

}  // namespace peermesh::net

#endif  // PEERMESH_SERVER_NET_CLIENT_HELLO_H_
