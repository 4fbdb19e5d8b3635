// The only source of randomness inside mesh/: xoshiro256**, seeded once by the driver.
//
// Production seeds it from the operating system, a simulator from --seed; the code after the seed
// is the same. No std:: distributions: their output differs between libraries. Not for secrets. At
// most one draw in a full expression, because compilers evaluate arguments in different orders.
// Source: Blackman and Vigna, "Scrambled linear pseudorandom number generators" (2018).
#ifndef PEERMESH_MESH_BASE_RNG_H_
#define PEERMESH_MESH_BASE_RNG_H_

#include <array>
#include <cstdint>
#include <string_view>

#include "mesh/base/time.h"

namespace peermesh {

class Rng {
 public:
  using Seed = std::array<std::uint64_t, 4>;
  explicit Rng(const Seed& seed);

  std::uint64_t Next();
  // Uniform in [0, bound); bound > 0.
  std::uint64_t Below(std::uint64_t bound);
  // Uniform, both ends included; low <= high.
  Duration Between(Duration low, Duration high);
  // An independent child: one per component, named by a label, so that a draw more in one component
  // does not change what another one sees.
  Rng Fork(std::string_view label);

  std::uint64_t Digest() const;

 private:
  std::array<std::uint64_t, 4> state_;
};

}  // namespace peermesh

#endif  // PEERMESH_MESH_BASE_RNG_H_
