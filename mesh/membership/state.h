// The states of a peer and of the connection to it, and the reasons for them.
#ifndef PEERMESH_MESH_MEMBERSHIP_STATE_H_
#define PEERMESH_MESH_MEMBERSHIP_STATE_H_

#include <cstdint>

namespace peermesh::membership {

// Numbers are those of peermesh.v1.PeerState.
enum class State : std::uint8_t {
  kAlive = 1,
  kSuspect = 2,
  kDead = 3,
  kLeft = 4,
  kUnreachable = 5
};
// Numbers are those of peermesh.v1.ConnectionState.
enum class Connection : std::uint8_t {
  kIdle = 1,
  kConnecting = 2,
  kConnected = 3,
  kDisconnected = 4
};

// Why a peer or its connection is in its state.
enum class StateReason : std::uint8_t {
  kNone = 0,
  kLinkUp,             // a link came up
  kHeardOf,            // others told us; no link was tried yet
  kRemembered,         // known from before the restart
  kLinkClosed,         // the other side closed the link in order
  kLinkBroken,         // reset, end of file or TLS error
  kHeartbeatTimeout,   // silent for too long
  kConnectionRefused,  // nobody listens at its address
  kDialTimeout,
  kDialUnreachable,
  kDialRejected,  // TLS or hello failed
  kGoodbye,       // it said it leaves
  kStalled,       // it stopped reading
  kProtocolError,
};
// "HEARTBEAT_TIMEOUT"; empty for kNone.
const char* ToString(StateReason reason);

}  // namespace peermesh::membership

#endif  // PEERMESH_MESH_MEMBERSHIP_STATE_H_
