#include "mesh/overlay/walks.h"

#include <algorithm>

#include "mesh/base/check.h"
#include "mesh/base/growth.h"

namespace peermesh::overlay {

bool Walks::Remember(Instant now, std::uint64_t walk, const PeerId& from) {
  const auto fresh =
      std::find_if(walks_.begin(), walks_.end(), [now](const Walk& w) { return w.until > now; });
  walks_.erase(walks_.begin(), fresh);
  if (walks_.capacity() > 4 * (walks_.size() + 1)) walks_.shrink_to_fit();
  if (walks_.size() >= kMostWalks) return false;
  std::size_t of_one = 0;
  for (const Walk& known : walks_) {
    if (known.walk == walk) return false;
    if (known.from == from) ++of_one;
  }
  if (of_one >= kMostWalksOfOne) return false;
  MakeRoomForOne(walks_);
  walks_.push_back({.walk = walk, .from = from, .until = now + kWalkMemory});
  return true;
}

std::optional<PeerId> Walks::TakeBack(Instant now, std::uint64_t walk) {
  const auto known =
      std::find_if(walks_.begin(), walks_.end(), [walk](const Walk& w) { return w.walk == walk; });
  if (known == walks_.end() || known->answered || known->until <= now) return std::nullopt;
  known->answered = true;
  return known->from;
}

void Walks::CheckInvariants() const {
  PM_CHECK(walks_.size() <= kMostWalks);
  for (std::size_t i = 1; i < walks_.size(); ++i) PM_CHECK(walks_[i - 1].until <= walks_[i].until);
}

void Walks::AddTo(Digest& digest) const {
  digest.Add(walks_.size());
  for (const Walk& walk : walks_) {
    digest.Add(walk.walk).Add(walk.from).Add(walk.until).Add(walk.answered ? 1u : 0u);
  }
}

}  // namespace peermesh::overlay
