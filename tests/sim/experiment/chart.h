// Draws an experiment as one SVG: how a broadcast spreads, how many neighbours peers have, how
// delivery comes back after a failure. Of each case, the first seed.
#ifndef PEERMESH_TESTS_SIM_EXPERIMENT_CHART_H_
#define PEERMESH_TESTS_SIM_EXPERIMENT_CHART_H_

#include <string>
#include <vector>

#include "tests/sim/experiment/figures.h"
#include "tests/sim/experiment/plan.h"

namespace peermesh::sim::experiment {

// Panels without a curve are left out.
std::string Chart(const Experiment& experiment, const std::vector<Outcome>& outcomes);

}  // namespace peermesh::sim::experiment

#endif  // PEERMESH_TESTS_SIM_EXPERIMENT_CHART_H_
