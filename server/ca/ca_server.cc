#include "server/ca/ca_server.h"

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <mutex>
#include <optional>
#include <utility>

#include "mesh/base/check.h"
#include "server/ca/authority.h"
#include "server/ca/enrolment_service.h"
#include "server/ca/token_service.h"
#include "server/process/worker.h"
#include "server/config/logging.h"
#include "server/net/acceptor.h"
#include "server/net/hosts.h"
#include "server/store/ca_store.h"
#include "server/tls/credentials.h"

namespace peermesh::ca {
namespace {

constexpr config::Logger kLog("ca");
constexpr int kOperatorStreams = 64;
constexpr int kMaxOperatorMessageBytes = 4 << 20;  // a list of kMaxListedTokens tokens
// Certificates are accepted so long after their expiry that Renew can say how old is too old.
constexpr Duration kHandshakeLateness = std::chrono::hours(24 * 365);

// A gRPC server that is handed its connections.
class Port {
 public:
  Port(grpc::Service* service, const std::shared_ptr<grpc::ServerCredentials>& credentials,
       int streams, int max_message_bytes) {
    grpc::ServerBuilder builder;
    acceptor_ = builder.experimental().AddExternalConnectionAcceptor(
        grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD, credentials);
    builder.RegisterService(service);
    tls::ApplyServerLimits(builder, streams, max_message_bytes);
    const auto age =
        std::chrono::duration_cast<std::chrono::milliseconds>(kCaConnectionAge).count();
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS, static_cast<int>(age));
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, static_cast<int>(age));
    server_ = builder.BuildAndStart();
    PM_CHECK(server_ != nullptr);  // it binds nothing, so nothing can be in its way
  }

  void Take(ledger::UniqueFd fd) {
    const std::lock_guard lock(mutex_);
    if (stopped_) return;  // gRPC would leak it
    grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters connection;
    connection.listener_fd = -1;
    connection.fd = fd.Release();
    acceptor_->HandleNewConnection(&connection);
  }

  void Stop() {
    {
      const std::lock_guard lock(mutex_);
      stopped_ = true;
    }
    server_->Shutdown(std::chrono::system_clock::now() + kStopTime);
    server_->Wait();
  }

 private:
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> acceptor_;
  std::unique_ptr<grpc::Server> server_;
  std::mutex mutex_;
  bool stopped_ = false;
};

WallTime SystemNow() {
  return std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now());
}

// The CA's own certificate follows the real clock: TLS does, whatever a test makes of the rest.
absl::StatusOr<identity::Certificate> IssueOwn(const Authority& authority,
                                               const tls::PrivateKey& key) {
  return authority.Issue(key.spki(),
                         {.role = identity::Role::kCa,
                          .name = std::string(kCaName),
                          .mesh_id = {},
                          .hosts = {},
                          .lifetime = kOwnCertificateLifetime},
                         SystemNow());
}

}  // namespace

struct CaServer::Impl {
  Impl(CaOptions caller_options, Authority opened_authority,
       std::unique_ptr<store::CaStore> opened_store)
      : options(std::move(caller_options)),
        authority(std::move(opened_authority)),
        store(std::move(opened_store)) {
    if (!options.now) options.now = SystemNow;
  }

  absl::Status MakeCredentials() {
    const tls::PrivateKey key = tls::PrivateKey::Make();
    const auto certificate = IssueOwn(authority, key);
    if (!certificate.ok()) return certificate.status();
    tls::CredentialsHooks hooks;
    hooks.on_refused = [](identity::Refusal refusal, tls::Direction) {
      kLog.Warning("handshake refused", {{"reason", identity::ToString(refusal)}});
    };
    auto made = tls::Credentials::Create(key, *certificate, authority.bundle(), std::move(hooks));
    if (!made.ok()) return made.status();
    credentials = *std::move(made);
    return absl::OkStatus();
  }

  // "host" or "host:port" from the options, or what is bound.
  absl::Status SetAddress(const std::string& bound) {
    const auto listening = net::ParseHostPort(bound);
    if (!listening.ok()) return listening.status();
    port = listening->port;
    if (!options.advertise.empty()) {
      const auto advertised = net::ParseHostPort(options.advertise, listening->port);
      if (!advertised.ok()) return advertised.status();
      address = net::FormatHostPort(advertised->host, advertised->port);
      return absl::OkStatus();
    }
    const std::string host =
        net::IsWildcard(listening->host) ? net::InterfaceAddresses().front() : listening->host;
    address = net::FormatHostPort(host, listening->port);
    return absl::OkStatus();
  }

  std::string SocketPath() const { return options.directory + "/ca.sock"; }

  absl::Status Listen();
  void Stop();

  CaOptions options;
  const Authority authority;
  const std::unique_ptr<store::CaStore> store;
  std::unique_ptr<tls::Credentials> credentials;
  int port = 0;
  std::string address;
  bool stopped = false;
  std::unique_ptr<net::Acceptor> acceptor;
  std::optional<Worker> worker;
  std::optional<EnrolmentService> enrolment;
  std::optional<TokenService> tokens;
  std::optional<Port> public_port;
  std::optional<Port> operator_port;
};

absl::Status CaServer::Impl::Listen() {
  PM_CHECK(!acceptor);
  if (absl::Status status = MakeCredentials(); !status.ok()) return status;
  auto made = net::Acceptor::Create();
  if (!made.ok()) return made.status();
  acceptor = *std::move(made);
  // No connection is accepted before Start, so the ports may be built in between.
  const auto bound = acceptor->Listen(
      {.name = "ca", .address = options.listen, .caps = {}, .tls = true},
      [this](net::Accepted accepted) { public_port->Take(std::move(accepted.fd)); });
  if (!bound.ok()) return bound.status();
  if (absl::Status status = SetAddress(*bound); !status.ok()) return status;
  const auto socket = acceptor->Listen(
      {.name = "ca-admin",
       .address = "unix:" + SocketPath(),
       .caps = net::Caps::Local(),
       .unix_mode = 0600},
      [this](net::Accepted accepted) { operator_port->Take(std::move(accepted.fd)); });
  if (!socket.ok()) return socket.status();

  worker.emplace("ca-worker");
  enrolment.emplace(EnrolmentService::Options{.authority = &authority,
                                              .store = store.get(),
                                              .worker = &*worker,
                                              .now = options.now,
                                              .certificate_lifetime = options.certificate_lifetime,
                                              .on_call = [this](const std::string& peer) {
                                                if (const auto id = acceptor->FindByPeer(peer))
                                                  acceptor->Established(*id);
                                              }});
  tokens.emplace(TokenService::Options{.authority = &authority,
                                       .store = store.get(),
                                       .worker = &*worker,
                                       .now = options.now,
                                       .address = address});
  public_port.emplace(
      &*enrolment,
      credentials->ForServer({.certificate_optional = true, .late = kHandshakeLateness}),
      kCaStreams, static_cast<int>(kMaxCaMessageBytes));
  operator_port.emplace(&*tokens, grpc::InsecureServerCredentials(), kOperatorStreams,
                        kMaxOperatorMessageBytes);
  acceptor->Start("ca-accept");
  return absl::OkStatus();
}

void CaServer::Impl::Stop() {
  if (!acceptor || stopped) return;
  stopped = true;
  acceptor->StopListening();
  // Calls under way still need the worker to end.
  if (public_port) public_port->Stop();
  if (operator_port) operator_port->Stop();
  worker.reset();
  acceptor->Stop();
}

absl::StatusOr<std::unique_ptr<CaServer>> CaServer::Open(CaOptions options) {
  const auto missing = options.create ? Authority::Missing::kCreate : Authority::Missing::kRefuse;
  auto authority = Authority::Open(options.directory, missing, SystemNow());
  if (!authority.ok()) return authority.status();
  auto store = store::CaStore::Open(options.directory + "/ca.db");
  if (!store.ok()) return store.status();
  return std::unique_ptr<CaServer>(new CaServer(
      std::make_unique<Impl>(std::move(options), *std::move(authority), *std::move(store))));
}

CaServer::CaServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
CaServer::~CaServer() { Stop(); }

absl::Status CaServer::Listen() { return impl_->Listen(); }
void CaServer::Stop() { impl_->Stop(); }

const std::string& CaServer::mesh_id() const { return impl_->authority.mesh_id(); }
const identity::TrustBundle& CaServer::bundle() const { return impl_->authority.bundle(); }
int CaServer::port() const { return impl_->port; }
const std::string& CaServer::address() const { return impl_->address; }
std::string CaServer::socket() const { return impl_->SocketPath(); }

absl::Status CaServer::Refresh() {
  PM_CHECK(impl_->credentials != nullptr);
  if (impl_->credentials->self().not_after - SystemNow() > kOwnCertificateLifetime / 2) {
    return absl::OkStatus();
  }
  const auto certificate = IssueOwn(impl_->authority, impl_->credentials->key());
  if (!certificate.ok()) return certificate.status();
  return impl_->credentials->Rotate(*certificate);
}

}  // namespace peermesh::ca
