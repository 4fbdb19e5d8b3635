// The ledger: every resource of the process with its kind, owner, place of birth, age and last use.
//
// Each kind is booked twice, as two counts (acquired, released) and as entries that a walk counts;
// the two must agree, always. Who judges what is in the books is the auditor (auditor.h); who makes
// entries is Handle (handle.h).
//
// Cost: an acquire with its release 200 ns at most, a touch 20 ns, a count alone 30 ns; a walk
// locks a sixteenth of the entries at a time. Entries live in blocks that are never given back, so
// a handle whose memory was overwritten cannot take the books with it, and a release of what was
// released before is seen.
//
// Thread-safe.
#ifndef PEERMESH_METRICS_LEDGER_LEDGER_H_
#define PEERMESH_METRICS_LEDGER_LEDGER_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "metrics/ledger/kind.h"
#include "metrics/ledger/scope.h"
#include "metrics/ledger/site.h"
#include "metrics/ledger/time.h"

namespace peermesh::ledger {

// What is remembered of an entry. May be changed at any time; entries made at a lower level stay
// what they are.
enum class Level : std::uint8_t {
  kOff,       // counts alone
  kTrack,     // owner, place, age, last use
  kStacks,    // and the stack of its birth
  kParanoid,  // and the last touches; a violation ends the process
};
const char* ToString(Level level);
std::optional<Level> ParseLevel(std::string_view name);

enum class ViolationType : std::uint8_t {
  kDoubleRelease,  // released twice, or by somebody who never acquired it
  kForeignClose,   // a descriptor of ours was closed by somebody else
};
const char* ToString(ViolationType type);

// Upper bounds of the ages at release, in milliseconds; one more bucket is for all above.
inline constexpr std::array<Duration::rep, 7> kAgeBounds = {10,     100,     1'000,    10'000,
                                                            60'000, 600'000, 3'600'000};

struct Counts {
  std::uint64_t acquired = 0;
  std::array<std::uint64_t, kOutcomes> released{};
  std::uint64_t unlisted = 0;  // live, but counted alone
  // Of entries only: bytes, or what the kind counts, of those live; ages of those released.
  std::uint64_t amount = 0;
  std::uint64_t age_sum_ms = 0;
  std::array<std::uint64_t, kAgeBounds.size() + 1> ages{};

  std::uint64_t released_sum() const;
  std::uint64_t live() const { return acquired - released_sum(); }
  void Add(const Counts& other);
};

inline constexpr std::size_t kMaxStack = 16;
inline constexpr std::size_t kTouchesKept = 4;
inline constexpr std::size_t kMaxNoteBytes = 128;

// What only some entries have.
struct Particulars {
  std::string note;  // method, client library: whatever helps to find the culprit
  std::array<void*, kMaxStack> stack{};
  std::size_t depth = 0;
  std::array<Time, kTouchesKept> touches{};  // the last ones, newest first
};

// One live resource, as a walk sees it. Valid during the visit; `scope` may be kept with Ref().
struct Item {
  std::uint64_t id = 0;
  Kind kind;
  Site site;
  ScopeRecord* scope = nullptr;  // null: the process
  Time born{}, touched{};
  std::optional<Time> deadline;
  std::uint64_t amount = 0;
  const Particulars* particulars = nullptr;
};

struct Violation {
  ViolationType type{};
  Kind kind;
  Site site;
  std::string detail;
  Time at{};
};
inline constexpr std::size_t kViolationsKept = 64;

class Ledger {
 public:
  explicit Ledger(Time (*now)() = &CoarseNow);
  ~Ledger();
  Ledger(const Ledger&) = delete;
  Ledger& operator=(const Ledger&) = delete;
  // The one of this process. Never destroyed: threads may end after main.
  static Ledger& Process();

  // The same name twice is the same kind. At most kMaxKinds; more, or another contract under a name
  // that is taken, is a mistake of the program and ends it.
  Kind Register(const KindSpec& spec);
  const KindSpec& spec(Kind kind) const { return specs_[kind.index]; }
  // How many are meant to exist; at first what its kind says. For limits that are configured.
  void SetSoftLimit(Kind kind, std::uint64_t limit) {
    soft_limits_[kind.index].store(limit, std::memory_order_relaxed);
  }
  std::uint64_t soft_limit(Kind kind) const {
    return soft_limits_[kind.index].load(std::memory_order_relaxed);
  }
  std::size_t kinds() const { return kind_count_.load(std::memory_order_acquire); }

  Level level() const { return level_.load(std::memory_order_relaxed); }
  void SetLevel(Level level) { level_.store(level, std::memory_order_relaxed); }
  Time now() const { return now_(); }

  // `visit` sees every entry once; it may not book. Returns the counts of the same moment, shard by
  // shard: acquired - released is the number of visits plus the unlisted.
  std::array<Counts, kMaxKinds> Walk(const std::function<void(const Item&)>& visit) const;
  std::array<Counts, kMaxKinds> TakeCounts() const;

  void Report(ViolationType type, Kind kind, Site site, std::string detail);
  // In order; the newest kViolationsKept.
  std::vector<Violation> violations() const;
  std::uint64_t violation_count() const { return violation_count_.load(std::memory_order_relaxed); }

 private:
  friend class Handle;
  struct Entry;
  struct Shard;
  struct Booking {
    Entry* entry = nullptr;  // null: counted alone
    std::uint64_t id = 0;    // of the entry, or the place it is counted at
  };

  Booking Acquire(Kind kind, const Scope& owner, Site site, std::uint64_t amount);
  void Release(const Booking& booking, Kind kind, Outcome outcome, Site site);
  static void Touch(Entry& entry, Time now);
  static void SetDeadline(Entry& entry, Time deadline);
  void Resize(const Booking& booking, Kind kind, std::uint64_t amount);
  void Note(const Booking& booking, std::string_view note);

  static constexpr std::size_t kShards = 16;
  Shard& ShardOfThread();

  Time (*const now_)();
  std::atomic<Level> level_{Level::kTrack};
  std::array<KindSpec, kMaxKinds> specs_{};
  std::array<std::atomic<std::uint64_t>, kMaxKinds> soft_limits_{};
  std::atomic<std::size_t> kind_count_{0};
  std::mutex register_mutex_;
  const std::unique_ptr<std::array<Shard, kShards>> shards_;

  mutable std::mutex violations_mutex_;
  std::deque<Violation> violations_;
  std::atomic<std::uint64_t> violation_count_{0};
};

}  // namespace peermesh::ledger

#endif  // PEERMESH_METRICS_LEDGER_LEDGER_H_
