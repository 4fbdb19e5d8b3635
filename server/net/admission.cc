#include "server/net/admission.h"

#include <iterator>

#include "mesh/base/check.h"

namespace peermesh::net {

const char* ToString(Refusal refusal) {
  switch (refusal) {
    case Refusal::kTotal: return "total";
    case Refusal::kPerAddress: return "per_address";
    case Refusal::kHandshakes: return "handshakes";
    case Refusal::kRate: return "rate";
    case Refusal::kNoDescriptors: return "no_descriptors";
  }
  return "unknown";
}

Admission::Verdict Admission::TryAdmit(const std::string& address, Instant now) {
  if (open_ >= caps_.max_connections) return {false, Refusal::kTotal};
  auto it = addresses_.find(address);
  if (it == addresses_.end()) {
    if (addresses_.size() >= kMaxTrackedAddresses && !MakeRoom(now)) return {false, Refusal::kRate};
    it = addresses_.try_emplace(address).first;
  }
  Entry& entry = it->second;
  if (entry.open >= caps_.max_per_address) return {false, Refusal::kPerAddress};
  if (entry.bucket.RefusedUntil(caps_.handshakes, 1, now)) return {false, Refusal::kRate};
  if (handshakes_ >= caps_.max_handshakes) return {false, Refusal::kHandshakes};
  const auto refused = entry.bucket.TryTake(caps_.handshakes, 1, now);
  PM_CHECK(!refused);
  ++entry.open;
  ++entry.handshakes;
  ++open_;
  ++handshakes_;
  return {true, {}};
}

void Admission::HandshakeOver(const std::string& address) {
  const auto it = addresses_.find(address);
  PM_CHECK(it != addresses_.end() && it->second.handshakes > 0 && handshakes_ > 0);
  --it->second.handshakes;
  --handshakes_;
}

std::optional<std::string> Admission::Busiest(const std::string& newcomer) const {
  const auto own = addresses_.find(newcomer);
  std::size_t most = own == addresses_.end() ? 0 : own->second.handshakes;
  std::optional<std::string> busiest;
  for (const auto& [address, entry] : addresses_) {
    if (entry.handshakes <= most) continue;
    most = entry.handshakes;
    busiest = address;
  }
  return busiest;
}

void Admission::Release(const std::string& address) {
  const auto it = addresses_.find(address);
  PM_CHECK(it != addresses_.end() && it->second.open > 0 && open_ > 0);
  --it->second.open;
  --open_;
  if (it->second.open == 0 && caps_.handshakes.unlimited()) addresses_.erase(it);
}

void Admission::SetCaps(const Caps& caps) {
  if (caps.handshakes != caps_.handshakes) {
    for (auto& [address, entry] : addresses_) entry.bucket = limits::Gcra();
  }
  caps_ = caps;
}

bool Admission::Forgettable(const Entry& entry, Instant now) const {
  if (entry.open > 0) return false;
  return !entry.bucket.RefusedUntil(caps_.handshakes, caps_.handshakes.burst, now);
}

bool Admission::MakeRoom(Instant now) {
  if (now < next_sweep_) return false;
  next_sweep_ = now + kSweepInterval;
  for (auto it = addresses_.begin(); it != addresses_.end();) {
    it = Forgettable(it->second, now) ? addresses_.erase(it) : std::next(it);
  }
  return addresses_.size() < kMaxTrackedAddresses;
}

}  // namespace peermesh::net
