#include "client/session.h"

#include <fmt/format.h>
#include <grpcpp/generic/generic_stub.h>

#include <deque>
#include <map>
#include <set>
#include <span>
#include <utility>

#include "client/errors.h"
#include "client/frames.h"
#include "client/stream.h"
#include "peermesh/v1/messaging.pb.h"

namespace peermesh::client {
namespace {

using v1::ExchangeRequest;

constexpr char kExchange[] = "/peermesh.v1.MessagingService/Exchange";

// Frames not yet taken by Next; one more may be on its way. Bounds memory, not speed: a frame is at
// most 4 MiB.
constexpr std::size_t kMaxQueuedBytes = kMaxDataFrameBytes;
// So many behind the first of a burst, while that one is on its way, make it worth waiting for the
// next burst's. Guess.
constexpr std::uint32_t kBurstMessages = 8;
// Subscriptions in one frame, far below the frame limit even with subjects of 256 bytes.
constexpr std::size_t kSubscribeChunk = 1024;

using SteadyClock = std::chrono::steady_clock;

absl::Status Ended(const absl::Status& why) {
  if (!why.ok()) return why;
  return MakeError(absl::StatusCode::kCancelled, "SESSION_CLOSED",
                   "The session is closed. Open another one.");
}

absl::Status TimedOut(std::string_view what) {
  return absl::DeadlineExceededError(fmt::format(
      "{} within the time allowed. Allow more, or see \"peermesh status\" and the peer's log.",
      what));
}

}  // namespace

class Session::Impl final : public Stream<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  Impl(const std::shared_ptr<grpc::Channel>& channel, std::string label, SessionOptions options)
      : Stream(channel, label, options.reconnect),
        stub_(channel),
        label_(std::move(label)),
        options_(std::move(options)) {
    for (std::string& subject : options_.subjects) {
      awaited_.insert(next_subscription_);
      subscriptions_.emplace(next_subscription_++, std::move(subject));
    }
    Start();
  }
  ~Impl() override { Stop(); }

  absl::Status AwaitOpen(Duration timeout);
  absl::StatusOr<std::uint64_t> Publish(std::span<Message> messages, std::string_view target);
  absl::Status Flush(SteadyClock::time_point deadline);
  absl::StatusOr<std::uint32_t> Subscribe(std::string subject);
  void Unsubscribe(std::uint32_t id);
  absl::StatusOr<std::optional<Event>> Next(Duration timeout);
  absl::Status Close(Duration timeout);

 private:
  // A batch on its way.
  struct Batch {
    std::uint64_t id = 0;
    std::uint32_t messages = 0;
    std::size_t bytes = 0;
  };
  struct Waiting {
    Batch batch;
    std::string target;
    Records records;
  };
  struct Frame {
    std::vector<Event> events;
    std::size_t bytes = 0;
  };

  // Stream
  Call Prepare(grpc::ClientContext& context, grpc::CompletionQueue& queue) override {
    return stub_.PrepareCall(&context, kExchange, &queue);
  }
  void OpenedLocked() override;
  bool TakeWriteLocked(grpc::ByteBuffer& out) override;
  bool WantReadLocked() const override { return discarding_ || queued_bytes_ < kMaxQueuedBytes; }
  absl::Status Handle(grpc::ByteBuffer& frame) override;
  void Closed(const Ending& ending) override;

  void AddToWindowLocked(std::size_t bytes) {
    window_used_ += bytes;
    full_ |= window_used_ > options_.window_bytes;
  }
  // Full until a quarter is free: with the first free byte every answer would wake a publisher for
  // little.
  void TakeFromWindowLocked(std::size_t bytes) {
    window_used_ -= bytes;
    if (!full_ || window_used_ > options_.window_bytes / 4 * 3) return;
    full_ = false;
    room_.notify_all();
  }
  void QueueLocked(std::span<Message> messages, std::string_view target);
  void FillSubscriptionLocked(std::uint32_t id, const std::string& subject,
                              ExchangeRequest& request);
  absl::Status AnswerLocked(const v1::Published& answer, std::vector<Published>& out);
  void Emit(std::vector<Event> events, std::size_t bytes, std::vector<Published> published);
  bool UnansweredUpToLocked(std::uint64_t id) const {
    return (!written_.empty() && written_.front().id <= id) ||
           (!waiting_.empty() && waiting_.front().batch.id <= id);
  }

  // Constant after construction.
  grpc::GenericStub stub_;
  const std::string label_;
  SessionOptions options_;

  // Subscriptions, under mutex_.
  std::map<std::uint32_t, std::string> subscriptions_;  // at most kMaxSubscriptionsPerSession
  std::set<std::uint32_t> awaited_;                     // of the first ones, not yet confirmed
  std::uint32_t next_subscription_ = 1;

  std::condition_variable room_;  // not full_, or the end

  // Writing, under mutex_.
  std::deque<ExchangeRequest> control_;  // hello and subscriptions; before any batch
  std::deque<Waiting> waiting_;          // not yet written; bounded by the window
  std::deque<Batch> written_;            // not yet answered; bounded by the window
  std::size_t window_used_ = 0;
  bool full_ = false;  // publishers wait
  std::uint64_t last_publish_ = 0;
  // Messages come in bursts: the first one is not written at once by who publishes it, but by the
  // stream's thread, and the rest of the burst with it. Half the frames and wake-ups on the whole
  // way.
  bool bursts_ = false;
  absl::Status first_refusal_;

  // Reading, under mutex_.
  std::deque<Frame> frames_;
  std::size_t queued_bytes_ = 0;
  bool welcomed_ = false;
  bool discarding_ = false;   // closing: nobody will take what still comes
  absl::Status last_ending_;  // of the last attempt: why the session may not be open yet
  std::optional<absl::Status> end_;

  // Reading, the thread that calls Next.
  std::vector<Event> current_;
  std::size_t next_event_ = 0;
};

// --- Opening ---

absl::Status Session::Impl::AwaitOpen(Duration timeout) {
  std::unique_lock lock(mutex_);
  const bool done =
      changed_.wait_for(lock, timeout, [this] { return end_ || (welcomed_ && awaited_.empty()); });
  if (end_) return Ended(*end_);
  if (done) return absl::OkStatus();
  return last_ending_.ok() ? TimedOut("The peer did not open the session") : last_ending_;
}

void Session::Impl::FillSubscriptionLocked(std::uint32_t id, const std::string& subject,
                                           ExchangeRequest& request) {
  auto& proto = *request.add_subscribe();
  proto.set_id(id);
  proto.set_subject(subject);
  proto.set_on_overflow(static_cast<v1::OnOverflow>(options_.on_overflow));
  if (options_.block_timeout > Duration::zero()) {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(options_.block_timeout);
    proto.mutable_block_timeout()->set_seconds(seconds.count());
    proto.mutable_block_timeout()->set_nanos(
        static_cast<std::int32_t>((options_.block_timeout - seconds).count() * 1000));
  }
}

void Session::Impl::OpenedLocked() {
  control_.clear();
  control_.emplace_back().mutable_hello()->set_client(label_);
  for (const auto& [id, subject] : subscriptions_) {
    if (control_.back().has_hello() || control_.back().subscribe_size() == kSubscribeChunk) {
      control_.emplace_back();
    }
    FillSubscriptionLocked(id, subject, control_.back());
  }
}

bool Session::Impl::TakeWriteLocked(grpc::ByteBuffer& out) {
  if (!control_.empty()) {
    out = ToBuffer(control_.front());
    control_.pop_front();
    return true;
  }
  if (waiting_.empty()) return false;
  auto& [batch, target, records] = waiting_.front();
  if (written_.empty() && batch.messages == 1) bursts_ = false;
  if (!written_.empty() && batch.messages >= kBurstMessages) bursts_ = true;
  ExchangeRequest head;
  head.set_publish_id(batch.id);
  head.set_target(std::move(target));
  out = records.TakeFrame(head);
  written_.push_back(batch);
  waiting_.pop_front();
  return true;
}

// --- Publishing ---

void Session::Impl::QueueLocked(std::span<Message> messages, std::string_view target) {
  for (Message& message : messages) {
    const std::size_t bytes = WireBytes(message) + kRowOverheadBytes;
    const bool joins = !waiting_.empty() && waiting_.back().target == target &&
                       waiting_.back().batch.messages < kMaxBatchMessages &&
                       waiting_.back().batch.bytes + bytes <= kFlushBytes;
    if (!joins) {
      auto& fresh = waiting_.emplace_back();
      fresh.batch.id = ++last_publish_;
      fresh.target = target;
    }
    auto& [batch, joined, records] = waiting_.back();
    ++batch.messages;
    batch.bytes += bytes;
    AddToWindowLocked(bytes);
    records.Add(std::move(message));
  }
}

absl::StatusOr<std::uint64_t> Session::Impl::Publish(std::span<Message> messages,
                                                     std::string_view target) {
  for (const Message& message : messages) {
    if (auto status = Check(message); !status.ok()) return status;
  }
  std::unique_lock lock(mutex_);
  if (OnOwnThread() && full_ && !end_) {
    return MakeError(absl::StatusCode::kResourceExhausted, "WINDOW_FULL",
                     "The handler publishes faster than the mesh takes it. Publish from another "
                     "thread, or drop.");
  }
  room_.wait(lock, [this] { return end_ || !full_; });
  if (end_ || discarding_) return Ended(end_.value_or(absl::OkStatus()));
  QueueLocked(messages, target);
  if (bursts_ && written_.empty()) {
    PumpSoonLocked();
  } else {
    PumpLocked();
  }
  return last_publish_;
}

absl::Status Session::Impl::AnswerLocked(const v1::Published& answer, std::vector<Published>& out) {
  if (written_.empty() || written_.front().id != answer.publish_id()) {
    return MakeError(
        absl::StatusCode::kInternal, "BAD_FRAME",
        fmt::format("The peer answered batch {}, which is not the next one. Check that client and "
                    "peermeshd are of compatible versions.",
                    answer.publish_id()));
  }
  const Batch batch = written_.front();
  written_.pop_front();
  TakeFromWindowLocked(batch.bytes);
  Published published{batch.id, batch.messages, Receipt{}};
  if (answer.has_error()) {
    published.receipt = FromProto(answer.error());
    if (published.receipt.ok())
      published.receipt = absl::UnknownError("The peer refused without a reason.");
    if (first_refusal_.ok()) first_refusal_ = published.receipt.status();
  } else {
    published.receipt = FromProto(answer.accepted());
  }
  out.push_back(std::move(published));
  return absl::OkStatus();
}

absl::Status Session::Impl::Flush(SteadyClock::time_point deadline) {
  PM_CHECK(!OnOwnThread());
  std::unique_lock lock(mutex_);
  const std::uint64_t last = last_publish_;
  const bool done =
      changed_.wait_until(lock, deadline, [&] { return end_ || !UnansweredUpToLocked(last); });
  if (!first_refusal_.ok()) return std::exchange(first_refusal_, absl::OkStatus());
  if (!done) return TimedOut("The peer did not answer what was published");
  return UnansweredUpToLocked(last) ? Ended(*end_) : absl::OkStatus();
}

// --- Subscribing ---

absl::StatusOr<std::uint32_t> Session::Impl::Subscribe(std::string subject) {
  std::lock_guard lock(mutex_);
  if (end_) return Ended(*end_);
  if (subscriptions_.size() >= kMaxSubscriptionsPerSession) {
    return MakeError(
        absl::StatusCode::kResourceExhausted, "TOO_MANY_SUBSCRIPTIONS",
        fmt::format("A session holds at most {} subscriptions. Use wildcards, or another session.",
                    kMaxSubscriptionsPerSession));
  }
  const std::uint32_t id = next_subscription_++;
  // While there is no stream nothing is queued: the next one begins with all subscriptions.
  if (OpenLocked()) FillSubscriptionLocked(id, subject, control_.emplace_back());
  subscriptions_.emplace(id, std::move(subject));
  PumpLocked();
  return id;
}

void Session::Impl::Unsubscribe(std::uint32_t id) {
  std::lock_guard lock(mutex_);
  if (subscriptions_.erase(id) == 0) return;
  awaited_.erase(id);
  if (OpenLocked()) control_.emplace_back().add_unsubscribe(id);
  PumpLocked();
}

// --- Receiving ---

absl::Status Session::Impl::Handle(grpc::ByteBuffer& buffer) {
  const std::size_t bytes = buffer.Length();
  const absl::StatusOr<Arrived> arrived = Arrived::Parse(buffer);
  if (!arrived.ok()) return arrived.status();
  const v1::ExchangeResponse& frame = arrived->rest();
  std::vector<Event> events;
  std::vector<Published> published;
  if (frame.has_welcome()) {
    const auto& welcome = frame.welcome();
    std::lock_guard lock(mutex_);
    events.emplace_back(
        Connected{welcome.peer_id(), welcome.peer_name(), welcome.mesh_id(), welcomed_});
    welcomed_ = true;
  }
  if (auto status = arrived->TakeEvents(events); !status.ok()) return status;
  if (frame.has_go_away()) {
    const auto& grace = frame.go_away().grace();
    events.emplace_back(GoingAway{
        frame.go_away().reason(),
        std::chrono::seconds(grace.seconds()) + std::chrono::microseconds(grace.nanos() / 1000)});
  }
  for (const auto& subscribed : frame.subscribed()) {
    events.emplace_back(
        Subscribed{{subscribed.ids().begin(), subscribed.ids().end()},
                   {subscribed.unconfirmed_peers().begin(), subscribed.unconfirmed_peers().end()}});
    std::lock_guard lock(mutex_);
    for (const std::uint32_t id : subscribed.ids()) awaited_.erase(id);
  }
  if (frame.published_size() != 0) {
    std::lock_guard lock(mutex_);
    for (const auto& answer : frame.published()) {
      if (auto status = AnswerLocked(answer, published); !status.ok()) return status;
    }
  }
  Emit(std::move(events), bytes, std::move(published));
  return absl::OkStatus();
}

void Session::Impl::Closed(const Ending& ending) {
  std::vector<Event> events;
  std::vector<Published> published;
  const absl::Status lost = MakeError(
      absl::StatusCode::kUnavailable, "CONNECTION_LOST",
      fmt::format("The connection broke before the answer ({}). The messages may or may "
                  "not have been accepted: "
                  "publish them again if doing so twice does no harm.",
                  ending.status.ok() ? "the peer ended it" : std::string(ending.status.message())));
  {
    std::lock_guard lock(mutex_);
    last_ending_ = ending.status;
    if (ending.answered && !ending.final) events.emplace_back(Disconnected{ending.status});
    for (const Batch& batch : written_) {
      // At the end nobody gets room: a Publish that waits for it is to learn of the end.
      if (!ending.final) TakeFromWindowLocked(batch.bytes);
      published.push_back({batch.id, batch.messages, lost});
    }
    if (!written_.empty() && first_refusal_.ok()) first_refusal_ = lost;
    written_.clear();
  }
  Emit(std::move(events), 0, std::move(published));
  if (!ending.final) return;
  absl::Status end;
  {
    std::lock_guard lock(mutex_);
    end_ = end = StoppingLocked() ? absl::OkStatus() : ending.status;
    changed_.notify_all();
    room_.notify_all();
  }
  if (options_.on_end) options_.on_end(Ended(end));
}

void Session::Impl::Emit(std::vector<Event> events, std::size_t bytes,
                         std::vector<Published> published) {
  if (options_.on_published) {
    for (const Published& answer : published) options_.on_published(answer);
  }
  if (options_.on_events && !events.empty()) options_.on_events(events);
  std::lock_guard lock(mutex_);
  if (!options_.on_events && !events.empty() && !discarding_) {
    queued_bytes_ += bytes;
    frames_.push_back({std::move(events), bytes});
  }
  changed_.notify_all();
}

absl::StatusOr<std::optional<Event>> Session::Impl::Next(Duration timeout) {
  PM_CHECK(!OnOwnThread());
  if (next_event_ == current_.size()) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, timeout, [this] { return end_ || !frames_.empty(); });
    if (frames_.empty()) {
      if (end_) return Ended(*end_);
      return std::nullopt;
    }
    current_ = std::move(frames_.front().events);
    next_event_ = 0;
    queued_bytes_ -= frames_.front().bytes;
    frames_.pop_front();
    PumpLocked();
  }
  return std::move(current_[next_event_++]);
}

absl::Status Session::Impl::Close(Duration timeout) {
  const auto deadline = SteadyClock::now() + timeout;
  const absl::Status flushed = Flush(deadline);
  {
    std::unique_lock lock(mutex_);
    if (!subscriptions_.empty()) {
      // The peer ends the stream when no subscription is left.
      auto& request = control_.emplace_back();
      for (const auto& entry : subscriptions_) request.add_unsubscribe(entry.first);
      subscriptions_.clear();
    }
    discarding_ = true;
    if (OpenLocked()) {
      HalfCloseLocked();
    } else {
      CancelLocked();
    }
    const bool ended = changed_.wait_until(lock, deadline, [this] { return end_.has_value(); });
    if (!ended) CancelLocked();
    if (!flushed.ok()) return flushed;
    if (!ended) return TimedOut("The peer did not close the session");
    return *end_;
  }
}

// --- Session ---

Session::Session(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Session::~Session() = default;

absl::StatusOr<std::unique_ptr<Session>> Session::Open(std::shared_ptr<grpc::Channel> channel,
                                                       std::string label, SessionOptions options,
                                                       Duration timeout) {
  auto impl = std::make_unique<Impl>(channel, std::move(label), std::move(options));
  if (auto status = impl->AwaitOpen(timeout); !status.ok()) return status;
  return std::unique_ptr<Session>(new Session(std::move(impl)));
}

absl::StatusOr<std::uint64_t> Session::Publish(std::vector<Message> messages,
                                               std::string_view target) {
  return impl_->Publish(messages, target);
}

absl::StatusOr<std::uint64_t> Session::Publish(std::string subject, std::string payload) {
  Message message{.subject = std::move(subject), .payload = std::move(payload)};
  return impl_->Publish({&message, 1}, {});
}

absl::Status Session::Flush(Duration timeout) { return impl_->Flush(SteadyClock::now() + timeout); }
absl::StatusOr<std::uint32_t> Session::Subscribe(std::string subject) {
  return impl_->Subscribe(std::move(subject));
}
void Session::Unsubscribe(std::uint32_t id) { impl_->Unsubscribe(id); }
absl::StatusOr<std::optional<Event>> Session::Next(Duration timeout) {
  return impl_->Next(timeout);
}
absl::Status Session::Close(Duration timeout) { return impl_->Close(timeout); }
void Session::Cancel() { impl_->Cancel(); }

}  // namespace peermesh::client
