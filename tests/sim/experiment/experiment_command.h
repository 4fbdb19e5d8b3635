// `meshsim experiment`: experiments of large meshes, with many seeds, against what is required.
#ifndef PEERMESH_TESTS_SIM_EXPERIMENT_EXPERIMENT_COMMAND_H_
#define PEERMESH_TESTS_SIM_EXPERIMENT_EXPERIMENT_COMMAND_H_

#include "tests/sim/commands.h"

namespace peermesh::sim {

Command AddExperiment(CLI::App& meshsim);

}  // namespace peermesh::sim

#endif  // PEERMESH_TESTS_SIM_EXPERIMENT_EXPERIMENT_COMMAND_H_
