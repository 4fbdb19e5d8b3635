// Where Prometheus finds every peer: /targets on the metrics listener of any of them, in the form
// of its http_sd_configs. One address is enough; it keeps what it was told last while that one is
// away.
//
//   [{"targets": ["10.0.0.7:9464"],
//     "labels": {"__meta_peermesh_mesh": "...", "__meta_peermesh_peer_id": "...",
//                "__meta_peermesh_peer_name": "beta", "__meta_peermesh_state": "alive"}}, ...]
//
// Rules:
//   - A peer says in its signed record where its metrics are, so a list is as good as that of
//   peers:
//     nobody can name a target for somebody else.
//   - Dead, suspect and unreachable peers stay: that they do not answer is what an alert is for.
//   They
//     go when the mesh forgets them (kPeerMemory), and at once when they leave in good order.
//   - Metrics on loopback are listed for peers on the host of the one that is asked, because for
//     everybody else that address is another machine; metrics that are off, never.
//   - One address is listed once: for the peer itself, then for whoever is most alive.
//
// Thread-safe. Bounds: kMaxPeers entries.
#ifndef PEERMESH_SERVER_OBSERVE_TARGETS_H_
#define PEERMESH_SERVER_OBSERVE_TARGETS_H_

#include <string>
#include <string_view>
#include <vector>

#include "mesh/membership/members.h"

namespace peermesh {

// What a record says of a metrics listener: a wildcard is replaced by the first of `advertised`
// that is a name or an IPv4 address, because the listener speaks no IPv6. Empty if there is none,
// or if the metrics are off.
std::string AdvertisedMetrics(const std::string& listening,
                              const std::vector<std::string>& advertised);

// `peers` has the asked peer itself and all it knows.
std::string TargetsJson(const std::vector<membership::PeerView>& peers, std::string_view mesh_id);

// "alive", "unreachable": the label of metrics, too.
const char* NameOf(membership::State state);

}  // namespace peermesh

#endif  // PEERMESH_SERVER_OBSERVE_TARGETS_H_
