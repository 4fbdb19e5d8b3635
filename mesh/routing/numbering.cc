#include "mesh/routing/numbering.h"

#include <algorithm>

#include "mesh/base/check.h"
#include "mesh/base/digest.h"

namespace peermesh::routing {

bool Receipts::Begin(PeerId origin, std::uint64_t epoch) {
  const auto [it, fresh] = origins_.try_emplace(origin);
  if (!fresh && it->second.epoch == epoch) return true;
  it->second = Origin{};
  it->second.epoch = epoch;
  return false;
}

std::uint64_t& Receipts::Expected(PeerId origin, std::uint32_t channel) {
  const auto it = origins_.find(origin);
  PM_CHECK(it != origins_.end());
  PM_CHECK(channel < kChannels);
  return it->second.expected[channel];
}

std::optional<Receipts::Hole> Receipts::Expect(PeerId origin, std::uint32_t channel,
                                               std::uint64_t first) {
  PM_CHECK(first > 0);
  std::uint64_t& expected = Expected(origin, channel);
  std::optional<Hole> hole;
  if (expected != 0 && first > expected) hole = Hole{expected, first - 1};
  if (first > expected) expected = first;
  return hole;
}

std::optional<Receipts::Hole> Receipts::Lose(PeerId origin, std::uint32_t channel,
                                             std::uint64_t first, std::uint64_t next) {
  PM_CHECK(first > 0 && first <= next);
  std::uint64_t& expected = Expected(origin, channel);
  const std::uint64_t from = std::max(expected, first);
  if (from >= next) return std::nullopt;
  expected = next;
  return Hole{from, next - 1};
}

void Receipts::Settle(PeerId origin, std::uint32_t channel, std::uint64_t next) {
  std::uint64_t& expected = Expected(origin, channel);
  expected = std::max(expected, next);
}

std::uint64_t Receipts::Digest() const {
  peermesh::Digest digest;
  for (const auto& [origin, state] : origins_) {
    digest.Add(origin).Add(state.epoch);
    for (const std::uint64_t expected : state.expected) digest.Add(expected);
  }
  return digest.value();
}

void Baselines::Begin(PeerId receiver, std::uint64_t epoch, const ChannelNumbers& now) {
  const auto [it, fresh] = receivers_.try_emplace(receiver);
  if (!fresh && it->second.epoch == epoch) return;
  it->second = {epoch, now};
}

const ChannelNumbers& Baselines::Of(PeerId receiver) const {
  const auto it = receivers_.find(receiver);
  PM_CHECK(it != receivers_.end());
  return it->second.from;
}

}  // namespace peermesh::routing
