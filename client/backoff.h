// How long to wait between two attempts: doubles, less up to a half at random, so that the clients
// of a peer that restarts do not all come at once.
#ifndef PEERMESH_CLIENT_BACKOFF_H_
#define PEERMESH_CLIENT_BACKOFF_H_

#include <algorithm>
#include <cstdint>
#include <random>

#include "mesh/base/rng.h"
#include "mesh/base/time.h"

namespace peermesh::client {

// Short, because a peer on the same host restarts within a second; guess.
inline constexpr Duration kReconnectMin = std::chrono::milliseconds(50);
inline constexpr Duration kReconnectMax = std::chrono::seconds(2);

class Backoff {
 public:
  // The next wait; at least what the other side asked for.
  Duration Next(Duration least) {
    const Duration wait = rng_.Between(next_ / 2, next_);
    next_ = std::min(2 * next_, kReconnectMax);
    return std::max(wait, least);
  }
  // An attempt succeeded.
  void Reset() { next_ = kReconnectMin; }

 private:
  static Rng::Seed Entropy() {
    std::random_device entropy;
    Rng::Seed seed;
    for (auto& word : seed) word = (std::uint64_t{entropy()} << 32) | entropy();
    return seed;
  }

  Rng rng_{Entropy()};
  Duration next_ = kReconnectMin;
};

}  // namespace peermesh::client

#endif  // PEERMESH_CLIENT_BACKOFF_H_
