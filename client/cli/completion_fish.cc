// Completion for fish: one `complete` for each command and option.
#include <fmt/format.h>

#include <string_view>

#include "client/cli/command_tree.h"

namespace peermesh::cli {
namespace {

constexpr std::string_view kReader = R"sh(
# The command that the line names so far, and how many arguments it has.
function __peermesh_read
    set -g __peermesh_command ''
    set -g __peermesh_argument 0
    set -l option ''
    set -l tokens (commandline -opc)
    for word in $tokens[2..-1]
        if test -n "$option"
            set option ''
        else if string match -q -- '-*' $word
            contains -- $word $__peermesh_with_value; and set option $word
        else if contains -- (string trim -- "$__peermesh_command $word") $__peermesh_paths
            set __peermesh_command (string trim -- "$__peermesh_command $word")
            set __peermesh_argument 0
        else
            set __peermesh_argument (math $__peermesh_argument + 1)
        end
    end
end
function __peermesh_at
    __peermesh_read
    test "$__peermesh_command" = "$argv[1]"
end
# At the first argument, or at the N-th and, with +, after it.
function __peermesh_argument_at
    __peermesh_at $argv[1]; or return 1
    set -l number (string trim -c + -- $argv[2])
    if string match -q '*+' -- $argv[2]
        test $__peermesh_argument -ge $number
    else
        test $__peermesh_argument -eq $number
    end
end
complete -c peermesh -f
)sh";

std::string Quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

// The flags of `complete` that say what may follow.
std::string ValueFlags(const ValueKind& value) {
  switch (value.kind) {
    case ValueKind::Kind::kText: return "";
    case ValueKind::Kind::kFile: return " -F";
    case ValueKind::Kind::kDirectory: return " -a '(__fish_complete_directories)'";
    case ValueKind::Kind::kPeer: return " -a '(peermesh peers --quiet 2>/dev/null)'";
    case ValueKind::Kind::kContext: return " -a '(peermesh context ls --quiet 2>/dev/null)'";
    case ValueKind::Kind::kChoice:
      return fmt::format(" -a {}", Quoted(fmt::format("{}", fmt::join(value.choices, " "))));
  }
  return "";
}

std::string OptionLine(const CommandModel& command, const OptionModel& option) {
  std::string line = "complete -c peermesh";
  if (!command.path.empty()) line += fmt::format(" -n \"__peermesh_at '{}'\"", command.path);
  for (const std::string& name : option.names)
    line += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
  if (option.takes_value) {
    line += option.value.kind == ValueKind::Kind::kFile ? " -r" : " -x";
    line += ValueFlags(option.value);
  }
  return line + " -d " + Quoted(option.help) + "\n";
}

}  // namespace

std::string FishCompletion(const CommandTree& tree) {
  std::string lines, paths;
  for (const CommandModel& command : tree.all()) {
    if (!command.path.empty()) paths += " " + Quoted(command.path);
    for (const CommandModel* below : command.commands) {
      lines += fmt::format(
          "complete -c peermesh -n \"__peermesh_argument_at '{}' 0\" -a {} -d {}\n", command.path,
          below->path.substr(below->path.rfind(' ') + 1), Quoted(below->help));
    }
    for (const OptionModel& option : command.options) lines += OptionLine(command, option);
    for (std::size_t i = 0; i < command.arguments.size(); ++i) {
      const std::string flags = ValueFlags(command.arguments[i].value);
      if (flags.empty()) continue;
      lines += fmt::format("complete -c peermesh -n \"__peermesh_argument_at '{}' {}{}\"{}\n",
                           command.path, i, i + 1 == command.arguments.size() ? "+" : "", flags);
    }
  }
  return "# fish completion of peermesh " PEERMESH_VERSION
         ", made by \"peermesh completion fish\".\n" +
         fmt::format("set -g __peermesh_with_value {}\n", fmt::join(tree.ValueOptions(), " ")) +
         fmt::format("set -g __peermesh_paths{}\n", paths) + std::string(kReader) + lines;
}

}  // namespace peermesh::cli
