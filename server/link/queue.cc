#include "server/link/queue.h"

#include <fmt/format.h>
#include <grpc/support/time.h>
#include <grpcpp/alarm.h>
#include <grpcpp/completion_queue.h>

#include <algorithm>
#include <map>
#include <unordered_map>
#include <utility>

#include "mesh/base/check.h"
#include "metrics/ledger/handle.h"
#include "metrics/ledger/thread.h"
#include "server/link/kinds.h"
#include "server/link/stream.h"

namespace peermesh::link {
namespace {

// gRPC's monotonic clock, a whole delay from now.
gpr_timespec After(Queue::Clock::duration delay) {
  const auto nanos = std::chrono::duration_cast<std::chrono::nanoseconds>(delay).count();
  return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                      gpr_time_from_nanos(std::max<std::int64_t>(nanos, 0), GPR_TIMESPAN));
}

// The ledger counts from the same start, in milliseconds.
ledger::Time ForLedger(Queue::Clock::time_point when) {
  return ledger::Time(std::chrono::duration_cast<ledger::Duration>(when.time_since_epoch()));
}

}  // namespace

// What Post and SetTimer share with the thread. One wake-up is outstanding at most, however many
// functions wait.
struct Queue::State final : Tag {
  struct Work {
    Function run;
    ledger::Handle timer;  // none if it was posted
  };
  std::mutex mutex;
  bool stopped = false;
  bool waking = false;  // `alarm` is set and has not come back
  // What the thread's wait takes into account; min(): it is awake.
  Clock::time_point sleeping_until = Clock::time_point::min();
  std::vector<Work> posted;
  std::map<std::pair<Clock::time_point, TimerId>, Work> timers;
  std::unordered_map<TimerId, Clock::time_point> due;
  TimerId last_timer = 0;
  grpc::Alarm alarm;
  ledger::Thread thread;

  void Run(bool) override {
    const std::lock_guard lock(mutex);
    waking = false;
  }

  // With the mutex held.
  void Wake(grpc::CompletionQueue* completions) {
    if (waking || sleeping_until == Clock::time_point::min()) return;
    waking = true;
    // Long due: gRPC rounds "now" up and would leave it to its timer thread.
    alarm.Set(completions, gpr_inf_past(GPR_CLOCK_MONOTONIC), Starting(this));
  }

  // Takes what may run now: everything posted, and the timers that are due.
  std::vector<Work> Take() {
    const std::lock_guard lock(mutex);
    sleeping_until = Clock::time_point::min();
    std::vector<Work> ready = std::exchange(posted, {});
    if (timers.empty()) return ready;
    const Clock::time_point now = Clock::now();
    while (!timers.empty() && timers.begin()->first.first <= now) {
      ready.push_back(std::move(timers.begin()->second));
      due.erase(timers.begin()->first.second);
      timers.erase(timers.begin());
    }
    return ready;
  }

  // When the thread must be awake again. From here on Post and SetTimer wake it.
  Clock::time_point Sleep() {
    const std::lock_guard lock(mutex);
    if (!posted.empty()) return Clock::now();
    sleeping_until = timers.empty() ? Clock::time_point::max() : timers.begin()->first.first;
    return sleeping_until;
  }
};

Queue::Queue(std::string name, std::unique_ptr<grpc::CompletionQueue> completions)
    : name_(std::move(name)),
      completions_(std::move(completions)),
      state_(std::make_unique<State>()) {
  state_->thread = ledger::Thread(name_, ledger::kThread, ledger::Scope{}, [this] { Run(); });
}

Queue::~Queue() { PM_CHECK(!state_->thread.joinable()); }

bool Queue::Post(Function function) {
  const std::lock_guard lock(state_->mutex);
  if (state_->stopped) return false;
  state_->posted.push_back({std::move(function), {}});
  state_->Wake(completions_.get());
  return true;
}

Queue::TimerId Queue::SetTimer(Clock::time_point when, Function function, ledger::Site birth) {
  ledger::Handle timer(kTimer, ledger::Scope{}, birth);
  timer.SetDeadline(ForLedger(when));
  const std::lock_guard lock(state_->mutex);
  if (state_->stopped) return 0;
  const TimerId id = ++state_->last_timer;
  state_->timers.emplace(std::pair(when, id), State::Work{std::move(function), std::move(timer)});
  state_->due.emplace(id, when);
  if (when < state_->sleeping_until) state_->Wake(completions_.get());
  return id;
}

void Queue::CancelTimer(TimerId timer) {
  State::Work dropped;  // destroyed outside the lock: it may hold the last reference to anything
  const std::lock_guard lock(state_->mutex);
  const auto found = state_->due.find(timer);
  if (found == state_->due.end()) return;
  const auto entry = state_->timers.find({found->second, timer});
  dropped = std::move(entry->second);
  dropped.timer.End(ledger::Outcome::kCancelled);
  state_->timers.erase(entry);
  state_->due.erase(found);
}

void Queue::Run() {
  while (true) {
    const Clock::time_point until = state_->Sleep();
    const gpr_timespec deadline = until == Clock::time_point::max()
                                      ? gpr_inf_future(GPR_CLOCK_MONOTONIC)
                                      : After(until - Clock::now());
    void* tag = nullptr;
    bool ok = false;
    const auto event = completions_->AsyncNext(&tag, &ok, deadline);
    if (event == grpc::CompletionQueue::SHUTDOWN) return;
    std::vector<State::Work> ready = state_->Take();
    if (event == grpc::CompletionQueue::GOT_EVENT) {
      Returned(static_cast<Tag*>(tag));
      static_cast<Tag*>(tag)->Run(ok);
    }
    for (State::Work& work : ready) {
      std::exchange(work.run, nullptr)();
      work.timer.End();
    }
  }
}

void Queue::Stop() {
  {
    const std::lock_guard lock(state_->mutex);
    PM_CHECK(!state_->stopped);
    state_->stopped = true;
    completions_->Shutdown();
  }
  state_->thread.Join();
  state_->timers.clear();
  state_->due.clear();
  state_->posted.clear();
}

QueuePool::QueuePool(std::string name) : name_(std::move(name)) { PM_CHECK(name_.size() <= 13); }

QueuePool::~QueuePool() { PM_CHECK(streams_.empty()); }

Queue& QueuePool::Add(std::unique_ptr<grpc::CompletionQueue> completions) {
  queues_.push_back(
      std::make_unique<Queue>(fmt::format("{}-{}", name_, queues_.size()), std::move(completions)));
  return *queues_.back();
}

void QueuePool::AddClientQueues(int count) {
  for (int i = 0; i < count; ++i) Add(std::make_unique<grpc::CompletionQueue>());
}

Queue& QueuePool::Next() {
  PM_CHECK(!queues_.empty());
  return *queues_[turn_.fetch_add(1, std::memory_order_relaxed) % queues_.size()];
}

std::size_t QueuePool::live_streams() const {
  const std::lock_guard lock(mutex_);
  return streams_.size();
}

std::vector<StreamRow> QueuePool::Table() const {
  std::vector<StreamRow> rows;
  {
    const std::lock_guard lock(mutex_);
    rows.reserve(streams_.size());
    for (const auto& [raw, stream] : streams_) rows.push_back(stream->Row());
  }
  std::sort(rows.begin(), rows.end(),
            [](const StreamRow& a, const StreamRow& b) { return a.age > b.age; });
  return rows;
}

std::vector<std::shared_ptr<Stream>> QueuePool::Live() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<Stream>> live;
  live.reserve(streams_.size());
  for (const auto& [raw, stream] : streams_) live.push_back(stream);
  return live;
}

void QueuePool::CancelAll(const std::string& why) {
  for (const auto& stream : Live()) stream->Cancel(why);
}

void QueuePool::CutCancelled() {
  for (const auto& stream : Live()) stream->CutIfCancelled();
}

void QueuePool::WaitUntilIdle() const {
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [this] { return streams_.empty(); });
}

bool QueuePool::WaitUntilIdle(Queue::Clock::time_point deadline) const {
  std::unique_lock lock(mutex_);
  return idle_.wait_until(lock, deadline, [this] { return streams_.empty(); });
}

void QueuePool::Stop() {
  PM_CHECK(live_streams() == 0);
  for (const auto& queue : queues_) queue->Stop();
}

void QueuePool::Enter(std::shared_ptr<Stream> stream) {
  const std::lock_guard lock(mutex_);
  Stream* raw = stream.get();
  streams_.emplace(raw, std::move(stream));
}

void QueuePool::Leave(Stream* stream) {
  std::shared_ptr<Stream> last;  // destroyed outside the lock
  const std::lock_guard lock(mutex_);
  const auto found = streams_.find(stream);
  PM_CHECK(found != streams_.end());
  last = std::move(found->second);
  streams_.erase(found);
  if (streams_.empty()) idle_.notify_all();
}

std::string ToText(const std::vector<StreamRow>& table) {
  std::string text;
  for (const StreamRow& row : table) {
    text += fmt::format("{} {} {}, {} ms old, {}\n", row.method, row.server ? "from" : "to",
                        row.peer, row.age.count(), row.state);
  }
  return text;
}

}  // namespace peermesh::link
