// When a queue holds its senders back, and when it gives up and loses messages.
//
//   open ----- half full -----> holding ----- hold-back used up -----> slow
//     ^------ below half ----------'                                    |
//     ^------ below half ------------------------------------------------'
//
// Holding: senders wait. A queue may hold for kHoldBack in any kHoldBackWindow (hold_budget.h), so
// one slow reader costs the others at most a tenth of their time; a reader that asked for BLOCK may
// hold for its own timeout without a break. Slow: senders go on, and when the queue is full its
// oldest half is dropped behind a gap.
//
// What an attacker gains who never reads: 100 ms of every second from those who publish to it, or
// the block timeout once (then it is slow). Nothing here allocates. Not thread-safe; owned by the
// node's turn.
#ifndef PEERMESH_MESH_FLOW_PRESSURE_H_
#define PEERMESH_MESH_FLOW_PRESSURE_H_

#include <cstdint>
#include <memory>

#include "mesh/base/limits.h"
#include "mesh/base/time.h"
#include "mesh/flow/hold_budget.h"

namespace peermesh::flow {

class Pressure {
 public:
  enum class State : std::uint8_t { kOpen, kHolding, kSlow };

  explicit Pressure(std::uint64_t limit_bytes);

  // The queue now holds `bytes`; `block` is the longest hold-back its readers ask for (0: none).
  // Returns true if it stopped holding: senders may try again.
  bool Update(Instant now, std::uint64_t bytes, Duration block);
  // When a holding queue turns slow by itself; kNever unless holding.
  Instant NextWake() const { return give_up_; }

  State state() const { return state_; }
  bool holding() const { return state_ == State::kHolding; }
  // The owner must drop its oldest until `half()` is reached.
  bool overfull(std::uint64_t bytes) const { return state_ == State::kSlow && bytes > limit_; }
  std::uint64_t half() const { return limit_ / 2; }

  void AddTo(Digest& digest) const;

 private:
  const std::uint32_t limit_;
  State state_ = State::kOpen;
  std::unique_ptr<HoldBudget> budget_;  // null until something was held: most never hold
  Instant held_since_{};
  Instant give_up_ = kNever;
};

}  // namespace peermesh::flow

#endif  // PEERMESH_MESH_FLOW_PRESSURE_H_
