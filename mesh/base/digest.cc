#include "mesh/base/digest.h"

namespace peermesh {

std::uint64_t HashWord(std::uint64_t x) {
  x ^= x >> 33;
  x *= 0xff51afd7ed558ccdull;
  x ^= x >> 33;
  x *= 0xc4ceb9fe1a85ec53ull;
  x ^= x >> 33;
  return x;
}

std::uint64_t HashBytes(std::string_view bytes) {
  std::uint64_t hash = 0xcbf29ce484222325ull;
  for (const char c : bytes) {
    hash ^= static_cast<std::uint8_t>(c);
    hash *= 0x100000001b3ull;
  }
  return HashWord(hash);
}

Digest& Digest::Add(std::uint64_t word) {
  value_ = HashWord(value_ ^ word) + 0x9e3779b97f4a7c15ull;
  return *this;
}

}  // namespace peermesh
