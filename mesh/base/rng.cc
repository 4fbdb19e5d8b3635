#include "mesh/base/rng.h"

#include <bit>

#include "mesh/base/check.h"
#include "mesh/base/digest.h"

namespace peermesh {
namespace {

// SplitMix64: turns any words, even all zero, into a usable state.
std::uint64_t SplitMix(std::uint64_t& x) {
  x += 0x9e3779b97f4a7c15ull;
  std::uint64_t z = x;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

}  // namespace

Rng::Rng(const Seed& seed) {
  std::uint64_t x = 0;
  for (std::size_t i = 0; i < state_.size(); ++i) {
    x ^= seed[i];
    state_[i] = SplitMix(x);
  }
}

std::uint64_t Rng::Next() {
  const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
  const std::uint64_t t = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= t;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

std::uint64_t Rng::Below(std::uint64_t bound) {
  PM_CHECK(bound > 0);
  // Draws below the remainder are thrown away: every value is then equally likely.
  const std::uint64_t threshold = (0 - bound) % bound;
  for (;;) {
    const std::uint64_t draw = Next();
    if (draw >= threshold) return draw % bound;
  }
}

Duration Rng::Between(Duration low, Duration high) {
  PM_CHECK(low <= high);
  const auto width = static_cast<std::uint64_t>((high - low).count()) + 1;
  return low + Duration(static_cast<std::int64_t>(Below(width)));
}

Rng Rng::Fork(std::string_view label) {
  const std::uint64_t name = HashBytes(label);
  const std::uint64_t a = Next();
  const std::uint64_t b = Next();
  // The label first: the first draw of a generator shows nothing of the later words of its seed.
  return Rng({name, a, b, ~name});
}

std::uint64_t Rng::Digest() const {
  peermesh::Digest digest;
  for (const std::uint64_t word : state_) digest.Add(word);
  return digest.value();
}

}  // namespace peermesh
