#include "server/link/rpc_server.h"

#include <fmt/format.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <set>
#include <utility>

#include "mesh/base/check.h"
#include "metrics/ledger/thread.h"
#include "server/link/cut.h"
#include "server/link/health.h"
#include "server/link/kinds.h"
#include "server/link/server_stream.h"
#include "server/tls/credentials.h"
#include "server/wire/errors.h"

namespace peermesh::link {
namespace {

using Clock = Queue::Clock;

constexpr std::size_t kMaxListeners = 16;  // one for each door, in practice

// Cancelled calls of each connection, in windows.
class CancelCounter {
 public:
  // True when this one is the first too many of its window.
  bool Count(const std::string& peer) {
    const std::lock_guard lock(mutex_);
    const Clock::time_point now = Clock::now();
    if (windows_.size() >= kMaxCancellers && !windows_.contains(peer)) {
      std::erase_if(windows_, [&](const auto& item) { return item.second.end <= now; });
      if (windows_.size() >= kMaxCancellers) return false;
    }
    Window& window = windows_[peer];
    if (window.end <= now) window = {now + kCancelWindow, 0};
    return ++window.count == kMaxCancels + 1;
  }

 private:
  struct Window {
    Clock::time_point end{};
    std::size_t count = 0;
  };
  std::mutex mutex_;
  std::map<std::string, Window> windows_;
};

// Calls `on_late` unless it is destroyed in time.
class Watchdog {
 public:
  Watchdog(Duration limit, std::function<void()> on_late)
      : thread_("pm-watchdog", ledger::kThread, ledger::Scope{},
                [this, limit, on_late = std::move(on_late)] {
                  std::unique_lock lock(mutex_);
                  if (!over_changed_.wait_for(lock, limit, [this] { return over_; })) on_late();
                }) {}
  ~Watchdog() {
    {
      const std::lock_guard lock(mutex_);
      over_ = true;
    }
    over_changed_.notify_all();
    thread_.Join();
  }

 private:
  std::mutex mutex_;
  std::condition_variable over_changed_;
  bool over_ = false;
  ledger::Thread thread_;
};

// "Exchange, orders by grpc-python/1.51.1": what a person looks for.
std::string LabelOf(const CallInfo& info) {
  std::string label = info.method.substr(info.method.rfind('/') + 1);
  if (!info.client.empty()) label.append(", ").append(info.client);
  if (!info.library.empty()) label.append(" by ").append(info.library);
  return label;
}

// "transport_security_type" of gRPC's authentication context, which is not the caller's to choose.
DoorKind KindOf(std::string_view security) {
  if (security == "insecure") return DoorKind::kSocket;
  return security == "local" ? DoorKind::kOwnerSocket : DoorKind::kTls;
}

std::shared_ptr<grpc::ServerCredentials> CredentialsFor(const Door& door) {
  switch (door.kind) {
    case DoorKind::kSocket: return grpc::InsecureServerCredentials();
    case DoorKind::kOwnerSocket: return grpc::experimental::LocalServerCredentials(UDS);
    case DoorKind::kTls: break;
  }
  return door.credentials;
}

}  // namespace

class RpcServer::Impl {
 public:
  explicit Impl(RpcServerOptions options) : options_(std::move(options)), pool_(options_.name) {
    for (const Door& door : options_.doors) ways_.push_back(std::make_unique<Way>(door));
  }

  absl::Status Start() {
    grpc::ServerBuilder builder;
    tls::ApplyServerLimits(builder, options_.max_streams,
                           static_cast<int>(options_.max_message_bytes));
    // Compressed messages would arrive as they are, since they are never inflated.
    builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_GZIP, false);
    builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_DEFLATE, false);
    builder.RegisterAsyncGenericService(&service_);
    for (grpc::Service* service : options_.services) builder.RegisterService(service);
    using Experimental = grpc::ServerBuilder::experimental_type;
    for (const auto& way : ways_) {
      way->acceptor = builder.experimental().AddExternalConnectionAcceptor(
          Experimental::ExternalConnectionType::FROM_FD, CredentialsFor(way->door));
    }
    std::vector<std::unique_ptr<grpc::ServerCompletionQueue>> queues;
    for (int i = 0; i < options_.queues; ++i) queues.push_back(builder.AddCompletionQueue());
    server_ = builder.BuildAndStart();
    if (server_ == nullptr) {
      for (auto& queue : queues) queue->Shutdown();
      return absl::InternalError("gRPC refused to start the server; its log says why");
    }
    for (auto& queue : queues) {
      grpc::ServerCompletionQueue& completions = *queue;
      Queue& started = pool_.Add(std::move(queue));
      for (int i = 0; i < kCallsWaited; ++i) WaitForCall(started, completions);
    }
    return absl::OkStatus();
  }

  void HandOver(ledger::UniqueFd fd, std::size_t door) {
    const std::lock_guard lock(mutex_);
    Way& way = *ways_.at(door);
    if (stopping_) {
      ++way.late_descriptors;
      return;
    }
    if (std::string at = AcceptedAt(fd.get()); !at.empty() && listeners_.size() < kMaxListeners) {
      listeners_.insert(std::move(at));
    }
    grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters connection;
    connection.fd = fd.Release();
    way.acceptor->HandleNewConnection(&connection);
  }

  void SetServing(bool serving) {
    for (const auto& way : ways_) way->health.Set(serving);
  }

  void Shutdown(Duration grace) {
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) return;
      stopping_ = true;
    }
    if (server_ == nullptr) return;
    // The cutter first: its end is not part of what the watchdog watches.
    const Watchdog cutter(grace + kCancelPatience, [this] { CutConnections(); });
    const Watchdog watchdog(grace + options_.watchdog, [this] { Stuck(); });
    for (const auto& way : ways_) way->health.Stop();
    server_->Shutdown(std::chrono::system_clock::now() + grace);
    {
      // A call may have arrived that nobody has looked at yet: it is a stream too, before it ends.
      std::unique_lock lock(mutex_);
      no_calls_waited_.wait(lock, [this] { return calls_waited_ == 0; });
    }
    pool_.CancelAll("the server stops");
    if (!pool_.WaitUntilIdle(Clock::now() + kCancelPatience)) pool_.CutCancelled();
    pool_.WaitUntilIdle();
    pool_.Stop();
    for (const auto& way : ways_) way->acceptor.reset();
    server_.reset();
  }

  QueuePool& pool() { return pool_; }

  const std::vector<Door>& doors() const { return options_.doors; }
  RpcServerStats stats(std::size_t door) const {
    const Way& way = *ways_.at(door);
    return {way.calls, way.broken, way.unauthenticated, way.abuses, way.late_descriptors, way.live};
  }

 private:
  // A door, and what came by it.
  struct Way {
    explicit Way(const Door& opened) : door(opened), health(opened.stream_services) {}
    const Door& door;
    Health health;  // outlives its streams
    std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> acceptor;
    std::atomic<std::uint64_t> calls{0}, broken{0}, unauthenticated{0}, abuses{0};
    std::atomic<std::uint64_t> late_descriptors{0};
    std::atomic<std::size_t> live{0};
    // Over TLS, of each connection; under the server's mutex.
    std::map<std::string, std::size_t> live_of;
  };

  // A call waited for; owned by gRPC until its tag is back.
  struct WaitedCall final : Tag {
    Impl* server;
    Queue* queue;
    grpc::ServerCompletionQueue* completions;
    std::shared_ptr<ServerStream> stream;
    void Run(bool ok) override {
      const std::unique_ptr<WaitedCall> self(this);
      if (ok)
        server->WaitForCall(*queue, *completions);  // first, so that the next one need not wait
      if (ok) server->Dispatch(stream);
      stream.reset();
      server->CallCame();
    }
  };

  void WaitForCall(Queue& queue, grpc::ServerCompletionQueue& completions) {
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
    ++calls_waited_;
    auto* call = new WaitedCall;
    call->server = this;
    call->queue = &queue;
    call->completions = &completions;
    call->stream = std::make_shared<ServerStream>(pool_, queue);
    call->stream->Request(service_, completions, call);
  }

  void CallCame() {
    const std::lock_guard lock(mutex_);
    if (--calls_waited_ == 0) no_calls_waited_.notify_all();
  }

  void Dispatch(const std::shared_ptr<ServerStream>& stream) {
    Way* const way = FindWay(stream->Security());
    PM_CHECK(way != nullptr);  // every connection came by a door
    ++way->calls;
    ++way->live;
    const absl::Status arrived = stream->Arrive(
        way->door.kind == DoorKind::kTls,
        [this, way](const CallInfo& info, const Closed& closed) { Ended(*way, info, closed); });
    Book(*way, *stream);
    if (!arrived.ok()) {
      ++way->unauthenticated;
      stream->Finish(wire::MakeError(wire::Code::kUnauthenticated, "CERTIFICATE_REQUIRED",
                                     std::string(arrived.message())));
      return;
    }
    if (TooMany(*way, stream->info())) {
      stream->Finish(
          wire::MakeError(wire::Code::kResourceExhausted, "STREAM_LIMIT",
                          fmt::format("the connection has {} calls under way", kMaxTlsStreams)));
      return;
    }
    if (Health::Serves(stream->info().method)) {
      way->health.Serve(stream);
    } else {
      way->door.on_call(stream);
    }
    stream->RefuseUnlessTaken();
  }

  // Counts the call.
  bool TooMany(Way& way, const CallInfo& info) {
    if (way.door.kind != DoorKind::kTls) return false;
    const std::lock_guard lock(mutex_);
    return ++way.live_of[info.peer] > kMaxTlsStreams;
  }

  Way* FindWay(std::string_view security) {
    const DoorKind kind = KindOf(security);
    for (const auto& way : ways_) {
      if (way->door.kind == kind) return way.get();
    }
    return nullptr;
  }

  void Book(const Way& way, ServerStream& stream) {
    const CallInfo& info = stream.info();
    std::string label = LabelOf(info);
    const bool unary = Health::Serves(info.method)
                           ? info.method == kHealthCheck
                           : options_.is_unary && options_.is_unary(info.method);
    stream.BookAs(unary ? kServerCall : kServerStream,
                  way.door.scope_of
                      ? way.door.scope_of(info, std::move(label))
                      : ledger::Scope({}, ledger::ScopeType::kStream, std::move(label)));
  }

  void Ended(Way& way, const CallInfo& info, const Closed& closed) {
    --way.live;
    if (way.door.kind == DoorKind::kTls && info.identity) {
      const std::lock_guard lock(mutex_);
      const auto live = way.live_of.find(info.peer);
      PM_CHECK(live != way.live_of.end());
      if (--live->second == 0) way.live_of.erase(live);
    }
    if (closed.cause != CloseCause::kBroken) return;
    ++way.broken;
    if (info.peer.starts_with("unix:")) return;  // one text for all, and nobody from elsewhere
    if (!cancels_.Count(info.peer)) return;
    ++way.abuses;
    if (options_.on_abuse) options_.on_abuse(info.peer);
  }

  // At the end of the grace everybody has been told; whoever does not take it in holds nobody up.
  void CutConnections() {
    const std::lock_guard lock(mutex_);
    for (const std::string& listener : listeners_) CutConnectionsAt(listener);
  }

  [[noreturn]] void Stuck() {
    const std::string table = ToText(pool_.Table());
    if (options_.on_stuck) {
      options_.on_stuck(table);
    } else {
      std::fprintf(stderr, "server '%s' does not stop; live streams:\n%s", options_.name.c_str(),
                   table.c_str());
    }
    std::_Exit(kStuckExitCode);
  }

  const RpcServerOptions options_;
  std::vector<std::unique_ptr<Way>> ways_;  // outlive their streams
  QueuePool pool_;
  grpc::AsyncGenericService service_;
  std::unique_ptr<grpc::Server> server_;
  CancelCounter cancels_;

  std::mutex mutex_;
  std::condition_variable no_calls_waited_;
  bool stopping_ = false;
  std::set<std::string> listeners_;  // where connections came from
  std::size_t calls_waited_ = 0;
};

absl::StatusOr<std::unique_ptr<RpcServer>> RpcServer::Start(RpcServerOptions options) {
  PM_CHECK(options.queues > 0 && !options.doors.empty());
  std::set<DoorKind> kinds;
  for (const Door& door : options.doors) {
    PM_CHECK(door.on_call != nullptr && kinds.insert(door.kind).second);
    PM_CHECK((door.kind == DoorKind::kTls) == (door.credentials != nullptr));
  }
  auto impl = std::make_unique<Impl>(std::move(options));
  const absl::Status started = impl->Start();
  if (!started.ok()) return started;
  return std::unique_ptr<RpcServer>(new RpcServer(std::move(impl)));
}

RpcServer::RpcServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
RpcServer::~RpcServer() { impl_->Shutdown(Duration::zero()); }

void RpcServer::HandOver(ledger::UniqueFd fd, std::size_t door) {
  impl_->HandOver(std::move(fd), door);
}
void RpcServer::SetServing(bool serving) { impl_->SetServing(serving); }
void RpcServer::Shutdown(Duration grace) { impl_->Shutdown(grace); }
QueuePool& RpcServer::pool() { return impl_->pool(); }
const std::vector<Door>& RpcServer::doors() const { return impl_->doors(); }
RpcServerStats RpcServer::stats(std::size_t door) const { return impl_->stats(door); }
std::vector<StreamRow> RpcServer::Table() const { return impl_->pool().Table(); }

}  // namespace peermesh::link
