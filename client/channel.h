// Connections to a peer, and the plain calls that need no library around them. Internal to client/.
#ifndef PEERMESH_CLIENT_CHANNEL_H_
#define PEERMESH_CLIENT_CHANNEL_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "mesh/base/time.h"

namespace grpc {
class Channel;
class ClientContext;
}  // namespace grpc

namespace peermesh::client {

// A socket, or an address with the directory of a client identity.
struct Endpoint {
  std::string socket;
  std::string address;
  std::string identity;
};

// A connected channel. NOT_CONNECTED (UNAVAILABLE; PERMISSION_DENIED for a socket one may not open)
// with the reason and what to do; BAD_IDENTITY and BAD_OPTIONS for what the caller gave.
absl::StatusOr<std::shared_ptr<grpc::Channel>> Dial(const Endpoint& endpoint, Duration timeout);

// Label and deadline of a unary call.
void PrepareCall(grpc::ClientContext& context, const std::string& label, Duration timeout);

// grpc.health.v1: whether `service` ("": the peer as a whole) is serving. NOT_FOUND for an unknown
// service.
absl::StatusOr<bool> CheckHealth(const std::shared_ptr<grpc::Channel>& channel,
                                 const std::string& service, Duration timeout);

}  // namespace peermesh::client

#endif  // PEERMESH_CLIENT_CHANNEL_H_
