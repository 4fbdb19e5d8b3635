// The commands of meshsim: one file each, which adds its flags to the parser and runs.
#ifndef PEERMESH_TESTS_SIM_COMMANDS_H_
#define PEERMESH_TESTS_SIM_COMMANDS_H_

#include <CLI/CLI.hpp>
#include <functional>

namespace peermesh::sim {

// Exit codes beside 0.
inline constexpr int kFailed = 1, kBadInput = 2;

struct Command {
  CLI::App* parsed = nullptr;
  std::function<int()> run;  // the exit code
};

// `run`: scripts with a number of seeds.
Command AddRun(CLI::App& meshsim);
// `replay`: what a daemon recorded, again.
Command AddReplay(CLI::App& meshsim);

}  // namespace peermesh::sim

#endif  // PEERMESH_TESTS_SIM_COMMANDS_H_
