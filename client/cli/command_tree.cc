#include "client/cli/command_tree.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <set>

#include "client/cli/context.h"
#include "client/cli/lines.h"

namespace peermesh::cli {
namespace {

// What CLI11 calls those that were given no group.
constexpr char kPlainOptions[] = "Options", kPlainCommands[] = "Subcommands";

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

// What stands for the value: its type, its choices, or the last word of the option's name.
std::string ValueNameOf(const CLI::Option& option, const ValueKind& value) {
  if (value.kind == ValueKind::Kind::kChoice && !option.get_positional())
    return fmt::format("{}", fmt::join(value.choices, "|"));
  const std::string type = option.get_type_name();
  if (option.get_positional()) return option.get_name();
  if (type.find("TEXT") == std::string::npos || option.get_lnames().empty()) return type;
  const std::string& name = option.get_lnames().front();
  std::string word = name.substr(name.rfind('-') + 1);
  std::transform(word.begin(), word.end(), word.begin(),
                 [](unsigned char c) { return toupper(c); });
  return word;
}

OptionModel ModelOf(const CLI::Option& option) {
  OptionModel model;
  for (const std::string& name : option.get_snames()) model.names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) model.names.push_back("--" + name);
  model.help = option.get_description();
  model.takes_value = option.get_expected_max() != 0;
  model.value = KindOf(option);
  if (model.takes_value) model.value_name = ValueNameOf(option, model.value);
  if (option.get_group() != kPlainOptions) model.heading = option.get_group();
  model.required = option.get_required();
  model.repeats = option.get_expected_max() > 1;
  return model;
}

// "peers show", of the command and those that it is part of.
std::string PathOf(const CLI::App& app) {
  if (app.get_parent() == nullptr) return "";
  const std::string above = PathOf(*app.get_parent());
  return above.empty() ? app.get_name() : above + " " + app.get_name();
}

}  // namespace

std::string CommandModel::Usage() const {
  std::string text = path.empty() ? "peermesh" : "peermesh " + path;
  if (!options.empty()) text += " [OPTIONS]";
  for (const OptionModel& argument : arguments) {
    const std::string name = argument.value_name + (argument.repeats ? "..." : "");
    text += argument.required ? " " + name : " [" + name + "]";
  }
  if (!commands.empty()) text += needs_command ? " COMMAND" : " [COMMAND]";
  return text;
}

CommandTree::CommandTree(const CLI::App& app) { Add(app, PathOf(app)); }

const CommandModel* CommandTree::Add(const CLI::App& app, const std::string& path) {
  CommandModel& model = all_.emplace_back();
  model.path = path;
  model.help = app.get_description();
  model.heading = app.get_group() == kPlainCommands ? "" : app.get_group();
  model.needs_command = app.get_require_subcommand_min() > 0;
  // A command begins with the notes of what it is part of.
  if (app.get_parent() == nullptr || app.get_parent()->get_footer() != app.get_footer())
    model.notes = app.get_footer();
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

std::string WordsFor(const ValueKind& value) {
  switch (value.kind) {
    case ValueKind::Kind::kText: return "";
    case ValueKind::Kind::kFile: return "file";
    case ValueKind::Kind::kDirectory: return "directory";
    case ValueKind::Kind::kPeer: return "peer";
    case ValueKind::Kind::kContext: return "context";
    case ValueKind::Kind::kChoice: return fmt::format("choice {}", fmt::join(value.choices, " "));
  }
  return "";
}

}  // namespace peermesh::cli
