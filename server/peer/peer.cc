#include "server/peer/peer.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <future>
#include <mutex>
#include <utility>

#include "fmt/format.h"
#include "mesh/base/check.h"
#include "peermesh/config/v1/config.pb.h"
#include "peermesh/v1/admin.pb.h"
#include "server/api/access.h"
#include "server/api/admin_service.h"
#include "server/api/applications.h"
#include "server/api/books.h"
#include "server/api/peers_service.h"
#include "server/api/status.h"
#include "server/config/logging.h"
#include "server/driver/driver.h"
#include "server/link/kinds.h"
#include "server/link/links.h"
#include "server/net/hosts.h"
#include "server/observe/audit.h"
#include "server/observe/peer_metrics.h"
#include "server/observe/targets.h"
#include "server/peer/listening.h"
#include "server/peer/note_log.h"
#include "server/peer/servers.h"
#include "server/process/notify.h"
#include "server/store/peer_store.h"
#include "server/tls/credentials.h"
#include "server/wire/api.h"
#include "server/wire/signed_record.h"

namespace peermesh {
namespace {

using api::Caller;

constexpr config::Logger kTlsLog("tls");
constexpr config::Logger kNetLog("net");
constexpr config::Logger kApiLog("api");
constexpr config::Logger kStoreLog("store");

node::Limits LimitsOf(const config::v1::Limits& limits) {
  return {.application_messages = ToRate(limits.application_messages()),
          .application_bytes = ToRate(limits.application_bytes()),
          .peer_messages = ToRate(limits.peer_messages()),
          .peer_bytes = ToRate(limits.peer_bytes()),
          .subscribes = ToRate(limits.subscribes())};
}

std::int64_t Seconds(WallTime time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

}  // namespace

class Peer::Impl final : public driver::World {
 public:
  Impl(const config::v1::Config& config, tls::Material material, Asked asked)
      : config_(config), material_(std::move(material)), asked_(std::move(asked)) {}
  ~Impl() override { PM_CHECK(stopped_); }

  absl::Status Start();
  bool Stop(Duration grace);
  absl::Status Rotate(const absl::StatusOr<identity::Certificate>& renewed);
  absl::Status Adopt(const identity::Certificate& certificate);
  void Reconfigure(const config::v1::Config& fresh);
  void Reloaded(const absl::Status& outcome);
  void Sweep();
  bool Answers(Duration patience);

  // Wishes of the node.
  void Perform(node::SendControl wish) override { links_->Perform(std::move(wish)); }
  void Perform(node::SendData wish) override { links_->Perform(std::move(wish)); }
  void Perform(node::ReadNext wish) override { links_->Perform(wish); }
  void Perform(node::Close wish) override { links_->Perform(wish); }
  void Perform(node::Dial wish) override { links_->Perform(std::move(wish)); }
  void Perform(node::Deliver wish) override { applications_->Perform(std::move(wish)); }
  void Perform(node::Answer wish) override { applications_->Perform(std::move(wish)); }
  void Perform(node::Subscribed wish) override { applications_->Perform(std::move(wish)); }
  void Perform(node::CloseSession wish) override { applications_->Perform(wish); }
  void Perform(node::SignRecord wish) override;
  void Perform(node::SignPiece wish) override {
    driver_->Post(node::PieceSigned{links_->Sign(std::move(wish.piece))});
  }
  void Perform(node::SignStatement wish) override {
    driver_->Post(node::StatementSigned{links_->Sign(std::move(wish.statement))});
  }
  void Perform(node::Persist wish) override {
    store_->Remember(wish.record->id, wish.record->encoded);
  }
  void Perform(node::Forget wish) override { store_->Forget(wish.peer); }
  void Perform(node::PeerChanged wish) override {
    applications_->Perform(wish);
    peers_->Perform(wish);
  }
  void Perform(node::Note wish) override { LogNote(wish, applications_->names()); }
  void Perform(node::Drained) override;
  void Perform(node::Pinged wish) override { peers_->Perform(wish); }

  Facts facts_;
  std::unique_ptr<tls::Credentials> credentials_;
  Audit audit_{[this] { return CountedTwice(); }};

 private:
  absl::Status OpenStore();
  absl::Status Listen();
  absl::Status StartServers();
  absl::Status StartNode();
  absl::Status StartMetrics();
  void OnCall(Caller from, const std::shared_ptr<link::Stream>& stream);
  void Identified(const link::CallInfo& info);
  std::vector<ledger::RpcCounts> CountedTwice();
  void Status(std::function<void(std::string)> reply);

  const config::v1::Config config_;
  tls::Material material_;
  const Asked asked_;
  const WallTime started_ = driver::WallNow();
  std::uint64_t epoch_ = 0;

  std::unique_ptr<store::PeerStore> store_;
  Servers servers_;
  std::unique_ptr<link::Links> links_;
  std::unique_ptr<driver::Driver> driver_;
  std::unique_ptr<api::Applications> applications_;
  std::unique_ptr<api::PeersService> peers_;
  std::unique_ptr<api::AdminService> admin_;
  std::unique_ptr<PeerMetrics> metrics_;
  TlsRefusals refusals_;
  std::atomic<std::uint64_t> failed_renewals_{0};
  PeerMetrics::Reloads reloads_;

  std::atomic<bool> ready_{false}, draining_{false};
  bool stopped_ = true;  // until something was started
  std::mutex mutex_;
  std::condition_variable changed_;
  bool drained_ = false;
  std::optional<WallTime> reloaded_at_;  // tried, at least
  std::string reload_error_;
};

// --- Up ------------------------------------------------------------------------------------------

absl::Status Peer::Impl::Start() {
  tls::CredentialsHooks hooks;
  hooks.on_refused = [this](identity::Refusal refusal, tls::Direction direction) {
    refusals_.Count(refusal, direction);
    kTlsLog.Warning("handshake refused", {{"direction", tls::ToString(direction)},
                                          {"reason", identity::ToString(refusal)}});
  };
  auto credentials = tls::Credentials::Create(material_.key, material_.certificate,
                                              material_.bundle, std::move(hooks));
  if (!credentials.ok()) return credentials.status();
  credentials_ = std::move(*credentials);
  const identity::Identity self = credentials_->self();
  facts_.id = self.id.ToText();
  facts_.name = self.name;
  facts_.mesh_id = self.mesh_id;
  stopped_ = false;
  struct Step {
    absl::Status (Impl::*run)();
    absl::StatusCode code;  // tells the caller what failed
  };
  for (const Step step : {Step{&Impl::OpenStore, absl::StatusCode::kDataLoss},
                          Step{&Impl::Listen, absl::StatusCode::kUnavailable},
                          Step{&Impl::StartServers, absl::StatusCode::kInternal},
                          Step{&Impl::StartNode, absl::StatusCode::kInternal},
                          Step{&Impl::StartMetrics, absl::StatusCode::kUnavailable}}) {
    if (absl::Status status = (this->*step.run)(); !status.ok()) {
      Stop(Duration{});
      return absl::Status(step.code, status.message());
    }
  }
  driver_->Start();
  servers_.Open();
  ready_ = true;
  return absl::OkStatus();
}

absl::Status Peer::Impl::OpenStore() {
  auto opened =
      store::PeerStore::Open(config_.data_dir() + "/state.db", [](const absl::Status& status) {
        if (status.ok()) return kStoreLog.Info("peers are remembered again");
        kStoreLog.Error("peers are not remembered; trying again",
                        {{"error", std::string(status.message())}});
      });
  if (!opened.ok()) return opened.status();
  store_ = std::move(*opened);
  const std::int64_t unix_ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(driver::WallNow().time_since_epoch())
          .count();
  const auto epoch = store_->NextEpoch(static_cast<std::uint64_t>(unix_ms));
  if (!epoch.ok()) return epoch.status();
  epoch_ = *epoch;
  return absl::OkStatus();
}

absl::Status Peer::Impl::Listen() {
  if (absl::Status status = servers_.Listen(config_); !status.ok()) return status;
  facts_.listen = servers_.mesh_address();
  facts_.app_socket = servers_.app_socket();
  facts_.admin_socket = servers_.admin_socket();
  const auto bound = net::ParseHostPort(facts_.listen);
  if (!bound.ok()) return bound.status();
  facts_.advertised = AdvertisedAddresses(config_, *bound);
  return absl::OkStatus();
}

absl::Status Peer::Impl::StartServers() {
  return servers_.Start(*credentials_,
                        [this](Caller caller, const auto& stream) { OnCall(caller, stream); });
}

absl::Status Peer::Impl::StartNode() {
  const identity::Identity self = credentials_->self();
  const auto post = [this](node::Input input) { driver_->Post(std::move(input)); };

  link::LinksConfig links;
  links.epoch = epoch_;
  links.software = PEERMESH_VERSION;
  links.now = driver::SteadyNow;
  links.wall = driver::WallNow;
  links_ =
      std::make_unique<link::Links>(std::move(links), *credentials_, servers_.rpc().pool(), post);

  node::Config config;
  config.self = self.id;
  config.name = self.name;
  config.epoch = epoch_;
  config.seeds.assign(config_.seeds().begin(), config_.seeds().end());
  config.limits = LimitsOf(config_.limits());
  for (const auto& [peer, encoded] : store_->remembered()) {
    // What no longer verifies (expired, another CA) is no record any more; the mesh has a newer
    // one.
    if (const auto record = links_->Verify(encoded)) {
      config.remembered.push_back(*record);
    } else {
      store_->Forget(peer);
    }
  }
  journal::Start start{.software = PEERMESH_VERSION,
                       .config = config,
                       .seed = driver::OsSeed(),
                       .now = driver::SteadyNow()};
  std::unique_ptr<journal::Writer> journal;
  if (!config_.journal().empty()) {
    auto made = journal::Writer::Create(config_.journal(), start, {});
    if (!made.ok()) return made.status();
    journal = *std::move(made);
  }
  auto node = node::Node::Create(std::move(config), Rng(start.seed), start.now);
  if (!node.ok()) return node.status();
  driver_ = std::make_unique<driver::Driver>(
      std::move(*node), *this, *servers_.rpc().pool().queues().front(), std::move(journal));

  applications_ =
      std::make_unique<api::Applications>(api::PeerFacts{self.id, self.name, self.mesh_id}, post);
  peers_ = std::make_unique<api::PeersService>(
      [this](std::function<void(const node::Node&)> look) { driver_->Look(std::move(look)); }, post,
      epoch_);
  admin_ = std::make_unique<api::AdminService>(api::AdminService::Hooks{
      [this](std::function<void(std::string)> reply) { Status(std::move(reply)); }, asked_.drain,
      asked_.reload, &ledger::Ledger::Process(), &audit_.auditor()});
  return absl::OkStatus();
}

absl::Status Peer::Impl::StartMetrics() {
  if (absl::Status status = audit_.Start(config_.data_dir() + "/suppressions"); !status.ok())
    return status;
  PeerMetrics::Sources sources;
  sources.ready = [this] { return ready_.load() && !draining_.load(); };
  sources.look = [this](const std::function<void(const node::Node&)>& look) {
    return driver_->LookNow(look);
  };
  sources.acceptor = &servers_.acceptor();
  sources.links = links_.get();
  sources.rpc = &servers_.rpc();
  sources.applications = applications_.get();
  sources.refusals = &refusals_;
  sources.failed_renewals = &failed_renewals_;
  sources.reloads = &reloads_;
  sources.auditor = &audit_.auditor();
  sources.title = "peer " + facts_.name;
  sources.mesh_id = facts_.mesh_id;
  sources.certificate_expiry = [this] { return credentials_->self().not_after; };
  auto metrics = PeerMetrics::Start(config_.metrics().listen(), std::move(sources));
  if (!metrics.ok()) return SetBy(kMetricsFlag, metrics.status());
  metrics_ = std::move(*metrics);
  facts_.metrics = metrics_->address();
  return absl::OkStatus();
}

// --- While it runs -------------------------------------------------------------------------------

// By its certificate: the connection is no handshake any more, and has an owner.
void Peer::Impl::Identified(const link::CallInfo& info) {
  const auto id = servers_.acceptor().FindByPeer(info.peer);
  if (!id || !info.identity || !servers_.acceptor().Established(*id, info.identity->not_after))
    return;
  const bool peer = info.identity->role == identity::Role::kPeer;
  servers_.acceptor().Identify(*id, peer ? ledger::ScopeType::kPeer : ledger::ScopeType::kClient,
                               link::OwnerLabel(*info.identity));
}

// Nothing to compare with if the node has no turn soon: whoever looks for leaks must not wait for
// it.
std::vector<ledger::RpcCounts> Peer::Impl::CountedTwice() {
  constexpr Duration kPatience = std::chrono::seconds(1);
  struct Answer {
    std::vector<ledger::RpcCounts> counts;
    std::promise<void> given;
  };
  const auto answer = std::make_shared<Answer>();
  std::future<void> given = answer->given.get_future();
  driver_->Look([answer](const node::Node& node) {
    answer->counts = api::CountedTwice(node.TakeCensus());
    answer->given.set_value();
  });
  const bool in_time = given.wait_for(kPatience) == std::future_status::ready;
  return in_time ? answer->counts : std::vector<ledger::RpcCounts>{};
}

void Peer::Impl::OnCall(Caller from, const std::shared_ptr<link::Stream>& stream) {
  const link::CallInfo& info = stream->info();
  Caller caller = from;
  if (from == Caller::kPeer) {
    caller = info.identity ? api::CallerOf(info.identity->role) : Caller::kNobody;
    Identified(info);
  }
  const api::Method* method = api::FindMethod(info.method);
  if (method == nullptr) {
    return stream->Finish(api::ToStatus(wire::UnknownMethod(info.method)));
  }
  if (!method->Allows(caller)) {
    kApiLog.Warning("call denied", {{"method", info.method}, {"caller", api::ToString(caller)}});
    return stream->Finish(api::ToStatus(wire::Denied(info.method, api::ToString(caller))));
  }
  switch (method->service) {
    case api::Service::kMessaging: return applications_->Take(stream);
    case api::Service::kPeers: return peers_->Take(stream);
    case api::Service::kAdmin: return admin_->Take(stream);
    case api::Service::kLink: return links_->Serve(stream);
  }
}

void Peer::Impl::Status(std::function<void(std::string)> reply) {
  driver_->Look([this, reply = std::move(reply)](const node::Node& node) {
    v1::GetStatusResponse status;
    status.set_peer_id(facts_.id);
    status.set_peer_name(facts_.name);
    status.set_mesh_id(facts_.mesh_id);
    status.set_version(PEERMESH_VERSION);
    status.set_readiness(node.draining() ? v1::READINESS_DRAINING : v1::READINESS_READY);
    status.mutable_start_time()->set_seconds(Seconds(started_));
    status.set_listen_address(facts_.listen);
    status.set_metrics_address(facts_.metrics);
    status.set_app_socket(facts_.app_socket);
    status.set_data_dir(config_.data_dir());
    status.mutable_certificate_expiry()->set_seconds(Seconds(credentials_->self().not_after));
    for (const membership::PeerView& row : node.Peers()) {
      status.set_peers_known(status.peers_known() + 1);
      status.set_peers_linked(status.peers_linked() +
                              (row.connection == membership::Connection::kConnected));
    }
    const node::Census census = node.TakeCensus();
    status.set_sessions(static_cast<std::uint32_t>(census.sessions));
    status.set_subscriptions(static_cast<std::uint32_t>(census.subscriptions));
    status.set_process_id(::getpid());
    for (const std::string& address : facts_.advertised) status.add_advertised_addresses(address);
    status.set_ca_address(material_.ca_address);
    const std::lock_guard lock(mutex_);
    if (reloaded_at_) status.mutable_last_reload_time()->set_seconds(Seconds(*reloaded_at_));
    status.set_last_reload_error(reload_error_);
    reply(status.SerializeAsString());
  });
}

void Peer::Impl::Perform(node::SignRecord wish) {
  node::PeerRecord record;
  const identity::Identity self = credentials_->self();
  record.id = self.id;
  record.name = self.name;
  record.incarnation = wish.incarnation;
  record.addresses = facts_.advertised;
  record.metrics_address = AdvertisedMetrics(facts_.metrics, facts_.advertised);
  record.software = PEERMESH_VERSION;
  record.epoch = epoch_;
  record.channels = wish.channels;
  record.observers = std::move(wish.observers);
  record.published = wish.published;
  record.certificate_expiry = self.not_after;
  const std::string body = wire::EncodeRecordBody(record);
  record.encoded = wire::EncodeSignedRecord(
      body, credentials_->key().Sign(wire::kRecordDomain, body), credentials_->certificate().der());
  driver_->Post(node::RecordSigned{std::move(record)});
}

void Peer::Impl::Sweep() {
  const WallTime now = driver::WallNow();
  links_->CutExpired(now);
  if (const std::size_t cut = servers_.acceptor().CutExpired(now); cut > 0) {
    kNetLog.Info("connections cut", {{"reason", "certificate_expired"}, {"connections", cut}});
  }
}

bool Peer::Impl::Answers(Duration patience) {
  if (!Greets(facts_.app_socket, patience)) return false;
  const auto turn = std::make_shared<std::promise<void>>();
  std::future<void> done = turn->get_future();
  driver_->Look([turn](const node::Node&) { turn->set_value(); });
  return done.wait_for(patience) == std::future_status::ready;
}

absl::Status Peer::Impl::Rotate(const absl::StatusOr<identity::Certificate>& renewed) {
  const absl::Status status = renewed.ok() ? Adopt(*renewed) : renewed.status();
  if (!status.ok()) ++failed_renewals_;
  return status;
}

absl::Status Peer::Impl::Adopt(const identity::Certificate& certificate) {
  if (absl::Status status = credentials_->Rotate(certificate); !status.ok()) return status;
  driver_->Post(node::CredentialsRenewed{});
  return absl::OkStatus();
}

void Peer::Impl::Reconfigure(const config::v1::Config& fresh) {
  servers_.SetLimits(fresh.limits());
  driver_->Post(node::Reconfigured{.limits = LimitsOf(fresh.limits()),
                                   .seeds = {fresh.seeds().begin(), fresh.seeds().end()}});
}

void Peer::Impl::Reloaded(const absl::Status& outcome) {
  ++(outcome.ok() ? reloads_.done : reloads_.failed);
  const std::lock_guard lock(mutex_);
  reloaded_at_ = driver::WallNow();
  reload_error_ = std::string(outcome.message());
}

// --- Down ----------------------------------------------------------------------------------------

void Peer::Impl::Perform(node::Drained) {
  const std::lock_guard lock(mutex_);
  drained_ = true;
  changed_.notify_all();
}

bool Peer::Impl::Stop(Duration grace) {
  if (stopped_) return true;
  draining_ = true;
  bool clean = true;
  servers_.Leave();
  if (ready_) {
    applications_->GoAway(grace);
    driver_->Post(node::DrainRequested{driver::SteadyNow() + grace});
    std::unique_lock lock(mutex_);
    // The node ends the drain at its deadline; the second on top is for a machine that is out of
    // breath.
    clean = changed_.wait_for(lock, grace + std::chrono::seconds(1), [this] { return drained_; });
    lock.unlock();
    applications_->FinishAll();
    peers_->FinishAll();
  }
  if (metrics_ != nullptr) metrics_->Stop();
  if (links_ != nullptr) links_->Shutdown(link::kLinger);
  if (driver_ != nullptr) driver_->Stop();  // its timers are on a queue of the server
  servers_.Shutdown(std::chrono::milliseconds(500));
  servers_.Stop();
  admin_.reset();  // its thread
  if (store_ != nullptr) store_->Close();
  audit_.Stop();
  if (ready_) audit_.LogResidue();
  stopped_ = true;
  return clean;
}

// --- Public face ---------------------------------------------------------------------------------

absl::StatusOr<std::unique_ptr<Peer>> Peer::Start(const config::v1::Config& config,
                                                  tls::Material material, Asked asked) {
  auto impl = std::make_unique<Impl>(config, std::move(material), std::move(asked));
  if (absl::Status status = impl->Start(); !status.ok()) return status;
  return std::unique_ptr<Peer>(new Peer(std::move(impl)));
}

Peer::Peer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Peer::~Peer() { impl_->Stop(Duration{}); }

const Peer::Facts& Peer::facts() const { return impl_->facts_; }
absl::Status Peer::Rotate(const absl::StatusOr<identity::Certificate>& renewed) {
  return impl_->Rotate(renewed);
}
absl::Status Peer::Adopt(const identity::Certificate& certificate) {
  return impl_->Adopt(certificate);
}
void Peer::Reconfigure(const config::v1::Config& fresh) { impl_->Reconfigure(fresh); }
void Peer::Reloaded(const absl::Status& outcome) { impl_->Reloaded(outcome); }
identity::Certificate Peer::certificate() const { return impl_->credentials_->certificate(); }
void Peer::Sweep() { impl_->Sweep(); }
void Peer::LogLeaks() { impl_->audit_.LogAll(); }
bool Peer::Answers(Duration patience) { return impl_->Answers(patience); }
bool Peer::Stop(Duration grace) { return impl_->Stop(grace); }

}  // namespace peermesh
