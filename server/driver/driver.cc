#include "server/driver/driver.h"

#include <sys/random.h>

#include <condition_variable>
#include <utility>

#include "mesh/base/check.h"

namespace peermesh::driver {

Instant SteadyNow() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return Instant(std::chrono::duration_cast<Duration>(now));
}

WallTime WallNow() {
  return std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now());
}

WallTime ToWall(Instant instant) { return WallNow() + (instant - SteadyNow()); }

Rng::Seed OsSeed() {
  Rng::Seed seed{};
  std::size_t have = 0;
  while (have < sizeof(seed)) {
    const ssize_t got =
        getrandom(reinterpret_cast<char*>(seed.data()) + have, sizeof(seed) - have, 0);
    PM_CHECK(got > 0);
    have += static_cast<std::size_t>(got);
  }
  return seed;
}

Driver::Driver(std::unique_ptr<node::Node> node, World& world, link::Queue& timers,
               std::unique_ptr<journal::Writer> journal)
    : node_(std::move(node)), world_(world), timers_(timers), journal_(std::move(journal)) {
  PM_CHECK(node_ != nullptr);
}

Driver::~Driver() { PM_CHECK(stopped_); }

void Driver::Start() { Enqueue(WakeUp{}); }

void Driver::Post(node::Input input) { Enqueue(std::move(input)); }

void Driver::Look(std::function<void(const node::Node&)> look) { Enqueue(std::move(look)); }

bool Driver::LookNow(const std::function<void(const node::Node&)>& look) {
  // Shared, because a driver that stops drops the look, and then nobody may touch this frame.
  struct Wait {
    std::mutex mutex;
    std::condition_variable changed;
    bool done = false, dropped = false;
  };
  const auto wait = std::make_shared<Wait>();
  // The guard's end tells of a look that was dropped unrun.
  std::shared_ptr<void> guard(nullptr, [wait](void*) {
    const std::lock_guard lock(wait->mutex);
    wait->dropped = !wait->done;
    wait->changed.notify_all();
  });
  Enqueue(Look_([&look, wait, guard = std::move(guard)](const node::Node& node) {
    look(node);
    const std::lock_guard lock(wait->mutex);
    wait->done = true;
    wait->changed.notify_all();
  }));
  std::unique_lock lock(wait->mutex);
  wait->changed.wait(lock, [&] { return wait->done || wait->dropped; });
  return wait->done;
}

void Driver::Enqueue(Entry entry) {
  {
    const std::lock_guard lock(mutex_);
    if (stopped_) return;
    inbox_.push_back(std::move(entry));
    if (turning_) return;  // whoever turns will find it
    turning_ = true;
  }
  for (;;) {
    {
      const std::lock_guard lock(mutex_);
      if (inbox_.empty() || stopped_) {
        inbox_.clear();
        turning_ = false;
        idle_.notify_all();
        return;
      }
      batch_.swap(inbox_);
    }
    Turn(batch_);
    batch_.clear();
  }
}

void Driver::Turn(std::vector<Entry>& entries) {
  effects_.clear();
  const Instant now = SteadyNow();
  const bool wake = node_->NextWake() <= now;
  if (journal_ != nullptr) Record(now, wake, entries);
  // Own duties before strangers' frames.
  if (wake) node_->Wake(now, effects_);
  for (Entry& entry : entries) {
    if (auto* input = std::get_if<node::Input>(&entry)) {
      node_->Handle(now, std::move(*input), effects_);
    } else if (auto* look = std::get_if<Look_>(&entry)) {
      (*look)(*node_);
    }
  }
  if (journal_ != nullptr) journal_->Done(effects_, *node_);
  for (node::Effect& effect : effects_) {
    std::visit([this](auto& wish) { world_.Perform(std::move(wish)); }, effect);
  }
  Arm();
}

void Driver::Record(Instant now, bool wake, const std::vector<Entry>& entries) {
  journal_->Begin(now, wake);
  for (const Entry& entry : entries) {
    if (const auto* input = std::get_if<node::Input>(&entry)) journal_->Add(*input);
  }
  journal_->Commit();
}

// Keeps one timer at or before the node's next deadline.
void Driver::Arm() {
  const Instant next = node_->NextWake();
  const Instant now = SteadyNow();
  if (armed_ <= now) armed_ = kNever;  // it has fired, or is about to
  if (next == kNever || armed_ <= next) return;
  timers_.CancelTimer(timer_);
  armed_ = next;
  const auto when = link::Queue::Clock::time_point(
      std::chrono::duration_cast<link::Queue::Clock::duration>(next.time_since_epoch()));
  timer_ = timers_.SetTimer(when, [this] { Enqueue(WakeUp{}); });
}

void Driver::Stop() {
  std::unique_lock lock(mutex_);
  stopped_ = true;
  idle_.wait(lock, [this] { return !turning_; });
  timers_.CancelTimer(std::exchange(timer_, 0));
  if (journal_ != nullptr) journal_->End(*node_);
}

}  // namespace peermesh::driver
