// The auditor: judges what is in the ledger, and compares it with what others count.
//
// Every sweep walks the books once and applies the rules of verdict.h to each kind and place of
// birth. A verdict needs two sweeps and one suspect that was there both times; what comes back is
// cleared, and counted as such. A sweep that comes late (the process was stopped, the machine
// asleep) proves nothing about idleness and confirms nothing.
//
// Verdicts are bounded by kMaxVerdicts, the oldest cleared ones go first. Thread-safe; sweeps run
// one at a time, on whichever thread asks.
#ifndef PEERMESH_METRICS_LEDGER_AUDITOR_H_
#define PEERMESH_METRICS_LEDGER_AUDITOR_H_

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "metrics/ledger/excess.h"
#include "metrics/ledger/findings.h"
#include "metrics/ledger/kernel.h"
#include "metrics/ledger/ledger.h"
#include "metrics/ledger/suppressions.h"
#include "metrics/ledger/trend.h"
#include "metrics/ledger/verdict.h"

namespace peermesh::ledger {

inline constexpr Duration kSweepEvery = std::chrono::seconds(2);
inline constexpr Duration kOrphanGrace = std::chrono::seconds(5);  // as LeakCanary's
inline constexpr Duration kDeadlineGrace = std::chrono::seconds(5);
inline constexpr Duration kSkewFor =
    std::chrono::minutes(1);  // the two counts are not of one moment
inline constexpr Duration kLate = std::chrono::seconds(15);
inline constexpr Duration kClearedKept = std::chrono::hours(1);
inline constexpr std::size_t kMaxVerdicts = 256;

// One kind, counted by the ledger and by somebody who keeps count of the same for reasons of its
// own.
struct RpcCounts {
  std::string kind;  // what the verdict is about: "rpc_server", "session"
  std::int64_t elsewhere = 0, by_ledger = 0;
  std::string where = "gRPC";  // who counts elsewhere
};

// Whatever is null is not compared.
struct Sources {
  std::function<std::optional<KernelReading>()> kernel;
  std::function<std::vector<RpcCounts>()> rpcs;
  std::function<std::chrono::year_month_day()> today;  // for suppressions
};

// One kind at one moment.
struct KindView {
  KindSpec spec;
  Counts counts;
  std::uint64_t live = 0;  // by walking, and those counted alone
  Duration oldest{}, longest_idle{};
};

// One rule for one kind.
struct RuleView {
  std::string kind;
  Rule rule{};
  std::uint64_t suspects = 0;                // now, of verdicts that raise an alert or would
  std::uint64_t confirmed = 0, cleared = 0;  // verdicts, since the start
};

struct Capacity {
  std::uint64_t used = 0, limit = 0;  // 0: no limit
  std::optional<Duration> left;       // until the limit at the present pace
};

// Everything a scrape needs, of one walk.
struct Snapshot {
  std::vector<KindView> kinds;
  std::vector<RuleView> rules;  // those that apply, for every kind: a constant number
  std::map<std::string, std::uint64_t> unclaimed, baseline;  // by class: "fd_socket", "thread"
  Capacity descriptors;
  std::uint64_t violations = 0, sweeps = 0;
  std::chrono::microseconds last_sweep{};  // what it took
};

class Auditor {
 public:
  Auditor(const Ledger& ledger, Sources sources) : ledger_(ledger), sources_(std::move(sources)) {}

  void SetSuppressions(Suppressions suppressions);
  // Every kSweepEvery.
  void Sweep();
  // After the drain: whatever is there and not the process's own is residue. Returns those
  // verdicts.
  std::vector<Verdict> SweepAtExit();

  // By tier, then number.
  std::vector<Verdict> verdicts() const;
  Snapshot TakeSnapshot() const;

 private:
  // What makes two findings the same verdict.
  struct Key {
    std::string kind, site;
    Rule rule{};
    auto operator<=>(const Key&) const = default;
  };
  struct Record {
    Verdict verdict;
    bool seen = false;  // by the sweep in progress
  };
  struct Totals {
    std::uint64_t confirmed = 0, cleared = 0;
  };
  struct Skew {
    Time since{};
    std::int64_t by = 0;
  };

  void AddTrends(Time now, const Walked& walked, std::vector<Finding>& findings);
  void AddViolations(Time now, std::vector<Finding>& findings) const;
  void AddKernel(Time now, std::vector<Finding>& findings);
  // Of what nobody claims: those that are not usual here, the oldest first.
  std::vector<Example> Unusual(const std::string& name, const KernelReading& reading) const;
  // Less what libraries hold for resources that are booked.
  std::map<std::string, std::uint64_t> UnclaimedIn(const KernelReading& reading) const;
  void AddSkews(Time now, std::vector<Finding>& findings);
  void Merge(Time now, bool late, std::vector<Finding> findings);
  void Clear(Time now, Record& record);
  void ForgetOld(Time now);

  const Ledger& ledger_;
  const Sources sources_;

  mutable std::mutex mutex_;
  Suppressions suppressions_;
  std::map<Key, Record> records_;
  std::map<std::pair<std::string, Rule>, Totals> totals_;
  std::uint64_t next_number_ = 1, sweeps_ = 0;
  std::optional<Time> started_, last_sweep_, last_minute_, last_cohorts_;
  std::chrono::microseconds last_duration_{};
  std::map<std::pair<std::uint8_t, std::string>, CohortTrend> cohorts_;  // by kind and place
  std::array<LittlesLaw, kMaxKinds> laws_;
  std::map<std::string, Excess> excesses_;
  std::set<std::string> usual_;  // what nobody claims, as it was when learning ended
  std::map<std::string, Skew> skews_;
  Forecast descriptors_;
  std::map<std::string, std::uint64_t> unclaimed_;
  Capacity capacity_;
};

}  // namespace peermesh::ledger

#endif  // PEERMESH_METRICS_LEDGER_AUDITOR_H_
