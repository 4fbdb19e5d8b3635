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
  if (handshakes_ >= caps_.max_handshakes) return {false, Refusal::kHandshakes};
  auto it = addresses_.find(address);
  if (it == addresses_.end()) {
    if (addresses_.size() >= kMaxTrackedAddresses && !MakeRoom(now)) return {false, Refusal::kRate};
    it = addresses_.try_emplace(address).first;
  }
  Entry& entry = it->second;
  if (entry.open >= caps_.max_per_address) return {false, Refusal::kPerAddress};
  if (entry.bucket.TryTake(caps_.handshakes, 1, now)) return {false, Refusal::kRate};
  ++entry.open;
  ++open_;
  ++handshakes_;
  return {true, {}};
}

void Admission::HandshakeOver() {
  PM_CHECK(handshakes_ > 0);
  --handshakes_;
}

void Admission::Release(const std::string& address) {
  const auto it = addresses_.find(address);
  PM_CHECK(it != addresses_.end() && it->second.open > 0 && open_ > 0);
  --it->second.open;
  --open_;
  if (it->second.open == 0 && caps_.handshakes.unlimited()) addresses_.erase(it);
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
