// Runs of classic SWIM with many seeds, and what to say of them.
#ifndef PEERMESH_TESTS_SIM_BASELINE_EXPERIMENT_H_
#define PEERMESH_TESTS_SIM_BASELINE_EXPERIMENT_H_

#include <cstdint>
#include <vector>

#include "tests/sim/baseline/config.h"
#include "tests/sim/baseline/pauses.h"
#include "tests/sim/baseline/swim.h"

namespace peermesh::sim::baseline {

struct Experiment {
  Config config;
  PausePlan plan;  // of as many members as the config has
  std::uint32_t crashes = 0;
  std::uint64_t first_seed = 1, seeds = 20;
  // After the last pause: what was begun is brought to its end.
  Duration settle = std::chrono::seconds(60);
};

// Over several values; all zero if there was none.
struct Summary {
  std::size_t count = 0;
  double mean = 0, p50 = 0, p99 = 0, most = 0;
};
Summary Summarise(std::vector<double> values);

// Means of a run, over all seeds; times in seconds.
struct Report {
  std::uint32_t paused = 0;
  double false_deaths = 0, false_events = 0, raw_healthy_events = 0, raw_events = 0;
  double false_deaths_most = 0;  // of any seed
  std::uint64_t seeds_with_false_deaths = 0;
  double sends = 0;  // of a member in a period
  std::uint64_t overflowed = 0;
  std::uint64_t undetected = 0;                // crashes
  Summary probed, suspected, declared, known;  // seconds after the crash
  std::uint64_t digest = 0;
};

Report RunExperiment(const Experiment& experiment);

}  // namespace peermesh::sim::baseline

#endif  // PEERMESH_TESTS_SIM_BASELINE_EXPERIMENT_H_
