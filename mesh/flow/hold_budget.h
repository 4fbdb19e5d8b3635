// How long a slow subscriber may still hold back its publishers: at most `budget` in any window of
// `window`.
//
// Back-pressure that may last for ever lets one slow reader stop everybody; none at all loses
// messages at every hiccup. So holding back is allowed and rationed: the time a spell took is given
// back one window after the spell ended. Giving it back in one piece, not gradually, is a little
// stricter than the promise and never laxer.
//
// At best, a subscriber that stalls on purpose slows its publishers by budget / (budget + window),
// then it is the one that loses messages. Bounds: kMaxSpells finished spells are remembered one by
// one; the oldest are merged beyond (stricter again). Not thread-safe; owned by the node's turn.
#ifndef PEERMESH_MESH_FLOW_HOLD_BUDGET_H_
#define PEERMESH_MESH_FLOW_HOLD_BUDGET_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "mesh/base/digest.h"
#include "mesh/base/limits.h"
#include "mesh/base/time.h"

namespace peermesh::flow {

class HoldBudget {
 public:
  static constexpr std::size_t kMaxSpells =
      8;  // guess: more hiccups in one second than most readers have

  explicit HoldBudget(Duration budget = kHoldBack, Duration window = kHoldBackWindow);

  // Holding begins or ends. Repeating either is harmless. Time never runs backwards between calls.
  void Start(Instant now);
  void Stop(Instant now);
  bool holding() const { return started_.has_value(); }

  // What may still be used at `now`; never negative.
  Duration Remaining(Instant now) const;
  bool Exhausted(Instant now) const { return Remaining(now) == Duration::zero(); }

  // When the budget is used up if holding goes on; kNever when nothing is held. What the owner puts
  // into NextWake.
  Instant ExhaustedAt(Instant now) const;

  void AddTo(Digest& digest) const;

 private:
  struct Spell {
    Instant end;    // its time comes back at end + window
    Duration used;  // of one spell, or of several that were merged
  };

  // Constant after construction.
  Duration budget_;
  Duration window_;
  // State.
  std::array<Spell, kMaxSpells> spells_{};  // oldest first
  std::size_t count_ = 0;
  std::optional<Instant> started_;
};

}  // namespace peermesh::flow

#endif  // PEERMESH_MESH_FLOW_HOLD_BUDGET_H_
