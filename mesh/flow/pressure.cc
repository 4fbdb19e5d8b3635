#include "mesh/flow/pressure.h"

#include <algorithm>

#include "mesh/base/check.h"

namespace peermesh::flow {

Pressure::Pressure(std::uint64_t limit_bytes) : limit_(static_cast<std::uint32_t>(limit_bytes)) {
  PM_CHECK(half() > 0 && limit_ == limit_bytes);
}

bool Pressure::Update(Instant now, std::uint64_t bytes, Duration block) {
  PM_CHECK(block >= Duration{} && block <= kMaxBlockTimeout);
  const bool held = holding();
  if (bytes < half()) {
    if (budget_ != nullptr) budget_->Stop(now);
    state_ = State::kOpen;
  } else if (state_ == State::kOpen) {
    if (budget_ == nullptr) budget_ = std::make_unique<HoldBudget>();
    budget_->Start(now);
    state_ = State::kHolding;
    held_since_ = now;
  }
  give_up_ = kNever;
  if (holding()) {
    // Anew every time: what the readers ask for may have changed.
    give_up_ = std::max(budget_->ExhaustedAt(now), held_since_ + block);
    if (now >= give_up_) {
      budget_->Stop(now);
      state_ = State::kSlow;
      give_up_ = kNever;
    }
  }
  PM_CHECK(holding() == (budget_ != nullptr && budget_->holding()));
  PM_CHECK(holding() == (give_up_ != kNever));
  return held && !holding();
}

void Pressure::AddTo(Digest& digest) const {
  digest.Add(static_cast<std::uint64_t>(state_)).Add(give_up_);
  (budget_ == nullptr ? HoldBudget() : *budget_).AddTo(digest);
}

}  // namespace peermesh::flow
