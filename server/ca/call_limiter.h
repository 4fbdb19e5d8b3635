// A token bucket for each key, such as an address or a peer.
//
// At most kMaxKeys keys are remembered. Keys whose bucket is full again are forgotten first; when
// all are busy, unknown keys are refused: a flood from that many is what the limit is for.
//
// Time is an argument. Not thread-safe; owned by the CA's worker.
#ifndef PEERMESH_SERVER_CA_CALL_LIMITER_H_
#define PEERMESH_SERVER_CA_CALL_LIMITER_H_

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "mesh/base/time.h"
#include "mesh/limits/gcra.h"

namespace peermesh::ca {

// The key of a caller's address, from what ServerContext::peer() shows. Without the port, of which
// a caller may take as many as it likes; an IPv6 address counts as its /64, as in
// server/net/admission.h.
std::string AddressKey(std::string_view peer);

class CallLimiter {
 public:
  static constexpr std::size_t kMaxKeys = 4096;  // about 100 bytes each

  explicit CallLimiter(const limits::Rate& rate) : rate_(rate) {}

  // Takes one call, or says how long to wait.
  [[nodiscard]] std::optional<Duration> TryTake(const std::string& key, Instant now);
  std::size_t size() const { return buckets_.size(); }

 private:
  const limits::Rate rate_;
  std::map<std::string, limits::Gcra> buckets_;
};

}  // namespace peermesh::ca

#endif  // PEERMESH_SERVER_CA_CALL_LIMITER_H_
