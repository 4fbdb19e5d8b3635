// What the auditor found, with everything somebody needs to act on it.
#ifndef PEERMESH_METRICS_LEDGER_VERDICT_H_
#define PEERMESH_METRICS_LEDGER_VERDICT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "metrics/ledger/time.h"

namespace peermesh::ledger {

enum class Rule : std::uint8_t {
  kOrphan,        // its scope has ended, it has not
  kViolation,     // released twice, or a descriptor closed by somebody else
  kImbalance,     // the counts and the entries disagree
  kExitResidue,   // still there after the drain
  kIdle,          // active by contract, and not touched for max_idle
  kOverdue,       // older than max_age, or past its deadline
  kKernelExcess,  // the kernel sees more than the books, and ever more
  kRpcSkew,       // gRPC's own count of calls differs from ours
  kCohort,        // some of every age stay behind at one place
  kLittlesLaw,    // more live than arrivals and ordinary lives explain
};
inline constexpr std::size_t kRules = 10;

// How sure. Only proof and strong ones raise an alert.
enum class Tier : std::uint8_t { kProof, kStrong, kWeak };

enum class State : std::uint8_t {
  kSuspected,  // by one sweep
  kConfirmed,  // by two in a row
  kCleared,    // it came back, or was released
};

const char* ToString(Rule rule);    // "orphan"
const char* ToString(Tier tier);    // "proof"
const char* ToString(State state);  // "confirmed"
Tier TierOf(Rule rule);

// One of the suspects.
struct Example {
  std::uint64_t id = 0;
  std::string scope;  // path
  Duration age{}, idle{};
  std::uint64_t amount = 0;
  std::string note;
  std::vector<std::string> stack;  // of its birth, innermost first; at level stacks
};
inline constexpr std::size_t kExamples = 3;

struct Verdict {
  std::uint64_t number = 0;  // for people; never reused
  Rule rule{};
  State state = State::kSuspected;
  std::string kind;
  std::string site;      // "server/net/acceptor.cc:211"
  std::string function;  // there
  std::uint64_t count = 0;
  Duration oldest{};
  std::string owner;  // of most of them: "peer beta"
  std::uint64_t owner_count = 0;
  std::string because;  // one sentence with the figures that decided
  std::vector<Example> examples;
  Time first_seen{}, last_seen{};
  std::string suppressed;  // the reason somebody gave; empty: it counts

  Tier tier() const { return TierOf(rule); }
  // Raises an alert.
  bool alerts() const {
    return state == State::kConfirmed && tier() != Tier::kWeak && suppressed.empty();
  }
};

}  // namespace peermesh::ledger

#endif  // PEERMESH_METRICS_LEDGER_VERDICT_H_
