#include "server/link/rpc_server.h"

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

constexpr std::size_t kMaxListeners = 16;  // one, in practice

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

}  // namespace

class RpcServer::Impl {
 public:
  explicit Impl(RpcServerOptions options)
      : options_(std::move(options)), health_(options_.stream_services), pool_(options_.name) {}

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
    acceptor_ = builder.experimental().AddExternalConnectionAcceptor(
        Experimental::ExternalConnectionType::FROM_FD,
        options_.credentials ? options_.credentials : grpc::InsecureServerCredentials());
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

  void HandOver(ledger::UniqueFd fd) {
    const std::lock_guard lock(mutex_);
    if (stopping_) {
      ++late_descriptors_;
      return;
    }
    if (std::string at = AcceptedAt(fd.get()); !at.empty() && listeners_.size() < kMaxListeners) {
      listeners_.insert(std::move(at));
    }
    grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters connection;
    connection.fd = fd.Release();
    acceptor_->HandleNewConnection(&connection);
  }

  void SetServing(bool serving) { health_.Set(serving); }

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
    health_.Stop();
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
    acceptor_.reset();
    server_.reset();
  }

  QueuePool& pool() { return pool_; }

  RpcServerStats stats() const {
    return {calls_, broken_, unauthenticated_, abuses_, late_descriptors_, pool_.live_streams()};
  }

 private:
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
    call->stream = std::make_shared<ServerStream>(
        pool_, queue, [this](const CallInfo& info, const Closed& closed) { Ended(info, closed); });
    call->stream->Request(service_, completions, call);
  }

  void CallCame() {
    const std::lock_guard lock(mutex_);
    if (--calls_waited_ == 0) no_calls_waited_.notify_all();
  }

  void Dispatch(const std::shared_ptr<ServerStream>& stream) {
    ++calls_;
    const absl::Status arrived = stream->Arrive(options_.credentials != nullptr);
    Book(*stream);
    if (!arrived.ok()) {
      ++unauthenticated_;
      stream->Finish(wire::MakeError(wire::Code::kUnauthenticated, "CERTIFICATE_REQUIRED",
                                     std::string(arrived.message())));
      return;
    }
    if (Health::Serves(stream->info().method)) {
      health_.Serve(stream);
    } else {
      options_.on_call(stream);
    }
    stream->RefuseUnlessTaken();
  }

  void Book(ServerStream& stream) {
    const CallInfo& info = stream.info();
    std::string label = LabelOf(info);
    const bool unary = Health::Serves(info.method)
                           ? info.method == kHealthCheck
                           : options_.is_unary && options_.is_unary(info.method);
    stream.BookAs(unary ? kServerCall : kServerStream,
                  options_.scope_of
                      ? options_.scope_of(info, std::move(label))
                      : ledger::Scope({}, ledger::ScopeType::kStream, std::move(label)));
  }

  void Ended(const CallInfo& info, const Closed& closed) {
    if (closed.cause != CloseCause::kBroken) return;
    ++broken_;
    if (info.peer.starts_with("unix:")) return;  // one text for all, and nobody from elsewhere
    if (!cancels_.Count(info.peer)) return;
    ++abuses_;
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
  Health health_;  // outlives its streams
  QueuePool pool_;
  grpc::AsyncGenericService service_;
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> acceptor_;
  std::unique_ptr<grpc::Server> server_;
  CancelCounter cancels_;

  std::mutex mutex_;
  std::condition_variable no_calls_waited_;
  bool stopping_ = false;
  std::set<std::string> listeners_;  // where connections came from
  std::size_t calls_waited_ = 0;

  std::atomic<std::uint64_t> calls_{0}, broken_{0}, unauthenticated_{0}, abuses_{0};
  std::atomic<std::uint64_t> late_descriptors_{0};
};

absl::StatusOr<std::unique_ptr<RpcServer>> RpcServer::Start(RpcServerOptions options) {
  PM_CHECK(options.queues > 0 && options.on_call);
  auto impl = std::make_unique<Impl>(std::move(options));
  const absl::Status started = impl->Start();
  if (!started.ok()) return started;
  return std::unique_ptr<RpcServer>(new RpcServer(std::move(impl)));
}

RpcServer::RpcServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
RpcServer::~RpcServer() { impl_->Shutdown(Duration::zero()); }

void RpcServer::HandOver(ledger::UniqueFd fd) { impl_->HandOver(std::move(fd)); }
void RpcServer::SetServing(bool serving) { impl_->SetServing(serving); }
void RpcServer::Shutdown(Duration grace) { impl_->Shutdown(grace); }
QueuePool& RpcServer::pool() { return impl_->pool(); }
RpcServerStats RpcServer::stats() const { return impl_->stats(); }
std::vector<StreamRow> RpcServer::Table() const { return impl_->pool().Table(); }

}  // namespace peermesh::link
