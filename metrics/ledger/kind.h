// Kinds of resources and how their instances are allowed to live.
//
// The law: no kind without a contract. What may live for ever in silence can never be told from a
// leak; what has to end, to be used, to be renewed, or to go with its owner can.
#ifndef PEERMESH_METRICS_LEDGER_KIND_H_
#define PEERMESH_METRICS_LEDGER_KIND_H_

#include <cstddef>
#include <cstdint>

#include "metrics/ledger/time.h"

namespace peermesh::ledger {

enum class Contract : std::uint8_t {
  kShortLived,  // ends within max_age
  kActive,      // is touched at least every max_idle
  kLeased,      // ends, or is renewed, before the deadline it carries
  kOwned,       // lives as long as its scope
  kProcess,     // one of few that live as long as the process: a listener, a pool
};

struct KindSpec {
  const char* name = "";  // snake_case, unique: the label of its metrics
  Contract contract = Contract::kOwned;
  Duration limit{};              // max_age or max_idle
  Duration longest_life{};       // of an ordinary instance; statistics wait so long. 0: a day
  std::uint64_t soft_limit = 0;  // instances; shown beside the count. 0: none
  // One in so many is booked with its particulars, a power of two; for kinds made per message.
  std::uint32_t sample = 1;
  // What a library holds for each instance and the kernel shows as nobody's: "fd_socket" for a
  // channel. So many are not in excess. Null: nothing.
  const char* stands_for = nullptr;
};

constexpr KindSpec ShortLived(const char* name, Duration max_age) {
  return {
      .name = name, .contract = Contract::kShortLived, .limit = max_age, .longest_life = max_age};
}
constexpr KindSpec Active(const char* name, Duration max_idle) {
  return {.name = name, .contract = Contract::kActive, .limit = max_idle};
}
constexpr KindSpec Leased(const char* name) {
  return {.name = name, .contract = Contract::kLeased};
}
constexpr KindSpec Owned(const char* name) { return {.name = name, .contract = Contract::kOwned}; }
constexpr KindSpec ForProcess(const char* name) {
  return {.name = name, .contract = Contract::kProcess};
}
constexpr KindSpec StandsFor(const char* kernel_class, KindSpec spec) {
  spec.stands_for = kernel_class;
  return spec;
}

constexpr KindSpec AtMost(std::uint64_t instances, KindSpec spec) {
  spec.soft_limit = instances;
  return spec;
}

// "short_lived", "active", "leased", "owned", "process".
const char* ToString(Contract contract);

// A registered kind.
struct Kind {
  std::uint8_t index = 0;
  friend bool operator==(Kind, Kind) = default;
};
inline constexpr std::size_t kMaxKinds = 48;  // PeerMesh has about 20; the rest is for applications

// How an instance ended.
enum class Outcome : std::uint8_t { kNormal, kCancelled, kError, kExpired, kReaped };
inline constexpr std::size_t kOutcomes = 5;
const char* ToString(Outcome outcome);

}  // namespace peermesh::ledger

#endif  // PEERMESH_METRICS_LEDGER_KIND_H_
