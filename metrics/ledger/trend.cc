#include "metrics/ledger/trend.h"

#include <algorithm>
#include <cmath>

namespace peermesh::ledger {

double MannKendall(const std::deque<double>& values) {
  const auto n = static_cast<double>(values.size());
  if (n < 3) return 0;
  double s = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    for (std::size_t j = i + 1; j < values.size(); ++j)
      s += values[j] > values[i] ? 1 : values[j] < values[i] ? -1 : 0;
  }
  // Without a correction for ties, which makes z smaller: it errs towards silence.
  const double deviation = std::sqrt(n * (n - 1) * (2 * n + 5) / 18);
  return s > 0 ? (s - 1) / deviation : s < 0 ? (s + 1) / deviation : 0;
}

void CohortTrend::Add(std::size_t alive) {
  if (alive_.size() == kWindow) alive_.pop_front();
  alive_.push_back(static_cast<double>(alive));
}

bool CohortTrend::rising() const {
  return alive_.size() == kWindow && alive_.back() - alive_.front() >= kRise &&
         MannKendall(alive_) > kZ;
}

void LittlesLaw::Add(Time now, std::uint64_t acquired, std::uint64_t released,
                     std::uint64_t age_sum_ms, std::uint64_t live) {
  if (last_ && now > *last_) {
    const double seconds = std::chrono::duration<double>(now - *last_).count();
    const double weight = 1 - std::exp2(-seconds / 600);
    rate_ += weight * (static_cast<double>(acquired - acquired_) / seconds - rate_);
    if (released > released_) {
      const double life =
          static_cast<double>(age_sum_ms - age_sum_ms_) / static_cast<double>(released - released_);
      life_ms_ += (life_ms_ == 0 ? 1 : weight) * (life - life_ms_);
    }
    expected_ = rate_ * life_ms_ / 1000;
    const bool broken = life_ms_ > 0 && static_cast<double>(live) > kTimes * expected_ + kBeside;
    if (!broken) since_.reset();
    if (broken && !since_) since_ = now;
  }
  last_ = now;
  acquired_ = acquired;
  released_ = released;
  age_sum_ms_ = age_sum_ms;
}

std::optional<double> LittlesLaw::broken(Time now) const {
  return since_ && now - *since_ >= kFor ? std::optional(expected_) : std::nullopt;
}

}  // namespace peermesh::ledger
