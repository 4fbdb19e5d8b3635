// `meshsim compare`: five ways to connect peers, side by side.
#ifndef PEERMESH_TESTS_SIM_COMPARE_COMPARE_COMMAND_H_
#define PEERMESH_TESTS_SIM_COMPARE_COMPARE_COMMAND_H_

#include "tests/sim/commands.h"

namespace peermesh::sim {

Command AddCompare(CLI::App& meshsim);

}  // namespace peermesh::sim

#endif  // PEERMESH_TESTS_SIM_COMPARE_COMPARE_COMMAND_H_
