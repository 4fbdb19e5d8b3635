#include "tests/sim/baseline/config.h"

#include <algorithm>

#include "mesh/base/check.h"

namespace peermesh::sim::baseline {
namespace {

std::uint32_t Digits(std::uint32_t value) {
  std::uint32_t digits = 1;
  while (value >= 10) {
    value /= 10;
    ++digits;
  }
  return digits;
}

}  // namespace

std::uint32_t MilliLog10(std::uint32_t value) {
  PM_CHECK(value > 0);
  constexpr std::uint64_t kOne = 1'000'000'000;
  // In [1, 10): the tenth power of it has the next digit of the logarithm as its number of tens.
  const std::uint32_t whole = Digits(value) - 1;
  std::uint64_t rest = value * kOne;
  for (std::uint32_t i = 0; i < whole; ++i) rest /= 10;
  std::uint32_t result = whole;
  for (int digit = 0; digit < 3; ++digit) {
    unsigned __int128 power = kOne;
    for (int i = 0; i < 10; ++i) power = power * rest / kOne;
    std::uint32_t tens = 0;
    for (; power >= 10 * kOne; power /= 10) ++tens;
    rest = static_cast<std::uint64_t>(power);
    result = result * 10 + tens;
  }
  return result;
}

std::uint32_t RetransmitLimit(const Config& config) {
  return config.retransmit_mult * Digits(config.members);
}

Duration SuspicionTimeout(const Config& config) {
  const std::uint32_t scale = std::max(1000u, MilliLog10(config.members));
  return config.period * (config.suspicion_mult * scale) / 1000;
}

}  // namespace peermesh::sim::baseline
