#include "mesh/flow/hold_budget.h"

#include <algorithm>

#include "mesh/base/check.h"

namespace peermesh::flow {

HoldBudget::HoldBudget(Duration budget, Duration window) : budget_(budget), window_(window) {
  PM_CHECK(budget > Duration::zero());
  PM_CHECK(window >= budget);
}

void HoldBudget::Start(Instant now) {
  if (started_) return;
  PM_CHECK(count_ == 0 || now >= spells_[count_ - 1].end);
  started_ = now;
}

void HoldBudget::Stop(Instant now) {
  if (!started_) return;
  PM_CHECK(now >= *started_);
  const Spell spell{now, now - *started_};
  started_.reset();
  // Spells whose time has come back are forgotten first.
  const auto live = std::find_if(spells_.begin(), spells_.begin() + count_,
                                 [&](const Spell& s) { return now - s.end < window_; });
  count_ = static_cast<std::size_t>(std::move(live, spells_.begin() + count_, spells_.begin()) -
                                    spells_.begin());
  if (spell.used == Duration::zero()) return;
  if (count_ == kMaxSpells) {
    spells_[1].used += spells_[0].used;
    std::move(spells_.begin() + 1, spells_.end(), spells_.begin());
    --count_;
  }
  spells_[count_++] = spell;
  PM_CHECK(count_ <= kMaxSpells);
}

Duration HoldBudget::Remaining(Instant now) const {
  Duration used = started_ ? now - *started_ : Duration::zero();
  PM_CHECK(used >= Duration::zero());
  for (std::size_t i = 0; i < count_; ++i) {
    if (now - spells_[i].end < window_) used += spells_[i].used;
  }
  return std::max(Duration::zero(), budget_ - used);
}

Instant HoldBudget::ExhaustedAt(Instant now) const {
  if (!started_) return kNever;
  const Duration remaining = Remaining(now);
  if (remaining == Duration::zero()) return now;
  Instant at = now + remaining;
  for (std::size_t i = 0; i < count_; ++i) {
    const Instant back = spells_[i].end + window_;
    if (back > now && back <= at) at += spells_[i].used;
  }
  return at;
}

void HoldBudget::AddTo(Digest& digest) const {
  digest.Add(started_.value_or(kNever)).Add(count_);
  for (std::size_t i = 0; i < count_; ++i) {
    digest.Add(spells_[i].end).Add(static_cast<std::uint64_t>(spells_[i].used.count()));
  }
}

}  // namespace peermesh::flow
