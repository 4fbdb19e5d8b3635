// meshsim: a whole mesh in virtual time.
#include "tests/sim/baseline/swim_command.h"
#include "tests/sim/commands.h"
#include "tests/sim/compare/compare_command.h"
#include "tests/sim/experiment/experiment_command.h"

namespace peermesh::sim {
namespace {

int Main(int argc, char** argv) {
  CLI::App meshsim{"Simulates a mesh in virtual time."};
  meshsim.require_subcommand(1);
  const Command commands[] = {AddRun(meshsim), AddReplay(meshsim), AddExperiment(meshsim),
                              AddSwim(meshsim), AddCompare(meshsim)};
  CLI11_PARSE(meshsim, argc, argv);
  for (const Command& command : commands) {
    if (command.parsed->parsed()) return command.run();
  }
  return 0;
}

}  // namespace
}  // namespace peermesh::sim

int main(int argc, char** argv) { return peermesh::sim::Main(argc, argv); }
