// A clock that tests turn by hand.
#ifndef PEERMESH_TESTS_METRICS_LEDGER_VIRTUAL_TIME_H_
#define PEERMESH_TESTS_METRICS_LEDGER_VIRTUAL_TIME_H_

#include "metrics/ledger/time.h"

namespace peermesh::ledger {

inline Time virtual_now{std::chrono::hours(1)};
inline Time VirtualNow() { return virtual_now; }

}  // namespace peermesh::ledger

#endif  // PEERMESH_TESTS_METRICS_LEDGER_VIRTUAL_TIME_H_
