// One run of a script with one seed.
//
// Safety is checked all the time (the books of truth.h, the invariants of every node); liveness
// where the script expects something within a bound, and in `settle`, when all faults are over.
// With a history, the checker of tests/history must find it right as well.
// Deterministic: the same script and seed give the same digest.
#ifndef PEERMESH_TESTS_SIM_RUN_H_
#define PEERMESH_TESTS_SIM_RUN_H_

#include <cstdint>
#include <string>
#include <vector>

#include "tests/sim/parameters.h"
#include "tests/sim/script.h"
#include "tests/sim/timeline.h"
#include "tests/sim/world.h"

namespace peermesh::sim {

struct Figure {
  std::string name;  // "line 7: whole"
  Duration took{}, bound{};
};

struct Outcome {
  std::uint64_t seed = 0;
  std::vector<std::string> failures;  // the first kMostFailures
  std::uint64_t failure_count = 0;
  std::vector<Figure> figures;
  Tally tally;
  Parameters::Drawn parameters;
  std::uint64_t turns = 0, faults = 0, digest = 0;
  std::uint64_t changes_lost = 0;  // that a disk did not have yet when its process was killed
  Duration virtual_time{};
  double seconds = 0;  // of the wall clock

  bool ok() const { return failure_count == 0; }
};
inline constexpr std::size_t kMostFailures = 10;

struct RunOptions {
  std::uint64_t check_every = 0;  // 0: every turn up to 8 peers, else every 64th
  Codec* codec = nullptr;
  Span trace{};                  // from and to: every turn of that time to standard output
  Timeline* timeline = nullptr;  // of this run
  std::string history;           // directory; not empty: written there, and judged by it, too
};

Outcome RunScript(const Script& script, std::uint64_t seed, const RunOptions& options);

}  // namespace peermesh::sim

#endif  // PEERMESH_TESTS_SIM_RUN_H_
