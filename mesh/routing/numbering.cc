#include "mesh/routing/numbering.h"

#include <algorithm>
#include <utility>

#include "mesh/base/check.h"
#include "mesh/base/digest.h"

namespace peermesh::routing {

void SparseNumbers::Insert(std::uint32_t channel, std::uint64_t first) {
  if (used_ == nullptr) used_ = std::make_unique<Used>();
  PM_CHECK(used_->numbers.size() <= kChannels);
  used_->place[channel] = static_cast<std::uint8_t>(used_->numbers.size());
  used_->numbers.push_back(first);
}

void Receipts::Origin::Set(std::uint32_t channel, std::uint64_t next) {
  const std::uint64_t now = Next(channel);
  PM_CHECK(next >= now);
  if (next == now) return;
  if (next == 1) {
    begun |= std::uint64_t{1} << channel;
  } else {
    numbers.At(channel, now) = next;
  }
}

bool Receipts::Begin(PeerId origin, std::uint64_t epoch) {
  const auto known = origins_.find(origin);
  if (known != origins_.end() && known->second.epoch == epoch) return true;
  Origin fresh;
  fresh.epoch = epoch;
  origins_[origin] = std::move(fresh);
  return false;
}

Receipts::Origin& Receipts::Find(PeerId origin) {
  const auto it = origins_.find(origin);
  PM_CHECK(it != origins_.end());
  return it->second;
}

std::optional<Receipts::Hole> Receipts::Expect(PeerId origin, std::uint32_t channel,
                                               std::uint64_t first) {
  PM_CHECK(first > 0);
  Origin& state = Find(origin);
  const std::uint64_t expected = state.Next(channel);
  if (first <= expected) return std::nullopt;
  state.Set(channel, first);
  if (expected == 0) return std::nullopt;
  return Hole{expected, first - 1};
}

std::optional<Receipts::Hole> Receipts::Lose(PeerId origin, std::uint32_t channel,
                                             std::uint64_t first, std::uint64_t next) {
  PM_CHECK(first > 0 && first <= next);
  Origin& state = Find(origin);
  const std::uint64_t from = std::max(state.Next(channel), first);
  if (from >= next) return std::nullopt;
  state.Set(channel, next);
  return Hole{from, next - 1};
}

void Receipts::Follow(PeerId origin, std::uint64_t epoch, std::uint32_t channel,
                      std::uint64_t first, std::uint64_t next) {
  PM_CHECK(first > 0 && first <= next);
  const auto known = origins_.find(origin);
  if (known == origins_.end() || known->second.epoch != epoch) return;
  if (known->second.Next(channel) == first) known->second.Set(channel, next);
}

void Receipts::Settle(PeerId origin, std::uint32_t channel, std::uint64_t next) {
  Origin& state = Find(origin);
  state.Set(channel, std::max(state.Next(channel), next));
}

std::uint64_t Receipts::Digest() const {
  peermesh::Digest digest;
  for (const auto& [origin, state] : origins_) {
    digest.Add(origin).Add(state.epoch);
    for (std::uint32_t channel = 0; channel < kChannels; ++channel) digest.Add(state.Next(channel));
  }
  return digest.value();
}

void Baselines::Begin(PeerId receiver, std::uint64_t epoch, const ChannelNumbers& now) {
  const auto known = receivers_.find(receiver);
  if (known != receivers_.end() && known->second.epoch == epoch) return;
  receivers_[receiver] = {epoch, now, {}};
}

const Baselines::Receiver& Baselines::Find(PeerId receiver) const {
  const auto it = receivers_.find(receiver);
  PM_CHECK(it != receivers_.end());
  return it->second;
}

void Baselines::End(PeerId receiver, const ChannelNumbers& accounted) {
  Find(receiver);
  receivers_[receiver].ended = accounted;
}

std::uint64_t Baselines::Ended(PeerId receiver, std::uint32_t channel) const {
  return Find(receiver).ended.next(channel);
}

const ChannelNumbers& Baselines::Of(PeerId receiver) const { return Find(receiver).from; }

}  // namespace peermesh::routing
