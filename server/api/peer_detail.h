// What is known of one peer, and how long it took to answer, as responses of PeersService.
#ifndef PEERMESH_SERVER_API_PEER_DETAIL_H_
#define PEERMESH_SERVER_API_PEER_DETAIL_H_

#include <map>
#include <string>
#include <vector>

#include "mesh/node/node.h"
#include "peermesh/v1/peers.pb.h"

namespace peermesh::api {

// Who says that the peer is gone: as far as its state calls for an explanation.
std::vector<PeerId> AccusersOf(const node::Node& node, const membership::PeerView& row);

// `names` of the peers of the table, as far as they are known.
v1::GetPeerResponse PeerResponse(const node::PeerDetail& detail,
                                 const std::map<PeerId, std::string>& names);

// For a ping that was answered.
v1::PingPeerResponse PingResponse(const node::Pinged& answer, const std::string& name);

}  // namespace peermesh::api

#endif  // PEERMESH_SERVER_API_PEER_DETAIL_H_
