// Hashes that come out the same on every machine and in every run. For digests of state, channel
// numbers and interest hashes; not for secrets and not against an attacker.
#ifndef PEERMESH_MESH_BASE_DIGEST_H_
#define PEERMESH_MESH_BASE_DIGEST_H_

#include <cstdint>
#include <string_view>

#include "mesh/base/id.h"
#include "mesh/base/time.h"

namespace peermesh {

// FNV-1a, 64 bit, finished with the MurmurHash3 mixer.
std::uint64_t HashBytes(std::string_view bytes);
// The mixer alone.
std::uint64_t HashWord(std::uint64_t word);

// Order-sensitive digest of a sequence of facts.
class Digest {
 public:
  Digest& Add(std::uint64_t word);
  Digest& Add(std::string_view bytes) { return Add(HashBytes(bytes)); }
  Digest& Add(Instant instant) {
    return Add(static_cast<std::uint64_t>(instant.time_since_epoch().count()));
  }
  Digest& Add(const PeerId& id) { return Add(id.ToBytes()); }
  std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0x243f6a8885a308d3ull;  // digits of pi
};

}  // namespace peermesh

#endif  // PEERMESH_MESH_BASE_DIGEST_H_
