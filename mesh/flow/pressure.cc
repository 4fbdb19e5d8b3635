#include "mesh/flow/pressure.h"

#include <algorithm>

#include "mesh/base/check.h"

namespace peermesh::flow {

Instant Pressure::GiveUpAt(Instant now, Duration block) {
  if (window_start_ == Instant::min() || now - window_start_ >= kHoldBackWindow) {
    window_start_ = now;
    used_ = Duration{};
  }
  PM_CHECK(used_ >= Duration{});
  const Duration left = used_ < kHoldBack ? kHoldBack - used_ : Duration{};
  return now + std::max(left, block);
}

bool Pressure::Update(Instant now, std::uint64_t bytes, Duration block) {
  PM_CHECK(block >= Duration{} && block <= kMaxBlockTimeout);
  const State before = state_;
  if (state_ != State::kOpen && bytes < half()) {
    if (state_ == State::kHolding) used_ += now - held_since_;
    state_ = State::kOpen;
    give_up_ = kNever;
  }
  if (state_ == State::kOpen && bytes >= half()) {
    state_ = State::kHolding;
    held_since_ = now;
    give_up_ = GiveUpAt(now, block);
  }
  if (state_ == State::kHolding && now >= give_up_) {
    used_ += now - held_since_;
    state_ = State::kSlow;
    give_up_ = kNever;
  }
  PM_CHECK((state_ == State::kHolding) == (give_up_ != kNever));
  return state_ != before;
}

}  // namespace peermesh::flow
