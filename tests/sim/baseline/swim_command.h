// `meshsim swim`: how often classic SWIM is wrong about healthy members, and how fast it is right.
#ifndef PEERMESH_TESTS_SIM_BASELINE_SWIM_COMMAND_H_
#define PEERMESH_TESTS_SIM_BASELINE_SWIM_COMMAND_H_

#include "tests/sim/commands.h"

namespace peermesh::sim {

Command AddSwim(CLI::App& meshsim);

}  // namespace peermesh::sim

#endif  // PEERMESH_TESTS_SIM_BASELINE_SWIM_COMMAND_H_
