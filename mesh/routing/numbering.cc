#include "mesh/routing/numbering.h"

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

std::optional<Receipts::Hole> Receipts::Expect(PeerId origin, std::uint32_t channel, std::uint64_t first) {
  const auto it = origins_.find(origin);
  PM_CHECK(it != origins_.end());
  std::uint64_t& expected = it->second.expected.at(channel);
  std::optional<Hole> hole;
  if (expected != 0 && first > expected) hole = Hole{expected, first - 1};
  if (first > expected) expected = first;
  return hole;
}

bool Receipts::Accept(PeerId origin, std::uint32_t channel, std::uint64_t sequence) {
  const auto it = origins_.find(origin);
  PM_CHECK(it != origins_.end());
  std::uint64_t& expected = it->second.expected.at(channel);
  if (sequence < expected) return false;
  expected = sequence + 1;
  return true;
}

void Receipts::Settle(PeerId origin, std::uint32_t channel, std::uint64_t next) {
  const auto it = origins_.find(origin);
  PM_CHECK(it != origins_.end());
  std::uint64_t& expected = it->second.expected.at(channel);
  if (next > expected) expected = next;
}

std::uint64_t Receipts::Digest() const {
  peermesh::Digest digest;
  for (const auto& [origin, state] : origins_) {
    digest.Add(origin).Add(state.epoch);
    for (const std::uint64_t expected : state.expected) digest.Add(expected);
  }
  return digest.value();
}

}  // namespace peermesh::routing
