// Whether a peer can listen where it is told to, asked before anything is made that stays behind: a
// CA, an identity, a mesh, a token that is spent.
//
// From main's thread: host names are looked up. Nothing stays open.
#ifndef PEERMESH_SERVER_PEER_LISTENING_H_
#define PEERMESH_SERVER_PEER_LISTENING_H_

#include "absl/status/status.h"

namespace peermesh::config::v1 {
class Config;
}  // namespace peermesh::config::v1

namespace peermesh {

inline constexpr const char* kListenFlag = "--listen";
inline constexpr const char* kMetricsFlag = "--metrics";
inline constexpr const char* kCaFlag = "--ca-listen";
inline constexpr const char* kRunFlag = "--run-dir";

// What is wrong with an address or socket, and the flag that sets it.
absl::Status SetBy(const char* flag, const absl::Status& wrong);

// Listens on all of them at once, so that two which are the same are found, and closes them again.
// UNAVAILABLE: one cannot be listened on. The port of a CA only if that is new: the one that runs
// beside a peer may outlive it for a moment.
absl::Status CheckListening(const config::v1::Config& config, bool makes_ca);

}  // namespace peermesh

#endif  // PEERMESH_SERVER_PEER_LISTENING_H_
