#include "server/peer/servers.h"

#include <algorithm>
#include <array>
#include <set>

#include "mesh/base/limits.h"
#include "peermesh/config/v1/config.pb.h"
#include "server/config/logging.h"
#include "server/peer/listening.h"
#include "server/tls/process.h"

namespace peermesh {
namespace {

using api::Caller;

constexpr config::Logger kNetLog("net");

// Operators and their tools.
constexpr std::size_t kAdminConnections = 64;
// Every connection taken has two descriptors, ours and gRPC's. Links dialled out, their successors,
// files and what gRPC needs take the rest: guess.
constexpr std::size_t kOwnDescriptors = 256;
constexpr std::size_t kMinAppConnections = 16;

// As many connections of applications as there are descriptors for.
std::size_t AppConnections(std::size_t mesh_connections) {
  const std::size_t wanted = net::Caps::Local().max_connections;
  const std::size_t limit = tls::DescriptorLimit();
  const std::size_t others = kOwnDescriptors + 2 * (kAdminConnections + mesh_connections);
  const std::size_t left = limit > others ? (limit - others) / 2 : 0;
  if (left >= wanted) return wanted;
  const std::size_t most = std::max(left, kMinAppConnections);
  kNetLog.Warning("few open files are permitted", {{"limit", limit}, {"app_connections", most}});
  return most;
}

struct Way {
  const char* name;
  Caller caller;
  link::DoorKind kind;
};
constexpr std::array kWays{Way{"mesh", Caller::kPeer, link::DoorKind::kTls},
                           Way{"app", Caller::kAppSocket, link::DoorKind::kSocket},
                           Way{"admin", Caller::kAdminSocket, link::DoorKind::kOwnerSocket}};

// What somebody may ask for who comes that way: over the mesh port, whatever a certificate permits.
std::vector<std::string> ServicesFor(Caller way) {
  std::set<std::string> services;
  for (const api::Method& method : api::Methods()) {
    const bool offered = way == Caller::kPeer
                             ? method.Allows(Caller::kPeer) || method.Allows(Caller::kClient) ||
                                   method.Allows(Caller::kAdmin)
                             : method.Allows(way);
    if (offered) services.emplace(method.path.substr(1, method.path.rfind('/') - 1));
  }
  return {services.begin(), services.end()};
}

net::Caps MeshCaps(const config::v1::Limits& limits) {
  net::Caps caps;
  caps.max_connections = limits.connections();
  caps.max_per_address = limits.connections_per_address();
  caps.handshakes = ToRate(limits.handshakes());
  return caps;
}

}  // namespace

limits::Rate ToRate(const config::v1::Rate& rate) {
  return limits::Rate::PerSecond(rate.per_second(), rate.burst());
}

Servers::Servers() = default;
Servers::~Servers() = default;

absl::Status Servers::Listen(const config::v1::Config& config) {
  auto acceptor = net::Acceptor::Create();
  if (!acceptor.ok()) return acceptor.status();
  acceptor_ = std::move(*acceptor);
  app_socket_ = config.run_dir() + "/app.sock";
  admin_socket_ = config.run_dir() + "/admin.sock";
  net::ListenOptions mesh;
  mesh.address = config.listen();
  mesh.tls = true;
  mesh.caps = MeshCaps(config.limits());
  net::ListenOptions app;
  app.address = "unix:" + app_socket_;
  app.unix_mode = 0660;
  app.caps = net::Caps::Local(AppConnections(mesh.caps.max_connections));
  net::ListenOptions admin;
  admin.address = "unix:" + admin_socket_;
  admin.unix_mode = 0600;
  admin.caps = net::Caps::Local(kAdminConnections);
  net::ListenOptions* const options[] = {&mesh, &app, &admin};
  for (std::size_t i = 0; i < kWays.size(); ++i) {
    options[i]->name = kWays[i].name;
    auto bound = acceptor_->Listen(*options[i], [this, i](net::Accepted accepted) {
      if (rpc_ != nullptr) rpc_->HandOver(std::move(accepted.fd), i);
    });
    if (!bound.ok()) return SetBy(i == 0 ? kListenFlag : kRunFlag, bound.status());
    if (i == 0) mesh_address_ = *bound;
  }
  return absl::OkStatus();
}

void Servers::SetLimits(const config::v1::Limits& limits) {
  const net::Caps mesh = MeshCaps(limits);
  acceptor_->SetCaps("mesh", mesh);
  acceptor_->SetCaps("app", net::Caps::Local(AppConnections(mesh.max_connections)));
}

absl::Status Servers::Start(tls::Credentials& credentials, const OnCall& on_call) {
  link::RpcServerOptions options;
  options.name = "pm-rpc";
  options.doors.clear();
  for (const Way& way : kWays) {
    link::Door& door = options.doors.emplace_back();
    door.name = way.name;
    door.kind = way.kind;
    if (way.kind == link::DoorKind::kTls) door.credentials = credentials.ForServer({});
    door.stream_services = ServicesFor(way.caller);
    door.on_call = [on_call, caller = way.caller](const std::shared_ptr<link::Stream>& stream) {
      on_call(caller, stream);
    };
    door.scope_of = [this, name = door.name](const link::CallInfo& info, std::string label) {
      return acceptor_->ScopeFor(name, info.peer, ledger::ScopeType::kStream, std::move(label));
    };
  }
  // Both ways: a delivery may be a whole publish and what describes it. server/wire holds publishes
  // to their own.
  options.max_message_bytes = kMaxDataFrameBytes;
  options.is_unary = [](const std::string& path) {
    const api::Method* method = api::FindMethod(path);
    return method == nullptr || method->shape == api::Shape::kUnary;  // unknown: refused at once
  };
  options.on_abuse = [this](const std::string& peer) {
    kNetLog.Warning("connection cut", {{"peer", peer}, {"reason", "too_many_cancels"}});
    if (const auto id = acceptor_->FindByPeer(peer)) acceptor_->Cut(*id);
  };
  auto started = link::RpcServer::Start(std::move(options));
  if (!started.ok()) return started.status();
  rpc_ = std::move(*started);
  return absl::OkStatus();
}

void Servers::Open() {
  rpc_->SetServing(true);
  acceptor_->Start("pm-accept");
}

void Servers::Leave() {
  if (rpc_ != nullptr) rpc_->SetServing(false);
  if (acceptor_ != nullptr) acceptor_->StopListening();
}

void Servers::Shutdown(Duration grace) {
  if (rpc_ != nullptr) rpc_->Shutdown(grace);
}

void Servers::Stop() {
  if (acceptor_ != nullptr) acceptor_->Stop();
}

std::vector<std::string> AdvertisedAddresses(const config::v1::Config& config,
                                             const net::HostPort& bound) {
  std::vector<std::string> addresses;
  for (const std::string& text : config.advertise()) {
    if (const auto parsed = net::ParseHostPort(text, bound.port); parsed.ok()) {
      addresses.push_back(net::FormatHostPort(parsed->host, parsed->port));
    }
  }
  if (addresses.empty() && !net::IsWildcard(bound.host))
    addresses.push_back(net::FormatHostPort(bound.host, bound.port));
  if (addresses.empty()) {
    for (const std::string& host : net::InterfaceAddresses())
      addresses.push_back(net::FormatHostPort(host, bound.port));
  }
  if (addresses.size() > kMaxAddressesPerPeer) addresses.resize(kMaxAddressesPerPeer);
  return addresses;
}

}  // namespace peermesh
