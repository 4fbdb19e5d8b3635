// Whether the figures of all runs are as required.
#ifndef PEERMESH_TESTS_SIM_EXPERIMENT_VERDICT_H_
#define PEERMESH_TESTS_SIM_EXPERIMENT_VERDICT_H_

#include <optional>
#include <string>
#include <vector>

#include "tests/sim/experiment/figures.h"
#include "tests/sim/experiment/plan.h"

namespace peermesh::sim::experiment {

// One figure of one case, over its seeds; or, with a bound on the total, of all cases.
struct Row {
  std::string plan, figure;
  Spread spread;
  std::string required;  // "mean 6.2..6.6"; empty: nothing is
  std::optional<bool> holds;
};

// Everything that was measured, in the order of cases and figures, with what is required of it; a
// figure with two bounds has two rows, a required one that was not measured has one with no count.
// Requirements of cases that were not run are left out.
std::vector<Row> Judge(const Experiment& experiment, const std::vector<Outcome>& outcomes);

bool AllHold(const std::vector<Row>& rows);

}  // namespace peermesh::sim::experiment

#endif  // PEERMESH_TESTS_SIM_EXPERIMENT_VERDICT_H_
