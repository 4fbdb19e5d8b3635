// Statistics of one kind or place over hours: the weak rules. They say "look here", never "alert".
//
// A growth slope on what is live is no evidence: every ramp and every morning has one. Two figures
// are not fooled by load: how many different ages are alive (a leak leaves some of every age), and
// Little's law (live = arrivals x mean life, whatever the load).
//
// Not thread-safe; owned by the auditor.
#ifndef PEERMESH_METRICS_LEDGER_TREND_H_
#define PEERMESH_METRICS_LEDGER_TREND_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

#include "metrics/ledger/time.h"

namespace peermesh::ledger {

// Whether a sequence rises: Mann-Kendall's z. 0 for fewer than three values.
double MannKendall(const std::deque<double>& values);

// Birth cohorts of ten minutes still alive at one place of birth.
class CohortTrend {
 public:
  static constexpr Duration kWidth = std::chrono::minutes(10);
  static constexpr std::size_t kWindow = 13;  // two hours, both ends
  static constexpr double kRise = 6;          // cohorts more at the end of it than at its beginning
  static constexpr double kZ = 2.6;           // 1 in 100 by chance

  // Once every kWidth: how many cohorts are alive.
  void Add(std::size_t alive);
  bool rising() const;

 private:
  std::deque<double> alive_;
};

// More live than (arrivals a second) x (mean life at release) explains.
class LittlesLaw {
 public:
  static constexpr double kTimes = 4;    // as many as the law says ...
  static constexpr double kBeside = 16;  // ... and some more
  static constexpr Duration kFor = std::chrono::minutes(30);

  // Once a minute: totals since the start.
  void Add(Time now, std::uint64_t acquired, std::uint64_t released, std::uint64_t age_sum_ms,
           std::uint64_t live);
  // What the law allows, while it has been broken for kFor.
  std::optional<double> broken(Time now) const;

 private:
  std::optional<Time> last_, since_;
  std::uint64_t acquired_ = 0, released_ = 0, age_sum_ms_ = 0;
  double rate_ = 0, life_ms_ = 0;  // averages that forget with a half-life of ten minutes
  double expected_ = 0;
};

}  // namespace peermesh::ledger

#endif  // PEERMESH_METRICS_LEDGER_TREND_H_
