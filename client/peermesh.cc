#include "client/peermesh.h"

#include <fmt/format.h>
#include <grpcpp/grpcpp.h>

#include <utility>

#include "client/channel.h"
#include "client/paths.h"
#include "mesh/base/limits.h"
#include "peermesh/v1/messaging.grpc.pb.h"
#include "peermesh/v1/peers.grpc.pb.h"

namespace peermesh::client {

Client::Client(Options options, std::shared_ptr<grpc::Channel> channel)
    : options_(std::move(options)), channel_(std::move(channel)) {}
Client::~Client() = default;

absl::StatusOr<std::unique_ptr<Client>> Client::Connect(Options options) {
  if (options.socket.empty() && options.address.empty()) {
    options.socket = FindPaths(Hints::FromEnvironment()).app_socket;
  }
  auto channel = Dial({options.socket, options.address, options.identity}, options.connect_timeout);
  if (!channel.ok()) return channel.status();
  return std::unique_ptr<Client>(new Client(std::move(options), *std::move(channel)));
}

absl::StatusOr<Receipt> Client::Publish(std::string_view subject, std::string_view payload) {
  std::vector<Message> messages(1);
  messages[0].subject = subject;
  messages[0].payload = payload;
  return Publish(std::move(messages));
}

absl::StatusOr<Receipt> Client::Publish(std::vector<Message> messages, std::string_view target) {
  std::size_t bytes = 0;
  v1::PublishRequest request;
  request.set_target(target.data(), target.size());
  for (Message& message : messages) {
    if (auto status = Check(message); !status.ok()) return status;
    bytes += WireBytes(message);
    ToProto(std::move(message), *request.add_messages());
  }
  if (messages.size() > kMaxBatchMessages || bytes > kMaxPublishBytes) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, "BATCH_TOO_LARGE",
        fmt::format(
            "{} messages of {} bytes are too many for one call. Use a session, or at most {} "
            "of {} bytes.",
            messages.size(), bytes, kMaxBatchMessages, kMaxPublishBytes));
  }
  v1::PublishResponse response;
  grpc::ClientContext context;
  PrepareCall(context, options_.label, options_.call_timeout);
  const grpc::Status status =
      v1::MessagingService::NewStub(channel_)->Publish(&context, request, &response);
  if (!status.ok()) return FromGrpc(status);
  return FromProto(response);
}

absl::StatusOr<std::unique_ptr<Session>> Client::Subscribe(
    std::vector<std::string> subjects, std::function<void(const Received&)> handler) {
  SessionOptions options;
  options.subjects = std::move(subjects);
  options.on_events = [handler = std::move(handler)](std::span<Event> events) {
    for (const Event& event : events) {
      if (const auto* received = std::get_if<Received>(&event)) handler(*received);
    }
  };
  return OpenSession(std::move(options));
}

absl::StatusOr<std::unique_ptr<Session>> Client::OpenSession(SessionOptions options) {
  return Session::Open(channel_, options_.label, std::move(options), options_.connect_timeout);
}

absl::StatusOr<v1::ListPeersResponse> Client::ListPeers(const v1::PeerFilter& filter) {
  v1::ListPeersRequest request;
  *request.mutable_filter() = filter;
  v1::ListPeersResponse response;
  grpc::ClientContext context;
  PrepareCall(context, options_.label, options_.call_timeout);
  const grpc::Status status =
      v1::PeersService::NewStub(channel_)->ListPeers(&context, request, &response);
  if (!status.ok()) return FromGrpc(status);
  return response;
}

std::unique_ptr<PeerWatch> Client::WatchPeers(const v1::PeerFilter& filter) {
  return std::unique_ptr<PeerWatch>(new PeerWatch(channel_, options_.label, filter));
}

}  // namespace peermesh::client
