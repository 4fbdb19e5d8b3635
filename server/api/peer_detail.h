// What is known of one peer, and how long it took to answer, as responses of PeersService.
#ifndef PEERMESH_SERVER_API_PEER_DETAIL_H_
#define PEERMESH_SERVER_API_PEER_DETAIL_H_

#include <map>
#include <string>

#include "mesh/node/node.h"
#include "peermesh/v1/peers.pb.h"

namespace peermesh::api {

// `names` of the peers of the table, as far as they are known.
v1::GetPeerResponse PeerResponse(const node::PeerDetail& detail,
                                 const std::map<PeerId, std::string>& names);

// For a ping that was answered.
v1::PingPeerResponse PingResponse(const node::Pinged& answer, const std::string& name);

}  // namespace peermesh::api

#endif  // PEERMESH_SERVER_API_PEER_DETAIL_H_
