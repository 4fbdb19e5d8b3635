#include "client/cli/parse_error.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <numeric>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "client/cli/context.h"
#include "client/cli/exit_code.h"

namespace peermesh::cli {
namespace {

constexpr std::size_t kMostMistakes = 2;  // letters, for a word to be taken for another

// How many letters to insert, remove or replace to make one of the other.
std::size_t Distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

bool Is(const CLI::ParseError& error, CLI::ExitCodes kind) {
  return error.get_exit_code() == static_cast<int>(kind);
}

// The command that was being read.
const CLI::App& Innermost(const CLI::App& app) {
  const CLI::App* innermost = &app;
  while (!innermost->get_subcommands().empty()) innermost = innermost->get_subcommands().back();
  return *innermost;
}

std::string PathOf(const CLI::App& app) {
  return app.get_parent() == nullptr ? app.get_name()
                                     : PathOf(*app.get_parent()) + " " + app.get_name();
}

std::vector<std::string> CommandsOf(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(command->get_name());
  }
  return names;
}

// Its own and those of what it is part of: they may stand anywhere.
std::vector<std::string> OptionsOf(const CLI::App* app) {
  std::vector<std::string> names;
  for (; app != nullptr; app = app->get_parent()) {
    for (const CLI::Option* option : app->get_options()) {
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    }
  }
  return names;
}

std::string DescribeExtra(const CLI::App& command, const std::string& word) {
  const std::string path = PathOf(command);
  if (word.starts_with("-")) {
    const std::string option = word.substr(0, word.find('='));
    const bool takes_message = command.get_option_no_throw(kMessage) != nullptr;
    return fmt::format("\"{}\" has no option {}.{}{}", path, word,
                       Suggest(option, OptionsOf(&command)),
                       takes_message ? " Write -- before a message that begins with -." : "");
  }
  const std::vector<std::string> commands = CommandsOf(command);
  if (commands.empty()) return fmt::format("\"{}\" is one word too many.", word);
  return fmt::format("\"{}\" has no command \"{}\".{}", path, word, Suggest(word, commands));
}

// What CLI11 says, without its own words for what it found wrong with an option.
std::string DescribeOption(const CLI::ParseError& error) {
  const std::string text = error.what();
  const std::string option = text.substr(0, text.find(": "));
  if (Is(error, CLI::ExitCodes::ArgumentMismatch)) {
    if (text.find("At Most") != std::string::npos) {
      return fmt::format("{} is given more than once. Give it once.", option);
    }
    return fmt::format("{} needs a value.", option);
  }
  if (Is(error, CLI::ExitCodes::ExcludesError)) {
    const std::size_t excludes = text.find(" excludes ");
    return fmt::format("Both {} and {} are given. Give one of them.", text.substr(0, excludes),
                       text.substr(excludes + std::string_view(" excludes ").size()));
  }
  return text.ends_with('.') ? text : text + ".";
}

absl::Status IsEmpty(const std::string& option) {
  return UsageError(
      fmt::format("{} is empty. Leave it out, or see whether a variable is not set.", option));
}

}  // namespace

std::string Suggest(const std::string& word, const std::vector<std::string>& known) {
  const std::string* best = nullptr;
  std::size_t least = std::min(kMostMistakes + 1, word.size() / 2 + 1);
  for (const std::string& candidate : known) {
    const std::size_t distance = Distance(word, candidate);
    if (distance >= least) continue;
    least = distance;
    best = &candidate;
  }
  return best == nullptr ? "" : fmt::format(" Did you mean \"{}\"?", *best);
}

absl::Status Translate(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App& command = Innermost(app);
  const std::vector<std::string> commands = CommandsOf(command);
  const std::vector<std::string> extras = app.remaining(true);
  std::string what;
  // Of a mistyped command CLI11 says that there is none.
  const bool lacks_command = Is(error, CLI::ExitCodes::RequiredError) && !commands.empty();
  if (!extras.empty() && (lacks_command || Is(error, CLI::ExitCodes::ExtrasError))) {
    what = DescribeExtra(command, extras.front());
  } else if (lacks_command) {
    what = fmt::format("\"{}\" needs a command: {}.", PathOf(command), fmt::join(commands, ", "));
  } else {
    what = DescribeOption(error);
  }
  return UsageError(fmt::format("{} See \"{} --help\".", what, PathOf(command)));
}

absl::Status RefuseEmptyValues(int argc, const char* const* argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--") break;
    if (word.starts_with("--") && word.find('=') == word.size() - 1) {
      return IsEmpty(std::string(word.substr(0, word.size() - 1)));
    }
  }
  return absl::OkStatus();
}

absl::Status RefuseEmptyValues(const CLI::App& app) {
  for (const CLI::Option* option : app.get_options()) {
    const auto& values = option->results();
    if (option->get_name() == kMessage || std::count(values.begin(), values.end(), "") == 0) {
      continue;
    }
    return IsEmpty(option->get_name());
  }
  for (const CLI::App* command : app.get_subcommands()) {
    if (auto status = RefuseEmptyValues(*command); !status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace peermesh::cli
