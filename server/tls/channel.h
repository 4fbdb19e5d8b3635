// How every channel is made, whatever its credentials. For sources of server/tls: others get
// channels from credentials.h.
//
// gRPC enters a channel into channelz before its constructor is done, and whoever asks channelz for
// all channels at that moment calls a pure virtual function, which ends the process. So no channel
// is made while somebody asks.
#ifndef PEERMESH_SERVER_TLS_CHANNEL_H_
#define PEERMESH_SERVER_TLS_CHANNEL_H_

#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <memory>
#include <mutex>
#include <string>

namespace peermesh::tls {

grpc::ChannelArguments ChannelLimits();

std::shared_ptr<grpc::Channel> MakeChannel(
    const std::string& target, const std::shared_ptr<grpc::ChannelCredentials>& credentials,
    const grpc::ChannelArguments& arguments);

// To be held while asking channelz for all channels.
std::mutex& ChannelsBeingMade();

}  // namespace peermesh::tls

#endif  // PEERMESH_SERVER_TLS_CHANNEL_H_
