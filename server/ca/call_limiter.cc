#include "server/ca/call_limiter.h"

namespace peermesh::ca {

std::optional<Duration> CallLimiter::TryTake(const std::string& key, Instant now) {
  if (buckets_.size() >= kMaxKeys && !buckets_.contains(key)) {
    // A bucket that would take a whole burst is full: forgetting it changes no answer.
    std::erase_if(buckets_, [&](const auto& entry) {
      return !entry.second.RefusedUntil(rate_, rate_.burst, now).has_value();
    });
    if (buckets_.size() >= kMaxKeys) return rate_.period;
  }
  const auto until = buckets_[key].TryTake(rate_, 1, now);
  if (!until) return std::nullopt;
  return *until - now;
}

}  // namespace peermesh::ca
