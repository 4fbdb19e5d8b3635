#include "mesh/limits/gcra.h"

#include <algorithm>
#include <limits>

#include "mesh/base/check.h"

namespace peermesh::limits {
namespace {

// Instants times units: at most 2^63 * 2^40, and a burst's worth more.
__extension__ using Wide = __int128;

Wide Ticks(Duration duration) { return duration.count(); }
Wide Ticks(Instant instant) { return instant.time_since_epoch().count(); }

Instant Saturated(Wide ticks) {
  constexpr Wide kMax = std::numeric_limits<MeshClock::rep>::max();
  return Instant(Duration(static_cast<MeshClock::rep>(std::min(ticks, kMax))));
}

// Rounds towards the past, as the remainder that goes with it must not be negative.
Wide FloorDivide(Wide dividend, Wide divisor) {
  const Wide quotient = dividend / divisor;
  return dividend % divisor < 0 ? quotient - 1 : quotient;
}

void CheckRate(const Rate& rate) {
  PM_CHECK(rate.units > 0 && rate.units <= kMaxRateUnits);
  PM_CHECK(rate.burst > 0 && rate.burst <= kMaxBurstUnits);
  PM_CHECK(rate.period > Duration::zero() && rate.period <= kMaxRatePeriod);
  PM_CHECK(Wide{rate.burst} * Ticks(rate.period) <= Wide{rate.units} * Ticks(kMaxFill));
}

}  // namespace

Rate Rate::PerSecond(std::uint64_t units, std::uint64_t burst) {
  constexpr auto kFillSeconds = std::chrono::duration_cast<std::chrono::seconds>(kMaxFill).count();
  Rate rate;
  rate.units =
      static_cast<std::int64_t>(std::min(units, static_cast<std::uint64_t>(kMaxRateUnits)));
  const Wide most = std::min(Wide{rate.units} * kFillSeconds, Wide{kMaxBurstUnits});
  rate.burst = static_cast<std::int64_t>(std::min(Wide{burst > 0 ? burst : units}, most));
  return rate;
}

std::optional<Instant> Gcra::RefusedUntil(const Rate& rate, std::int64_t units, Instant now) const {
  PM_CHECK(units >= 0);
  if (rate.unlimited()) return std::nullopt;
  CheckRate(rate);
  if (units > rate.burst) return kNever;
  // Everything in 1/rate.units of a microsecond, so that no division loses a remainder.
  const Wide scale = rate.units;
  const Wide present = Ticks(now) * scale;
  const Wide arrival =
      std::max(present, Ticks(arrival_) * scale + std::min(fraction_, rate.units - 1));
  const Wide conforms = arrival + (Wide{units} - rate.burst) * Ticks(rate.period);
  if (conforms <= present) return std::nullopt;
  return Saturated(FloorDivide(conforms + scale - 1, scale));
}

std::optional<Instant> Gcra::TryTake(const Rate& rate, std::int64_t units, Instant now) {
  const std::optional<Instant> refused = RefusedUntil(rate, units, now);
  if (refused || rate.unlimited()) return refused;
  const Wide scale = rate.units;
  const Wide arrival =
      std::max(Ticks(now) * scale, Ticks(arrival_) * scale + std::min(fraction_, rate.units - 1));
  const Wide paid = arrival + Wide{units} * Ticks(rate.period);
  const Wide whole = FloorDivide(paid, scale);
  arrival_ = Saturated(whole);
  fraction_ = static_cast<std::int64_t>(paid - whole * scale);
  PM_CHECK(fraction_ >= 0 && fraction_ < rate.units);
  return std::nullopt;
}

}  // namespace peermesh::limits
