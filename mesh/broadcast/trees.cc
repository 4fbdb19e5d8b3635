#include "mesh/broadcast/trees.h"

#include "mesh/base/check.h"
#include "mesh/base/limits.h"

namespace peermesh::broadcast {

void Trees::First(Instant now, std::uint32_t channel, std::uint32_t neighbor,
                  std::uint64_t window) {
  PM_CHECK(channel < kChannels && window != 0);
  Branch& branch = channels_[channel];
  if (branch.window != window && branch.window != 0) branch.other_at = branch.at;
  branch.window = window;
  branch.at = now;
  if (neighbor != 0) branch.parent = neighbor;
}

bool Trees::IsParent(std::uint32_t channel, std::uint32_t neighbor) const {
  PM_CHECK(neighbor != 0);
  const auto it = channels_.find(channel);
  return it != channels_.end() && it->second.parent == neighbor;
}

bool Trees::IsCalm(Instant now, std::uint32_t channel, std::uint64_t window) const {
  const auto it = channels_.find(channel);
  return it != channels_.end() && it->second.window == window && it->second.other_at + kCalm <= now;
}

bool Trees::TakeSeek(Instant now, std::uint32_t channel) {
  Branch& branch = channels_[channel];
  if (now < branch.seek_at) return false;
  branch.seek_at = now + kSeek;
  return true;
}

void Trees::Remove(std::uint32_t neighbor, std::uint64_t channels) {
  for (auto& [channel, branch] : channels_) {
    if ((channels >> channel & 1) != 0 && branch.parent == neighbor) branch.parent = 0;
  }
}

void Trees::CheckInvariants() const {
  PM_CHECK(channels_.size() <= kChannels);
  for (const auto& [channel, branch] : channels_) {
    PM_CHECK(channel < kChannels);
    PM_CHECK(branch.other_at <= branch.at || branch.window == 0);
  }
}

void Trees::AddTo(Digest& digest) const {
  for (const auto& [channel, branch] : channels_) {
    digest.Add(channel).Add(branch.parent).Add(branch.window).Add(branch.at);
    digest.Add(branch.other_at).Add(branch.seek_at);
  }
}

}  // namespace peermesh::broadcast
