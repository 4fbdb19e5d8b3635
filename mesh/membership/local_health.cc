#include "mesh/membership/local_health.h"

#include <algorithm>

#include "mesh/base/check.h"

namespace peermesh::membership {

void LocalHealth::Worsen() {
  score_ = std::min(score_ + 1, kMaxHealthScore);
  successes_ = 0;
}

void LocalHealth::Missed() { Worsen(); }

void LocalHealth::Refuted() { Worsen(); }

void LocalHealth::Lagged(Duration lag) {
  if (lag > kLagTolerated) Worsen();
}

void LocalHealth::Succeeded() {
  PM_CHECK(successes_ < kSuccessesPerStep && score_ >= 0);
  if (score_ == 0 || ++successes_ < kSuccessesPerStep) return;
  successes_ = 0;
  --score_;
}

}  // namespace peermesh::membership
