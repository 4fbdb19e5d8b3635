// What every channel sets, whatever its credentials. For sources of server/tls only: channels come
// from credentials.h.
#ifndef PEERMESH_SERVER_TLS_CHANNEL_H_
#define PEERMESH_SERVER_TLS_CHANNEL_H_

#include <grpcpp/support/channel_arguments.h>

namespace peermesh::tls {

grpc::ChannelArguments ChannelLimits();

}  // namespace peermesh::tls

#endif  // PEERMESH_SERVER_TLS_CHANNEL_H_
