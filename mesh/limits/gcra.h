// Generic cell rate algorithm: a token bucket that remembers one instant instead of a level.
//
// Why not a counter with a refill: one value per key, exact, no drift, no timer, and no way to take
// a double burst after an idle spell. The instant is kept to a fraction of a microsecond, because a
// byte at 100 MB/s lasts 10 ns: a rate is kept to the unit over any span of time. Integers only.
//
// At best, an attacker who paces perfectly gets `burst + rate * time` units and nothing more.
// Bounds: 16 bytes a bucket; the caller bounds how many it keeps. Arithmetic saturates instead of
// wrapping. Not thread-safe; owned by the node's turn, or by whoever holds the lock around it.
// Source: ITU-T I.371 annex A, in the form of virtual scheduling.
#ifndef PEERMESH_MESH_LIMITS_GCRA_H_
#define PEERMESH_MESH_LIMITS_GCRA_H_

#include <cstdint>
#include <optional>

#include "mesh/base/time.h"

namespace peermesh::limits {

// More than any machine does; keeps 128-bit products far from their end.
inline constexpr std::int64_t kMaxRateUnits = 1'000'000'000'000;
inline constexpr std::int64_t kMaxBurstUnits = 1'000'000'000'000'000;
inline constexpr Duration kMaxRatePeriod = std::chrono::hours(24);
// How long a drained bucket may take to fill: 100 years, so that a debt always fits an Instant.
inline constexpr Duration kMaxFill = std::chrono::hours(24) * 36500;

struct Rate {
  std::int64_t units = 0;  // per period; 0: unlimited
  Duration period = std::chrono::seconds(1);
  std::int64_t burst = 0;  // units that may come at once; at least 1 when limited

  // `burst` 0 means one second's worth. `units` 0 means unlimited. Values beyond the bounds above
  // are cut to them.
  static Rate PerSecond(std::uint64_t units, std::uint64_t burst = 0);
  bool unlimited() const { return units == 0; }
  friend bool operator==(const Rate&, const Rate&) = default;
};

class Gcra {
 public:
  // Takes `units` at `now` and returns nullopt if they conform. Otherwise takes nothing and returns
  // when they would, if nobody else takes any. A cost above the burst can never conform: kNever.
  [[nodiscard]] std::optional<Instant> TryTake(const Rate& rate, std::int64_t units, Instant now);

  // The same answer without taking: for a caller who must pass several buckets or none.
  [[nodiscard]] std::optional<Instant> RefusedUntil(const Rate& rate, std::int64_t units,
                                                    Instant now) const;

 private:
  // When the units taken so far will be paid for. The rate may change between calls; the fraction
  // is in 1/rate.units of a microsecond and at worst one microsecond off after such a change.
  Instant arrival_ = Instant::min();
  std::int64_t fraction_ = 0;
};

}  // namespace peermesh::limits

#endif  // PEERMESH_MESH_LIMITS_GCRA_H_
