#include "client/peer_watch.h"

#include <deque>
#include <utility>

#include "client/errors.h"
#include "client/stream.h"
#include "peermesh/v1/peers.grpc.pb.h"

namespace peermesh::client {
namespace {

// Changes not yet taken by Next; beyond it the stream is not read. A table of 4,096 peers fits.
// Guess.
constexpr std::size_t kMaxQueuedChanges = 8192;

}  // namespace

class PeerWatch::Impl final : public Stream<v1::WatchPeersRequest, v1::WatchPeersResponse> {
 public:
  Impl(const std::shared_ptr<grpc::Channel>& channel, std::string label,
       const v1::PeerFilter& filter)
      : Stream(channel, std::move(label), true),
        stub_(v1::PeersService::NewStub(channel)),
        filter_(filter) {
    Start();
  }
  ~Impl() override { Stop(); }

  void SetFilter(const v1::PeerFilter& filter) {
    std::lock_guard lock(mutex_);
    filter_ = filter;
    resume_token_.clear();  // it marks a place in another table
    filter_due_ = true;
    PumpLocked();
  }

  absl::StatusOr<std::optional<PeerChange>> Next(Duration timeout) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, timeout, [this] { return end_ || !changes_.empty(); });
    if (changes_.empty()) {
      if (end_) return *end_;
      return std::nullopt;
    }
    PeerChange change = std::move(changes_.front());
    changes_.pop_front();
    PumpLocked();
    return change;
  }

 private:
  Call Prepare(grpc::ClientContext& context, grpc::CompletionQueue& queue) override {
    return stub_->PrepareAsyncWatchPeers(&context, &queue);
  }

  void OpenedLocked() override {
    first_ = true;
    filter_due_ = true;
  }

  bool TakeWriteLocked(v1::WatchPeersRequest& out) override {
    if (!filter_due_) return false;
    out.Clear();
    *out.mutable_filter() = filter_;
    if (first_) out.set_resume_token(resume_token_);
    first_ = filter_due_ = false;
    return true;
  }

  bool WantReadLocked() const override { return changes_.size() < kMaxQueuedChanges; }

  absl::Status Handle(v1::WatchPeersResponse& frame) override {
    std::lock_guard lock(mutex_);
    using Kind = PeerChange::Kind;
    if (frame.reset()) changes_.push_back({Kind::kReset, nullptr, {}});
    for (auto& event : *frame.mutable_events()) {
      const bool removed = event.type() == v1::PEER_EVENT_TYPE_REMOVED;
      changes_.push_back({removed ? Kind::kRemoved : Kind::kUpserted,
                          std::make_shared<const v1::Peer>(std::move(*event.mutable_peer())),
                          {}});
    }
    if (frame.synced()) changes_.push_back({Kind::kSynced, nullptr, {}});
    if (!frame.resume_token().empty()) resume_token_ = frame.resume_token();
    changed_.notify_all();
    return absl::OkStatus();
  }

  void Closed(const Ending& ending) override {
    std::lock_guard lock(mutex_);
    if (!ending.final) {
      if (!ending.answered) return;
      changes_.push_back({PeerChange::Kind::kDisconnected, nullptr, ending.status});
    } else if (StoppingLocked() || ending.status.ok()) {
      end_ = MakeError(absl::StatusCode::kCancelled, "SESSION_CLOSED",
                       "The watch is closed. Open another one.");
    } else {
      end_ = ending.status;
    }
    changed_.notify_all();
  }

  // Constant after construction.
  const std::unique_ptr<v1::PeersService::Stub> stub_;

  // Under mutex_.
  v1::PeerFilter filter_;
  std::string resume_token_;
  bool first_ = true;
  bool filter_due_ = false;
  std::deque<PeerChange> changes_;
  std::optional<absl::Status> end_;
};

PeerWatch::PeerWatch(std::shared_ptr<grpc::Channel> channel, std::string label,
                     const v1::PeerFilter& filter)
    : impl_(std::make_unique<Impl>(channel, std::move(label), filter)) {}
PeerWatch::~PeerWatch() = default;

absl::StatusOr<std::optional<PeerChange>> PeerWatch::Next(Duration timeout) {
  return impl_->Next(timeout);
}
void PeerWatch::SetFilter(const v1::PeerFilter& filter) { impl_->SetFilter(filter); }
void PeerWatch::Cancel() { impl_->Cancel(); }

}  // namespace peermesh::client
