// What the kernel holds beyond the books, over time; and when a limit will be reached.
//
// Libraries keep descriptors and threads of their own: what is there in the first kLearning is
// their baseline. Beyond it, more for kFor and rising, is a leak that bypasses the ledger.
//
// Not thread-safe; owned by the auditor.
#ifndef PEERMESH_METRICS_LEDGER_EXCESS_H_
#define PEERMESH_METRICS_LEDGER_EXCESS_H_

#include <cstdint>
#include <deque>
#include <optional>
#include <utility>

#include "metrics/ledger/time.h"

namespace peermesh::ledger {

class Excess {
 public:
  static constexpr Duration kLearning = std::chrono::minutes(10);
  static constexpr Duration kFor = std::chrono::minutes(15);
  static constexpr std::uint64_t kSlack = 8;  // a resolver's socket, a file being read: guess

  // `started`: the process, or whoever watches it.
  explicit Excess(Time started) : started_(started) {}
  // Every sweep: how many nobody claims. True while these are what is usual here.
  bool Add(Time now, std::uint64_t unclaimed);
  // Those beyond the baseline, if they have been too many for kFor and are more than before.
  std::optional<std::uint64_t> found(Time now) const;
  std::uint64_t baseline() const { return baseline_; }

 private:
  Time started_;
  std::optional<Time> since_;
  std::uint64_t baseline_ = 0, at_since_ = 0, latest_ = 0;
};

// Linear forecast for a figure with a limit. Information, never an alert: a ramp looks the same.
class Forecast {
 public:
  static constexpr Duration kEvery = std::chrono::seconds(10);
  static constexpr std::size_t kSamples = 31;  // five minutes

  void Add(Time now, std::uint64_t used);
  // How long until `limit` at the present pace (Theil-Sen); nullopt when it does not rise.
  std::optional<Duration> Until(std::uint64_t limit) const;

 private:
  std::deque<std::pair<Time, double>> samples_;
};

}  // namespace peermesh::ledger

#endif  // PEERMESH_METRICS_LEDGER_EXCESS_H_
