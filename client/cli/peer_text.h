// Rows of the peer table in words.
#ifndef PEERMESH_CLIENT_CLI_PEER_TEXT_H_
#define PEERMESH_CLIENT_CLI_PEER_TEXT_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "client/cli/output.h"
#include "mesh/base/time.h"

namespace google::protobuf {
class Timestamp;
}
namespace peermesh::v1 {
class Peer;
}

namespace peermesh::cli {

inline constexpr std::size_t kShortId = 8;         // what people see of an id
inline constexpr std::size_t kShortestPrefix = 4;  // of an id, as a peer takes it for a target, too

WallTime Now();

// "PEER_STATE_ALIVE" without its prefix, in lower case; "-" for "unspecified".
std::string Lower(const std::string& name, std::string_view prefix);

// "dead (heartbeat_timeout)", and how it is shown.
Cell StateOf(const v1::Peer& peer);
// "self", "connected out", "disconnected (connection_refused)".
std::string ConnectionOf(const v1::Peer& peer);
bool IsConnected(const v1::Peer& peer);

// In whole seconds: how long ago, and in how long.
std::string Since(WallTime now, const google::protobuf::Timestamp& time);
std::string Until(WallTime now, const google::protobuf::Timestamp& time);

}  // namespace peermesh::cli

#endif  // PEERMESH_CLIENT_CLI_PEER_TEXT_H_
