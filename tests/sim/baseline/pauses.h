// Which members of a simulation stand still, and when: the fault script for measuring false alarms.
//
// A few members are overloaded: each is paused and runs again in turns. A pause is long enough to
// be taken for a crash, the spell between two pauses so short that the member works off only a part
// of what it missed. It is such a member that wrongs others: its timers are late, and what would
// have told it better waits unread. After the anomalies of the Lifeguard paper (arXiv 1707.00788).
//
// The same plan and seed always give the same list, so that two protocols can be measured under the
// same pauses. With more members paused, those of the smaller plan are paused as they were.
#ifndef PEERMESH_TESTS_SIM_BASELINE_PAUSES_H_
#define PEERMESH_TESTS_SIM_BASELINE_PAUSES_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "mesh/base/check.h"
#include "mesh/base/rng.h"
#include "mesh/base/time.h"

namespace peermesh::sim::baseline {

// Stands still from `from` on and runs again at `until`.
struct Pause {
  std::uint32_t member = 0;
  Instant from{}, until{};
  bool operator==(const Pause&) const = default;
};

// Stops for good, and says nothing.
struct Crash {
  std::uint32_t member = 0;
  Instant when{};
  bool operator==(const Crash&) const = default;
};

struct PausePlan {
  std::uint32_t members = 100;                              // experiment E6
  std::uint32_t paused = 8;                                 // E6: 1, 4, 8, 16 and 32
  Instant start{std::chrono::seconds(10)};                  // guess: all members know each other
  Duration length = std::chrono::minutes(5);                // E6
  Duration pause_least = std::chrono::milliseconds(100);    // E6
  Duration pause_most = std::chrono::seconds(32);           // E6
  Duration running_least = std::chrono::milliseconds(64);   // guess, in the spirit of the paper
  Duration running_most = std::chrono::milliseconds(1000);  // guess, likewise
  Instant end() const { return start + length; }
};

namespace internal {

inline Rng Stream(std::uint64_t seed, std::string_view label) {
  return Rng({seed, 0, 0, 0}).Fork(label);
}

// The octave first: short times are then as likely as long ones, and 0.1 s to 32 s is not nearly
// always "about 16 s".
inline Duration DrawByOctave(Duration least, Duration most, Rng& rng) {
  PM_CHECK(least.count() > 0 && least <= most);
  std::uint64_t octaves = 1;
  while (least * (std::int64_t{1} << octaves) < most) ++octaves;
  const Duration low = least * (std::int64_t{1} << rng.Below(octaves));
  return rng.Between(low, std::min(most, low * 2));
}

// `count` different members in random order; a longer list begins like a shorter one.
inline std::vector<std::uint32_t> DrawMembers(std::uint32_t members, std::uint32_t count,
                                              Rng& rng) {
  PM_CHECK(count <= members);
  std::vector<std::uint32_t> all(members);
  for (std::uint32_t i = 0; i < members; ++i) all[i] = i;
  for (std::uint32_t i = 0; i < count; ++i) std::swap(all[i], all[i + rng.Below(members - i)]);
  all.resize(count);
  return all;
}

}  // namespace internal

// In order of time. No pause outlasts the plan.
inline std::vector<Pause> DrawPauses(const PausePlan& plan, std::uint64_t seed) {
  Rng who = internal::Stream(seed, "paused");
  Rng spells = internal::Stream(seed, "spells");
  std::vector<Pause> pauses;
  for (const std::uint32_t member : internal::DrawMembers(plan.members, plan.paused, who)) {
    Rng rng = spells.Fork("member");
    for (Instant now = plan.start;;) {
      const Instant from = now + internal::DrawByOctave(plan.running_least, plan.running_most, rng);
      if (from >= plan.end()) break;
      now = from + internal::DrawByOctave(plan.pause_least, plan.pause_most, rng);
      now = std::min(now, plan.end());
      pauses.push_back({member, from, now});
    }
  }
  std::sort(pauses.begin(), pauses.end(), [](const Pause& a, const Pause& b) {
    return std::pair(a.from, a.member) < std::pair(b.from, b.member);
  });
  return pauses;
}

// Crashes of members that are never paused, at any moment of the plan, in order of time.
inline std::vector<Crash> DrawCrashes(const PausePlan& plan, std::uint32_t count,
                                      std::uint64_t seed) {
  PM_CHECK(plan.paused + count <= plan.members);
  Rng who = internal::Stream(seed, "paused");
  Rng when = internal::Stream(seed, "crashes");
  const auto chosen = internal::DrawMembers(plan.members, plan.paused + count, who);
  std::vector<Crash> crashes;
  for (std::uint32_t i = plan.paused; i < plan.paused + count; ++i) {
    const Duration after = when.Between(Duration{}, plan.length);
    crashes.push_back({chosen[i], plan.start + after});
  }
  std::sort(crashes.begin(), crashes.end(), [](const Crash& a, const Crash& b) {
    return std::pair(a.when, a.member) < std::pair(b.when, b.member);
  });
  return crashes;
}

// Who was well, and when.
class Health {
 public:
  Health(std::uint32_t members, const std::vector<Pause>& pauses, const std::vector<Crash>& crashes)
      : pauses_(members), crashed_(members, kNever) {
    for (const Pause& pause : pauses) pauses_.at(pause.member).push_back(pause);
    for (const Crash& crash : crashes) crashed_.at(crash.member) = crash.when;
  }
  // Neither crashed nor paused at this moment, nor paused within `grace` before it: what was said
  // of a member while it stood still may come true a while later, and is then not wrong.
  bool Healthy(std::uint32_t member, Instant now, Duration grace) const {
    if (now >= crashed_[member]) return false;
    for (const Pause& pause : pauses_[member]) {
      if (pause.from <= now && now < pause.until + grace) return false;
    }
    return true;
  }
  Instant crashed(std::uint32_t member) const { return crashed_[member]; }

 private:
  std::vector<std::vector<Pause>> pauses_;  // by member, in order of time
  std::vector<Instant> crashed_;            // by member
};

}  // namespace peermesh::sim::baseline

#endif  // PEERMESH_TESTS_SIM_BASELINE_PAUSES_H_
