#include "client/cli/publisher.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "client/cli/output.h"
#include "mesh/base/check.h"
#include "metrics/ledger/kinds.h"

namespace peermesh::cli {
namespace {

constexpr std::uint64_t kBatchesPerSecond = 100;  // with a rate: how smooth it is
constexpr Duration kShortestRateWait = std::chrono::milliseconds(1);

// gRPC's own words for a connection that broke have no reason.
absl::Status Lost(const absl::Status& end) {
  if (!client::ReasonOf(end).empty()) return end;
  return client::MakeError(
      absl::StatusCode::kUnavailable, "CONNECTION_LOST",
      fmt::format("The connection to the peer broke ({}). See whether it runs: \"peermesh "
                  "health\".",
                  std::string(end.message())));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Publisher>> Publisher::Open(client::Client& client,
                                                           Options options) {
  std::unique_ptr<Publisher> publisher(new Publisher(std::move(options)));
  client::SessionOptions session;
  session.reconnect = false;  // what is lost with a connection would leave a hole
  session.on_events = [p = publisher.get()](std::span<client::Event> e) { p->OnEvents(e); };
  session.on_published = [p = publisher.get()](const client::Published& a) { p->OnPublished(a); };
  session.on_end = [p = publisher.get()](const absl::Status& end) { p->OnEnd(end); };
  auto opened = client.OpenSession(std::move(session));
  if (!opened.ok()) return opened.status();
  publisher->session_ = *std::move(opened);
  return publisher;
}

Publisher::Publisher(Options options)
    : options_(std::move(options)),
      wake_(ledger::UniqueFd(eventfd(0, EFD_CLOEXEC), ledger::kProcessFd, ledger::Scope{})),
      largest_batch_(options_.rate == 0
                         ? kMaxBatchMessages
                         : std::clamp<std::uint64_t>(options_.rate / kBatchesPerSecond, 1,
                                                     kMaxBatchMessages)) {
  PM_CHECK(static_cast<bool>(wake_));
}

Publisher::~Publisher() = default;

void Publisher::Stop(const absl::Status& why) {
  const std::lock_guard lock(mutex_);
  if (!stop_.ok()) return;
  stop_ = why;
  stopped_ = SteadyClock::now();
  PM_CHECK(eventfd_write(wake_.get(), 1) == 0);
  changed_.notify_all();
}

void Publisher::Close() {
  // Every answer is in: how the stream ends changes nothing any more.
  session_->Close(kLastAnswer).IgnoreError();
}

// --- The session's thread ---

void Publisher::OnEvents(std::span<client::Event> events) {
  for (const client::Event& event : events) {
    if (!std::holds_alternative<client::GoingAway>(event)) continue;
    Stop(client::MakeError(absl::StatusCode::kUnavailable, "DRAINING",
                           "The peer is leaving the mesh. Publish the rest when it is back, or "
                           "through another peer."));
  }
}

void Publisher::OnPublished(const client::Published& answer) {
  const std::lock_guard lock(mutex_);
  answer_ = answer;
  changed_.notify_all();
}

void Publisher::OnEnd(const absl::Status& end) {
  Stop(Lost(end));
  const std::lock_guard lock(mutex_);
  ended_ = true;
  changed_.notify_all();
}

// --- The publishing thread ---

absl::Status Publisher::Publish(std::uint64_t count, const PayloadOf& payload_of) {
  for (std::uint64_t done = 0; done < count;) {
    if (options_.rate != 0) {
      // A schedule, not a pause: a late batch is made up for.
      const std::chrono::microseconds due(1'000'000 * counts_.accepted / options_.rate);
      if (auto status = WaitUntil(start_ + due); !status.ok()) return status;
    }
    std::vector<client::Message> batch = TakeBatch(done, count, payload_of);
    const std::size_t messages = batch.size();
    absl::Status status = Send(std::move(batch));
    if (status.ok()) {
      done += messages;
      rate_waited_ = Duration::zero();
    } else if (status = AwaitRate(std::move(status), messages); !status.ok()) {
      return status;
    }
  }
  return absl::OkStatus();
}

// As many of the payloads from `first` on as the session sends in one batch.
std::vector<client::Message> Publisher::TakeBatch(std::uint64_t first, std::uint64_t count,
                                                  const PayloadOf& payload_of) const {
  std::vector<client::Message> batch;
  std::size_t bytes = 0;
  for (std::uint64_t i = first; i < count && batch.size() < largest_batch_; ++i) {
    client::Message message{options_.subject, payload_of(i), {}, {}, {}};
    bytes += client::WireBytes(message) + kRowOverheadBytes;
    if (!batch.empty() && bytes > kFlushBytes) break;
    batch.push_back(std::move(message));
  }
  return batch;
}

absl::Status Publisher::Send(std::vector<client::Message> batch) {
  const std::size_t messages = batch.size();
  std::uint64_t bytes = 0;
  for (const auto& message : batch) bytes += message.payload.size();
  {
    const std::lock_guard lock(mutex_);
    if (!stop_.ok()) return stop_;
    answer_.reset();
  }
  const auto queued = session_->Publish(std::move(batch), options_.target);
  std::unique_lock lock(mutex_);
  if (!queued.ok()) return stop_.ok() ? queued.status() : stop_;
  const auto deadline = SteadyClock::now() + kAnswerTimeout;
  const auto until = [&] {
    return stop_.ok() ? deadline : std::min(deadline, stopped_ + kLastAnswer);
  };
  while (!answer_ && !ended_ && SteadyClock::now() < until()) changed_.wait_until(lock, until());
  if (!answer_) {
    counts_.unknown += messages;
    if (!stop_.ok()) return stop_;
    return absl::DeadlineExceededError(
        "The peer did not answer in time: subscribers hold it up. See \"peermesh status\" and its "
        "log.");
  }
  PM_CHECK(answer_->messages == messages);
  return Book(*answer_, bytes);
}

// What the answer comes to. Lock held.
absl::Status Publisher::Book(const client::Published& answer, std::uint64_t bytes) {
  const absl::Status& status = answer.receipt.status();
  if (!status.ok()) {
    const bool lost = client::ReasonOf(status) == "CONNECTION_LOST";
    if (lost) counts_.unknown += answer.messages;
    return lost && !stop_.ok() ? stop_ : status;
  }
  counts_.accepted += answer.messages;
  counts_.bytes += bytes;
  counts_.most_interested = std::max(counts_.most_interested, answer.receipt->interested_peers);
  counts_.unreachable |= !answer.receipt->unreachable_peers.empty();
  return absl::OkStatus();
}

// OK if the batch may be tried again; else what to end with.
absl::Status Publisher::AwaitRate(absl::Status refusal, std::size_t messages) {
  if (client::ReasonOf(refusal) != "RATE_LIMITED") return refusal;
  const Duration wait =
      std::max(client::RetryAfter(refusal).value_or(client::kLongestRetry), kShortestRateWait);
  if (wait > kLongestRateWait && messages > 1) {
    largest_batch_ = messages / 2;  // more than the limit ever lets through at once
    return absl::OkStatus();
  }
  rate_waited_ += wait;
  if (rate_waited_ > kLongestRateWait) return refusal;
  if (!std::exchange(rate_told_, true)) {
    Note("The peer limits how fast this may publish: going on at its pace.");
  }
  return WaitUntil(SteadyClock::now() + wait);
}

absl::Status Publisher::WaitUntil(SteadyClock::time_point time) {
  std::unique_lock lock(mutex_);
  changed_.wait_until(lock, time, [this] { return !stop_.ok(); });
  return stop_;
}

absl::Status Publisher::AwaitInput(int fd) {
  pollfd wait[] = {{fd, POLLIN, 0}, {wake_.get(), POLLIN, 0}};
  while (poll(wait, 2, -1) < 0 && errno == EINTR) continue;
  const std::lock_guard lock(mutex_);
  return stop_;
}

}  // namespace peermesh::cli
