#include "client/channel.h"

#include <fmt/format.h>
#include <google/protobuf/wrappers.pb.h>
#include <grpc/grpc.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/codegen/proto_utils.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <mutex>
#include <optional>
#include <string_view>
#include <utility>

#include "client/errors.h"
#include "client/kinds.h"
#include "metrics/ledger/fd.h"
#include "server/tls/credentials.h"
#include "server/tls/material.h"

namespace peermesh::client {
namespace {

absl::Status NotConnected(std::string_view message) {
  return MakeError(absl::StatusCode::kUnavailable, "NOT_CONNECTED", message);
}

// Why a socket cannot be opened, in words: gRPC would only say that it could not connect.
absl::Status TrySocket(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, "BAD_OPTIONS",
        fmt::format("The socket path {} is longer than the {} bytes a unix socket may have. Use a "
                    "shorter --run-dir.",
                    path, sizeof(address.sun_path) - 1));
  }
  path.copy(address.sun_path, path.size());
  const ledger::UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), ledger::kBriefFd,
                            ledger::Scope{});
  if (!fd) return NotConnected(fmt::format("No socket can be made: {}.", std::strerror(errno)));
  const bool connected =
      connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  const int error = errno;
  if (connected) return absl::OkStatus();
  switch (error) {
    case ENOENT:
      return NotConnected(
          fmt::format("There is no socket {}. Start a peer with \"peermesh up\", or name its "
                      "--data-dir, --run-dir or --socket.",
                      path));
    case ECONNREFUSED:
      return NotConnected(
          fmt::format("Nobody listens on {}. Start the peer again with \"peermesh up\".", path));
    case EACCES:
    case EPERM:
      return MakeError(
          absl::StatusCode::kPermissionDenied, "SOCKET_DENIED",
          fmt::format("You may not open {}. Run as the user of the peer, or join the group of the "
                      "socket.",
                      path));
    default:
      return NotConnected(
          fmt::format("{} cannot be opened: {}. Check the path.", path, std::strerror(error)));
  }
}

bool BecomesReady(grpc::Channel& channel, std::chrono::system_clock::time_point deadline) {
  for (;;) {
    const grpc_connectivity_state state = channel.GetState(true);
    if (state == GRPC_CHANNEL_READY) return true;
    if (state == GRPC_CHANNEL_TRANSIENT_FAILURE || state == GRPC_CHANNEL_SHUTDOWN) return false;
    if (!channel.WaitForStateChange(state, deadline)) return false;
  }
}

// The same channel, booked for as long as anybody holds it.
std::shared_ptr<grpc::Channel> Booked(std::shared_ptr<grpc::Channel> channel,
                                      const std::string& target) {
  const auto booking = std::make_shared<ledger::Handle>(ledger::Handle(kChannel, ledger::Scope{}));
  booking->Note(target);
  grpc::Channel* const raw = channel.get();
  return {raw, [channel = std::move(channel), booking](grpc::Channel*) { booking->End(); }};
}

// Why the other side was refused, told by the handshake on one of gRPC's threads.
struct Refused {
  std::mutex mutex;
  std::optional<identity::Refusal> why;
};

// "host:port" or "[v6]:port"; whether the host exists is for the resolver to say.
bool HasPort(std::string_view address) {
  const std::size_t colon = address.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return false;
  const std::string_view host = address.substr(0, colon), port = address.substr(colon + 1);
  const bool bracketed = host.front() == '[' && host.back() == ']';
  return !port.empty() && port.find_first_not_of("0123456789") == std::string_view::npos &&
         (bracketed || host.find(':') == std::string_view::npos);
}

absl::StatusOr<std::shared_ptr<grpc::Channel>> DialAddress(const Endpoint& endpoint,
                                                           Duration timeout) {
  if (!HasPort(endpoint.address)) {
    return MakeError(absl::StatusCode::kInvalidArgument, "BAD_OPTIONS",
                     fmt::format("\"{:.80}\" has no port. Write host:port, or [address]:port for "
                                 "IPv6; peers listen on 7443 by default.",
                                 endpoint.address));
  }
  if (endpoint.identity.empty()) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, "BAD_OPTIONS",
        fmt::format(
            "A connection to {} needs an identity. Make one with \"peermesh client add NAME\" "
            "beside the CA and name its directory with --identity.",
            endpoint.address));
  }
  auto material = tls::LoadMaterial(endpoint.identity);
  if (!material.ok()) {
    return MakeError(material.status().code(), "BAD_IDENTITY",
                     std::string(material.status().message()));
  }
  auto refused = std::make_shared<Refused>();
  tls::CredentialsHooks hooks;
  hooks.on_refused = [refused](identity::Refusal why, tls::Direction) {
    const std::lock_guard lock(refused->mutex);
    refused->why = why;
  };
  auto credentials = tls::Credentials::Create(material->key, material->certificate,
                                              material->bundle, std::move(hooks));
  if (!credentials.ok()) {
    return MakeError(credentials.status().code(), "BAD_IDENTITY",
                     std::string(credentials.status().message()));
  }
  auto channel = Booked((*credentials)->Dial(endpoint.address, {}), endpoint.address);
  if (BecomesReady(*channel, std::chrono::system_clock::now() + timeout)) return channel;
  const std::lock_guard lock(refused->mutex);
  if (refused->why) {
    return MakeError(absl::StatusCode::kUnauthenticated, "PEER_REFUSED",
                     fmt::format("{} is not a peer this identity trusts. {}", endpoint.address,
                                 identity::Explain(*refused->why)));
  }
  return NotConnected(fmt::format(
      "{} cannot be reached. Check the address, and that the peer runs and accepts this "
      "identity.",
      endpoint.address));
}

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::Channel>> Dial(const Endpoint& endpoint, Duration timeout) {
  // gRPC shuts down with its last object, and then may wait ten seconds for a poller of its own.
  // One reference that is never given back keeps it up until the process ends.
  static const bool kept = (grpc_init(), true);
  static_cast<void>(kept);
  if (!endpoint.socket.empty() && !endpoint.address.empty()) {
    return MakeError(absl::StatusCode::kInvalidArgument, "BAD_OPTIONS",
                     "Both a socket and an address are given. Give one of them.");
  }
  if (!endpoint.address.empty()) return DialAddress(endpoint, timeout);
  if (auto status = TrySocket(endpoint.socket); !status.ok()) return status;
  auto channel = Booked(tls::DialSocket(endpoint.socket), endpoint.socket);
  if (BecomesReady(*channel, std::chrono::system_clock::now() + timeout)) return channel;
  return NotConnected(fmt::format(
      "Somebody listens on {} but does not answer. See whether the process is stopped or stuck, "
      "and its log.",
      endpoint.socket));
}

void PrepareCall(grpc::ClientContext& context, const std::string& label, Duration timeout) {
  context.AddMetadata("peermesh-client", label);
  context.set_deadline(std::chrono::system_clock::now() + timeout);
}

absl::StatusOr<bool> CheckHealth(const std::shared_ptr<grpc::Channel>& channel,
                                 const std::string& service, Duration timeout) {
  // HealthCheckRequest{string service = 1} and HealthCheckResponse{enum status = 1} look like these
  // on the wire; their own definitions are not in Debian's C++ headers.
  using Request = google::protobuf::StringValue;
  using Response = google::protobuf::Int32Value;
  constexpr int kServing = 1;
  grpc::TemplatedGenericStub<Request, Response> stub(channel);
  grpc::ClientContext context;
  PrepareCall(context, "peermesh-health", timeout);
  grpc::CompletionQueue queue;
  Request request;
  request.set_value(service);
  auto call = stub.PrepareUnaryCall(&context, "/grpc.health.v1.Health/Check", request, &queue);
  Response response;
  grpc::Status status;
  call->StartCall();
  call->Finish(&response, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  queue.Shutdown();
  while (queue.Next(&tag, &ok)) continue;
  if (!status.ok()) return FromGrpc(status);
  return response.value() == kServing;
}

}  // namespace peermesh::client
