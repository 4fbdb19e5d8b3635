// peermesh completion: a script that teaches a shell what this program takes.
#include <CLI/CLI.hpp>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "client/cli/command_tree.h"
#include "client/cli/context.h"
#include "client/cli/output.h"

namespace peermesh::cli {
namespace {

using Writer = std::string (*)(const CommandTree&);

const std::map<std::string, Writer>& Shells() {
  static const std::map<std::string, Writer> all = {
      {"bash", BashCompletion}, {"fish", FishCompletion}, {"zsh", ZshCompletion}};
  return all;
}

}  // namespace

void AddCompletion(CLI::App& app, Context& context) {
  auto* command = app.add_subcommand("completion", "Print a script that completes in a shell");
  command->footer(
      "The package installs all three. By hand:\n"
      "  bash: source <(peermesh completion bash)\n"
      "  zsh:  source <(peermesh completion zsh), after compinit\n"
      "  fish: peermesh completion fish | source");
  auto shell = std::make_shared<std::string>();
  command->add_option("SHELL", *shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember(Shells()));
  command->callback([shell, &app, &context] {
    context.needs_peer = false;
    context.command = [shell, &app](Context& c) {
      const std::string script = Shells().at(*shell)(CommandTree(app));
      if (!c.json) return WriteOut(script);
      const nlohmann::ordered_json json = {
          {"schema", c.schema}, {"shell", *shell}, {"script", script}};
      return WriteOut(json.dump() + "\n");
    };
  });
}

}  // namespace peermesh::cli
