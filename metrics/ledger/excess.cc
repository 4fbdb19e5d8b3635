#include "metrics/ledger/excess.h"

#include <algorithm>
#include <vector>

namespace peermesh::ledger {

bool Excess::Add(Time now, std::uint64_t unclaimed) {
  latest_ = unclaimed;
  if (now - started_ < kLearning) {
    baseline_ = std::max(baseline_, unclaimed);
    return true;
  }
  if (unclaimed <= baseline_ + kSlack) {
    since_.reset();
  } else if (!since_) {
    since_ = now;
    at_since_ = unclaimed;
  }
  return false;
}

std::optional<std::uint64_t> Excess::found(Time now) const {
  if (!since_ || now - *since_ < kFor || latest_ <= at_since_) return std::nullopt;
  return latest_ - baseline_;
}

void Forecast::Add(Time now, std::uint64_t used) {
  if (!samples_.empty() && now - samples_.back().first < kEvery) return;
  if (samples_.size() == kSamples) samples_.pop_front();
  samples_.emplace_back(now, static_cast<double>(used));
}

std::optional<Duration> Forecast::Until(std::uint64_t limit) const {
  std::vector<double> slopes;  // per millisecond
  for (std::size_t i = 0; i < samples_.size(); ++i) {
    for (std::size_t j = i + 1; j < samples_.size(); ++j) {
      slopes.push_back((samples_[j].second - samples_[i].second) /
                       static_cast<double>((samples_[j].first - samples_[i].first).count()));
    }
  }
  if (slopes.size() < 3) return std::nullopt;
  const auto middle = slopes.begin() + static_cast<std::ptrdiff_t>(slopes.size() / 2);
  std::nth_element(slopes.begin(), middle, slopes.end());
  const double left = static_cast<double>(limit) - samples_.back().second;
  if (*middle <= 0) return std::nullopt;
  return Duration(static_cast<Duration::rep>(std::max(left, 0.0) / *middle));
}

}  // namespace peermesh::ledger
