// At most one thing every `period`, with a few at once after a pause: a token bucket that remembers
// one instant (generic cell rate algorithm). Its big brother with exact rates is
// mesh/limits/gcra.h, which a sibling may not include.
//
// Not thread-safe; owned by the node's turn.
#ifndef PEERMESH_MESH_OVERLAY_PACE_H_
#define PEERMESH_MESH_OVERLAY_PACE_H_

#include <algorithm>

#include "mesh/base/check.h"
#include "mesh/base/time.h"

namespace peermesh::overlay {

class Pace {
 public:
  // `burst` >= 1. False: too soon, and nothing is taken.
  [[nodiscard]] bool TryTake(Instant now, Duration period, int burst) {
    PM_CHECK(period > Duration::zero() && burst >= 1);
    const Instant arrival = std::max(next_, now);
    if (arrival - now > period * (burst - 1)) return false;
    next_ = arrival + period;
    return true;
  }
  Instant next() const { return next_; }

 private:
  Instant next_{};  // when the bucket will be full again
};

}  // namespace peermesh::overlay

#endif  // PEERMESH_MESH_OVERLAY_PACE_H_
