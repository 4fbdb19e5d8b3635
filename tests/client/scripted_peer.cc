#include "tests/client/scripted_peer.h"

#include <cstdlib>
#include <filesystem>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "mesh/base/check.h"
#include "server/tls/credentials.h"

namespace peermesh::client {

grpc::Status RefusalOf(grpc::StatusCode code, std::string_view reason, std::string_view message,
                       Duration retry) {
  google::rpc::Status status;
  status.set_code(code);
  status.set_message(std::string(message));
  google::rpc::ErrorInfo info;
  info.set_reason(std::string(reason));
  info.set_domain("peermesh");
  status.add_details()->PackFrom(info);
  if (retry > Duration::zero()) {
    google::rpc::RetryInfo wait;
    wait.mutable_retry_delay()->set_nanos(static_cast<std::int32_t>(retry.count() * 1000));
    status.add_details()->PackFrom(wait);
  }
  return {code, status.message(), status.SerializeAsString()};
}

TempDir::TempDir() {
  std::string name = std::filesystem::temp_directory_path() / "peermesh-test-XXXXXX";
  PM_CHECK(mkdtemp(name.data()) != nullptr);
  path_ = name;
}
TempDir::~TempDir() { std::filesystem::remove_all(path_); }

struct ScriptedPeer::Services {
  explicit Services(ScriptedPeer& peer) : messaging(peer), peers(peer), admin(peer) {}

  struct Messaging final : v1::MessagingService::Service {
    explicit Messaging(ScriptedPeer& p) : peer(p) {}
    grpc::Status Publish(grpc::ServerContext*, const v1::PublishRequest* request,
                         v1::PublishResponse* response) override {
      if (!peer.on_publish) return grpc::Status(grpc::StatusCode::UNIMPLEMENTED, "no script");
      return peer.on_publish(*request, *response);
    }
    grpc::Status Exchange(grpc::ServerContext*, ExchangeStream* stream) override {
      if (!peer.on_exchange) return grpc::Status(grpc::StatusCode::UNIMPLEMENTED, "no script");
      return peer.on_exchange(*stream);
    }
    ScriptedPeer& peer;
  };
  struct Peers final : v1::PeersService::Service {
    explicit Peers(ScriptedPeer& p) : peer(p) {}
    grpc::Status ListPeers(grpc::ServerContext*, const v1::ListPeersRequest*,
                           v1::ListPeersResponse* response) override {
      if (!peer.on_list) return grpc::Status(grpc::StatusCode::UNIMPLEMENTED, "no script");
      return peer.on_list(*response);
    }
    grpc::Status WatchPeers(grpc::ServerContext*, WatchStream* stream) override {
      if (!peer.on_watch) return grpc::Status(grpc::StatusCode::UNIMPLEMENTED, "no script");
      return peer.on_watch(*stream);
    }
    ScriptedPeer& peer;
  };
  struct Admin final : v1::AdminService::Service {
    explicit Admin(ScriptedPeer& p) : peer(p) {}
    grpc::Status GetStatus(grpc::ServerContext*, const v1::GetStatusRequest*,
                           v1::GetStatusResponse* response) override {
      if (!peer.on_status) return grpc::Status(grpc::StatusCode::UNIMPLEMENTED, "no script");
      return peer.on_status(*response);
    }
    grpc::Status Drain(grpc::ServerContext*, const v1::DrainRequest* request,
                       v1::DrainResponse*) override {
      if (!peer.on_drain) return grpc::Status(grpc::StatusCode::UNIMPLEMENTED, "no script");
      return peer.on_drain(*request);
    }
    grpc::Status Reload(grpc::ServerContext*, const v1::ReloadRequest*,
                        v1::ReloadResponse* response) override {
      if (!peer.on_reload) return grpc::Status(grpc::StatusCode::UNIMPLEMENTED, "no script");
      return peer.on_reload(*response);
    }
    ScriptedPeer& peer;
  };

  Messaging messaging;
  Peers peers;
  Admin admin;
};

ScriptedPeer::ScriptedPeer(std::string socket)
    : socket_(std::move(socket)), services_(std::make_unique<Services>(*this)) {}
ScriptedPeer::~ScriptedPeer() { Stop(); }

void ScriptedPeer::Start() {
  grpc::EnableDefaultHealthCheckService(true);
  grpc::ServerBuilder builder;
  tls::ApplyServerLimits(builder, 1024, 4 << 20);
  builder.AddListeningPort("unix:" + socket_, grpc::InsecureServerCredentials());
  builder.RegisterService(&services_->messaging);
  builder.RegisterService(&services_->peers);
  builder.RegisterService(&services_->admin);
  server_ = builder.BuildAndStart();
  PM_CHECK(server_ != nullptr);
}

void ScriptedPeer::Stop() {
  if (!server_) return;
  server_->Shutdown(std::chrono::system_clock::now());
  server_.reset();
}

v1::ExchangeRequest ScriptedPeer::Read(ExchangeStream& stream) {
  v1::ExchangeRequest request;
  stream.Read(&request);
  return request;
}

void ScriptedPeer::Welcome(ExchangeStream& stream) {
  PM_CHECK(Read(stream).has_hello());
  v1::ExchangeResponse response;
  response.mutable_welcome()->set_peer_name("scripted");
  stream.Write(response);
}

v1::ExchangeRequest ScriptedPeer::Confirm(ExchangeStream& stream) {
  v1::ExchangeRequest request = Read(stream);
  v1::ExchangeResponse response;
  auto& subscribed = *response.add_subscribed();
  for (const auto& subscription : request.subscribe()) subscribed.add_ids(subscription.id());
  stream.Write(response);
  return request;
}

void ScriptedPeer::Deliver(ExchangeStream& stream, std::string_view subject,
                           std::string_view payload, std::uint64_t sequence) {
  v1::ExchangeResponse response;
  auto& message = *response.add_messages();
  message.set_subject(std::string(subject));
  message.set_payload(std::string(payload));
  auto& run = *response.add_deliveries();
  run.set_count(1);
  run.set_origin(std::string(32, 'o'));
  run.set_origin_name("beta");
  run.set_first_sequence(sequence);
  run.add_matched(1);
  stream.Write(response);
}

void ScriptedPeer::Answer(ExchangeStream& stream, std::uint64_t publish_id) {
  v1::ExchangeResponse response;
  auto& published = *response.add_published();
  published.set_publish_id(publish_id);
  published.mutable_accepted()->set_interested_peers(2);
  stream.Write(response);
}

void ScriptedPeer::WaitForEnd(ExchangeStream& stream) {
  v1::ExchangeRequest request;
  while (stream.Read(&request)) continue;
}

}  // namespace peermesh::client
