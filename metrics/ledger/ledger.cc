#include "metrics/ledger/ledger.h"

#include <execinfo.h>
#include <time.h>

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace peermesh::ledger {
namespace {

// A mistake of the program that no caller can handle.
[[noreturn]] void Abort(const char* what, const char* name) {
  std::fprintf(stderr, "resource ledger: %s: %s\n", what, name);
  std::abort();
}

constexpr int kOwnFrames = 1;        // Acquire itself; Handle is inline
constexpr std::size_t kBlock = 128;  // entries acquired from the heap at a time: some 15 kB

}  // namespace

struct Ledger::Entry {
  std::uint64_t id = 0;  // 0: free
  Shard* shard = nullptr;
  Entry* next_free = nullptr;
  ScopeRecord* scope = nullptr;  // holds a reference
  Site site;
  std::atomic<Duration::rep> touched{0}, deadline{0};  // 0: no deadline
  Duration::rep born = 0;
  std::uint64_t amount = 0;
  std::unique_ptr<Particulars> particulars;
  bool keeps_touches = false;
  Kind kind;
};

struct alignas(64) Ledger::Shard {
  mutable std::mutex mutex;
  std::uint64_t next_id = 0;
  Entry* free = nullptr;
  std::vector<std::unique_ptr<std::array<Entry, kBlock>>> blocks;
  std::array<Counts, kMaxKinds> counts{};

  Entry& Take() {
    if (free == nullptr) {
      blocks.push_back(std::make_unique<std::array<Entry, kBlock>>());
      for (auto entry = blocks.back()->rbegin(); entry != blocks.back()->rend(); ++entry) {
        entry->shard = this;
        entry->next_free = std::exchange(free, &*entry);
      }
    }
    return *std::exchange(free, free->next_free);
  }
  void Count(const Entry& entry, Time now, Outcome outcome) {
    const Duration age = now - Time(Duration(entry.born));
    Counts& count = counts[entry.kind.index];
    ++count.released[static_cast<std::size_t>(outcome)];
    count.amount -= entry.amount;
    count.age_sum_ms += static_cast<std::uint64_t>(age.count());
    const auto bucket = std::lower_bound(kAgeBounds.begin(), kAgeBounds.end(), age.count());
    ++count.ages[static_cast<std::size_t>(bucket - kAgeBounds.begin())];
  }
};

Time CoarseNow() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return Time(Duration(now.tv_sec * 1000 + now.tv_nsec / 1'000'000));
}

const char* ToString(Contract contract) {
  switch (contract) {
    case Contract::kShortLived: return "short_lived";
    case Contract::kActive: return "active";
    case Contract::kLeased: return "leased";
    case Contract::kOwned: return "owned";
    case Contract::kProcess: return "process";
  }
  return "unknown";
}

const char* ToString(Outcome outcome) {
  switch (outcome) {
    case Outcome::kNormal: return "normal";
    case Outcome::kCancelled: return "cancelled";
    case Outcome::kError: return "error";
    case Outcome::kExpired: return "expired";
    case Outcome::kReaped: return "reaped";
  }
  return "unknown";
}

const char* ToString(Level level) {
  switch (level) {
    case Level::kOff: return "off";
    case Level::kTrack: return "track";
    case Level::kStacks: return "stacks";
    case Level::kParanoid: return "paranoid";
  }
  return "unknown";
}

std::optional<Level> ParseLevel(std::string_view name) {
  for (const Level level : {Level::kOff, Level::kTrack, Level::kStacks, Level::kParanoid})
    if (name == ToString(level)) return level;
  return std::nullopt;
}

const char* ToString(ViolationType type) {
  switch (type) {
    case ViolationType::kDoubleRelease: return "double_release";
    case ViolationType::kForeignClose: return "foreign_close";
  }
  return "unknown";
}

std::uint64_t Counts::released_sum() const {
  std::uint64_t sum = 0;
  for (const std::uint64_t count : released) sum += count;
  return sum;
}

void Counts::Add(const Counts& other) {
  acquired += other.acquired;
  for (std::size_t i = 0; i < released.size(); ++i) released[i] += other.released[i];
  amount += other.amount;
  unlisted += other.unlisted;
  age_sum_ms += other.age_sum_ms;
  for (std::size_t i = 0; i < ages.size(); ++i) ages[i] += other.ages[i];
}

Ledger::Ledger(Time (*now)())
    : now_(now), shards_(std::make_unique<std::array<Shard, kShards>>()) {}

Ledger::~Ledger() {
  for (Shard& shard : *shards_) {
    for (const auto& block : shard.blocks) {
      for (Entry& entry : *block)
        if (entry.id != 0 && entry.scope != nullptr) entry.scope->Unref();
    }
  }
}

Ledger& Ledger::Process() {
  static auto* const ledger = new Ledger;
  return *ledger;
}

Kind Ledger::Register(const KindSpec& spec) {
  const std::lock_guard lock(register_mutex_);
  const std::size_t count = kind_count_.load(std::memory_order_relaxed);
  for (std::size_t i = 0; i < count; ++i) {
    if (std::strcmp(specs_[i].name, spec.name) != 0) continue;
    if (specs_[i].contract != spec.contract || specs_[i].limit != spec.limit)
      Abort("two contracts for one kind", spec.name);
    return Kind{static_cast<std::uint8_t>(i)};
  }
  if (count == kMaxKinds) Abort("too many kinds", spec.name);
  if (!std::has_single_bit(spec.sample)) Abort("sample is no power of two", spec.name);
  specs_[count] = spec;
  if (spec.longest_life == Duration{}) specs_[count].longest_life = std::chrono::hours(24);
  soft_limits_[count].store(spec.soft_limit, std::memory_order_relaxed);
  kind_count_.store(count + 1, std::memory_order_release);
  return Kind{static_cast<std::uint8_t>(count)};
}

Ledger::Shard& Ledger::ShardOfThread() {
  static std::atomic<std::size_t> next{0};
  static thread_local const std::size_t mine = next.fetch_add(1, std::memory_order_relaxed);
  return (*shards_)[mine % kShards];
}

Ledger::Booking Ledger::Acquire(Kind kind, const Scope& owner, Site site, std::uint64_t amount) {
  Shard& shard = ShardOfThread();
  const Level level = this->level();
  const Duration::rep now = now_().time_since_epoch().count();
  std::unique_ptr<Particulars> particulars;
  if (level >= Level::kStacks) {
    particulars = std::make_unique<Particulars>();
    std::array<void*, kMaxStack + kOwnFrames> stack;
    const int depth = ::backtrace(stack.data(), static_cast<int>(stack.size()));
    if (depth > kOwnFrames) {
      particulars->depth = static_cast<std::size_t>(depth - kOwnFrames);
      std::copy(stack.begin() + kOwnFrames, stack.begin() + depth, particulars->stack.begin());
    }
  }
  const std::lock_guard lock(shard.mutex);
  Counts& count = shard.counts[kind.index];
  const std::uint64_t number = count.acquired++;
  if (level == Level::kOff || (number & (specs_[kind.index].sample - 1)) != 0) {
    ++count.unlisted;
    return {nullptr, static_cast<std::uint64_t>(&shard - shards_->data())};
  }
  count.amount += amount;
  Entry& entry = shard.Take();
  // Never the same in this process: the shard in the low bits, and never 0.
  entry.id = ++shard.next_id * kShards + static_cast<std::uint64_t>(&shard - shards_->data());
  entry.kind = kind;
  entry.scope = owner.record();
  if (entry.scope != nullptr) entry.scope->Ref();
  entry.site = site;
  entry.born = now;
  entry.touched.store(now, std::memory_order_relaxed);
  entry.deadline.store(0, std::memory_order_relaxed);
  entry.amount = amount;
  entry.particulars = std::move(particulars);
  entry.keeps_touches = level == Level::kParanoid;
  return {&entry, entry.id};
}

void Ledger::Release(const Booking& booking, Kind kind, Outcome outcome, Site site) {
  if (booking.entry == nullptr) {
    Shard& shard = (*shards_)[booking.id];
    const std::lock_guard lock(shard.mutex);
    Counts& count = shard.counts[kind.index];
    --count.unlisted;
    ++count.released[static_cast<std::size_t>(outcome)];
    return;
  }
  Entry& entry = *booking.entry;
  const Time now = now_();
  ScopeRecord* scope = nullptr;
  bool booked = true;
  {
    const std::lock_guard lock(entry.shard->mutex);
    if (entry.id == booking.id) {
      entry.shard->Count(entry, now, outcome);
      entry.id = 0;
      entry.next_free = std::exchange(entry.shard->free, &entry);
      entry.particulars.reset();
      scope = std::exchange(entry.scope, nullptr);
    } else {
      booked = false;
    }
  }
  if (scope != nullptr) scope->Unref();
  if (!booked)
    Report(ViolationType::kDoubleRelease, kind, site, "entry " + std::to_string(booking.id));
}

void Ledger::Touch(Entry& entry, Time now) {
  entry.touched.store(now.time_since_epoch().count(), std::memory_order_relaxed);
  if (!entry.keeps_touches) return;
  const std::lock_guard lock(entry.shard->mutex);
  auto& touches = entry.particulars->touches;
  std::move_backward(touches.begin(), touches.end() - 1, touches.end());
  touches[0] = now;
}

void Ledger::SetDeadline(Entry& entry, Time deadline) {
  entry.deadline.store(deadline.time_since_epoch().count(), std::memory_order_relaxed);
}

void Ledger::Resize(const Booking& booking, Kind kind, std::uint64_t amount) {
  if (booking.entry == nullptr) return;  // counted as 1
  const std::lock_guard lock(booking.entry->shard->mutex);
  booking.entry->shard->counts[kind.index].amount += amount - booking.entry->amount;
  booking.entry->amount = amount;
}

void Ledger::Note(const Booking& booking, std::string_view note) {
  const std::lock_guard lock(booking.entry->shard->mutex);
  auto& particulars = booking.entry->particulars;
  if (particulars == nullptr) particulars = std::make_unique<Particulars>();
  particulars->note = note.substr(0, kMaxNoteBytes);
}

std::array<Counts, kMaxKinds> Ledger::Walk(const std::function<void(const Item&)>& visit) const {
  std::array<Counts, kMaxKinds> sum{};
  for (const Shard& shard : *shards_) {
    const std::lock_guard lock(shard.mutex);
    for (std::size_t i = 0; i < kinds(); ++i) sum[i].Add(shard.counts[i]);
    if (visit == nullptr) continue;
    for (const auto& block : shard.blocks) {
      for (const Entry& entry : *block) {
        if (entry.id == 0) continue;
        const Duration::rep deadline = entry.deadline.load(std::memory_order_relaxed);
        visit({.id = entry.id,
               .kind = entry.kind,
               .site = entry.site,
               .scope = entry.scope,
               .born = Time(Duration(entry.born)),
               .touched = Time(Duration(entry.touched.load(std::memory_order_relaxed))),
               .deadline = deadline == 0 ? std::nullopt : std::optional(Time(Duration(deadline))),
               .amount = entry.amount,
               .particulars = entry.particulars.get()});
      }
    }
  }
  return sum;
}

std::array<Counts, kMaxKinds> Ledger::TakeCounts() const { return Walk(nullptr); }

void Ledger::Report(ViolationType type, Kind kind, Site site, std::string detail) {
  violation_count_.fetch_add(1, std::memory_order_relaxed);
  if (level() == Level::kParanoid) Abort(ToString(type), detail.c_str());
  const std::lock_guard lock(violations_mutex_);
  if (violations_.size() == kViolationsKept) violations_.pop_front();
  violations_.push_back({type, kind, site, std::move(detail), now_()});
}

std::vector<Violation> Ledger::violations() const {
  const std::lock_guard lock(violations_mutex_);
  return {violations_.begin(), violations_.end()};
}

}  // namespace peermesh::ledger
