// The ledger's clock: milliseconds since an arbitrary start, monotonic, and injected, so that
// twelve hours of a leak fit into a test of seconds.
#ifndef PEERMESH_METRICS_LEDGER_TIME_H_
#define PEERMESH_METRICS_LEDGER_TIME_H_

#include <chrono>

namespace peermesh::ledger {

using Duration = std::chrono::milliseconds;
struct Clock {
  using rep = Duration::rep;
  using period = Duration::period;
  using duration = Duration;
  using time_point = std::chrono::time_point<Clock>;
  static constexpr bool is_steady = true;
};
using Time = Clock::time_point;

// The kernel's coarse clock: 1 to 4 ms late, a fifth of the price.
Time CoarseNow();

}  // namespace peermesh::ledger

#endif  // PEERMESH_METRICS_LEDGER_TIME_H_
