// Writes the manual of the command line, when it is built: write_manual DIRECTORY DATE
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <fstream>
#include <string>

#include "client/cli/command_tree.h"
#include "client/cli/context.h"
#include "client/cli/manual.h"
#include "client/cli/run.h"

namespace peermesh::cli {
namespace {

bool Write(const std::string& directory, const CommandModel& command, const char* date) {
  const std::string path = fmt::format("{}/{}.1", directory, PageOf(command.path));
  std::ofstream out(path);
  out << Manual(command, date);
  out.close();
  if (!out) fmt::print(stderr, "write_manual: {} cannot be written.\n", path);
  return !!out;
}

}  // namespace
}  // namespace peermesh::cli

int main(int argc, char** argv) {
  using namespace peermesh::cli;  // NOLINT: the program is of it
  if (argc != 3) {
    fmt::print(stderr, "write_manual: usage: write_manual DIRECTORY DATE\n");
    return 2;
  }
  Context context;
  CLI::App app;
  AddProgram(app, context);
  const CommandTree tree(app);
  bool good = Write(argv[1], tree.program(), argv[2]);
  for (const CommandModel* command : tree.program().commands)
    good = Write(argv[1], *command, argv[2]) && good;
  return good ? 0 : 1;
}
