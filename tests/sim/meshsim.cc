// meshsim: a whole mesh in virtual time.
#include "tests/sim/commands.h"

namespace peermesh::sim {
namespace {

int Main(int argc, char** argv) {
  CLI::App meshsim{"Simulates a mesh in virtual time."};
  meshsim.require_subcommand(1);
  const Command commands[] = {AddRun(meshsim), AddReplay(meshsim)};
  CLI11_PARSE(meshsim, argc, argv);
  for (const Command& command : commands) {
    if (command.parsed->parsed()) return command.run();
  }
  return 0;
}

}  // namespace
}  // namespace peermesh::sim

int main(int argc, char** argv) { return peermesh::sim::Main(argc, argv); }
