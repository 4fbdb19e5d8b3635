// What is said of an experiment: a line for each run, a table, JSON.
#ifndef PEERMESH_TESTS_SIM_EXPERIMENT_REPORT_H_
#define PEERMESH_TESTS_SIM_EXPERIMENT_REPORT_H_

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "tests/sim/experiment/figures.h"
#include "tests/sim/experiment/plan.h"
#include "tests/sim/experiment/verdict.h"

namespace peermesh::sim::experiment {

// "seed 3 full: components 1, ...": without the figures of single rounds.
std::string RunLine(const Outcome& outcome);
// One line for each row: case, figure, mean, least, most, what is required, whether it holds.
// Figures of single rounds only if something is required of them.
std::string Table(const std::vector<Row>& rows);
// Of all runs together.
std::uint64_t DigestOf(const std::vector<Outcome>& outcomes);
nlohmann::ordered_json ToJson(const Experiment& experiment, const std::vector<Outcome>& outcomes,
                              const std::vector<Row>& rows);

}  // namespace peermesh::sim::experiment

#endif  // PEERMESH_TESTS_SIM_EXPERIMENT_REPORT_H_
