#include "client/cli/command_tree.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <set>

#include "client/cli/context.h"
#include "client/cli/lines.h"

namespace peermesh::cli {
namespace {

// "TEXT:{off,track}" and "gap|block|close" are choices; FILE, DIR, PEER and CONTEXT are what they
// say.
ValueKind KindOf(const CLI::Option& option) {
  using Kind = ValueKind::Kind;
  const std::string type = option.get_type_name();
  const std::string name = option.get_positional() ? option.get_name() : type;
  const std::size_t open = type.find('{'), close = type.find('}');
  if (open != std::string::npos && close > open)
    return {Kind::kChoice, Split(type.substr(open + 1, close - open - 1), ',')};
  if (type.find('|') != std::string::npos) return {Kind::kChoice, Split(type, '|')};
  if (name == "FILE" || name == "PATH") return {Kind::kFile, {}};
  if (name == "DIR") return {Kind::kDirectory, {}};
  if (name == kPeer || option.check_lname("target")) return {Kind::kPeer, {}};
  if (name == kContextName || option.check_lname("context")) return {Kind::kContext, {}};
  return {};
}

OptionModel ModelOf(const CLI::Option& option) {
  OptionModel model;
  for (const std::string& name : option.get_lnames()) model.names.push_back("--" + name);
  for (const std::string& name : option.get_snames()) model.names.push_back("-" + name);
  model.help = option.get_description();
  model.takes_value = option.get_expected_max() != 0;
  model.value = KindOf(option);
  return model;
}

}  // namespace

CommandTree::CommandTree(const CLI::App& app) { Add(app, ""); }

const CommandModel* CommandTree::Add(const CLI::App& app, const std::string& path) {
  CommandModel& model = all_.emplace_back();
  model.path = path;
  model.help = app.get_description();
  for (const CLI::Option* option : app.get_options()) {
    (option->get_positional() ? model.arguments : model.options).push_back(ModelOf(*option));
  }
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    model.commands.push_back(
        Add(*command, path.empty() ? command->get_name() : path + " " + command->get_name()));
  }
  return &model;
}

std::vector<std::string> CommandTree::ValueOptions() const {
  std::set<std::string> names;
  for (const CommandModel& command : all_) {
    for (const OptionModel& option : command.options) {
      if (option.takes_value) names.insert(option.names.begin(), option.names.end());
    }
  }
  return {names.begin(), names.end()};
}

}  // namespace peermesh::cli
