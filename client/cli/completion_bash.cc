// Completion for bash: tables in `case`, and one function that reads the line with them.
#include <fmt/format.h>

#include <string_view>

#include "client/cli/command_tree.h"

namespace peermesh::cli {
namespace {

// What follows the tables. `where` are the options that say where the peer is: names of peers are
// asked of the same one.
constexpr std::string_view kReader = R"sh(
_peermesh_complete() {  # KIND: fills COMPREPLY with what fits there
  local IFS=$'\n'
  case $1 in
    file) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$cur")) ;;
    directory) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -d -- "$cur")) ;;
    peer) COMPREPLY=($(compgen -W "$("${COMP_WORDS[0]}" "${where[@]}" peers --quiet 2>/dev/null)" -- "$cur")) ;;
    context) COMPREPLY=($(compgen -W "$("${COMP_WORDS[0]}" context ls --quiet 2>/dev/null)" -- "$cur")) ;;
    choice\ *) word=${1#choice }; COMPREPLY=($(compgen -W "${word// /$'\n'}" -- "$cur")) ;;
  esac
}

_peermesh() {
  local cur=${COMP_WORDS[COMP_CWORD]} command='' option='' word i argument=0 only_arguments=''
  local -a where=()
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; ++i)); do
    word=${COMP_WORDS[i]}
    [[ $word == '=' ]] && continue  # bash cuts --option=value in three
    if [[ $option ]]; then
      [[ " $_peermesh_where " == *" $option "* ]] && where+=("$option" "$word")
      option=''
    elif [[ $only_arguments ]]; then
      ((++argument))
    elif [[ $word == -- ]]; then
      only_arguments=yes
    elif [[ $word == -* ]]; then
      [[ " $_peermesh_with_value " == *" $word "* ]] && option=$word
    elif [[ " $(_peermesh_commands "$command") " == *" $word "* ]]; then
      command+=${command:+ }$word
      argument=0
    else
      ((++argument))
    fi
  done
  [[ $cur == '=' ]] && cur=''
  if [[ $option ]]; then
    _peermesh_complete "$(_peermesh_value "$command" "$option")"
  elif [[ $cur == -* && ! $only_arguments ]]; then
    COMPREPLY=($(compgen -W "$(_peermesh_options "$command") $_peermesh_everywhere" -- "$cur"))
  else
    _peermesh_complete "$(_peermesh_argument "$command" "$argument")"
    if ((argument == 0)); then
      COMPREPLY+=($(compgen -W "$(_peermesh_commands "$command")" -- "$cur"))
    fi
  fi
}

complete -F _peermesh peermesh
)sh";

std::string Names(const std::vector<OptionModel>& options) {
  std::string text;
  for (const OptionModel& option : options)
    text += fmt::format("{}{}", text.empty() ? "" : " ", fmt::join(option.names, " "));
  return text;
}

// One line of a `case`; nothing for an empty answer.
std::string Line(const std::string& pattern, const std::string& answer) {
  return answer.empty() ? "" : fmt::format("    {}) echo '{}' ;;\n", pattern, answer);
}

std::string Table(const char* name, const std::string& lines) {
  return fmt::format("{}() {{\n  case $1/${{2-}} in\n{}  esac\n}}\n", name, lines);
}

}  // namespace

std::string BashCompletion(const CommandTree& tree) {
  std::string commands, options, values, arguments, where;
  for (const CommandModel& command : tree.all()) {
    std::string names;
    for (const CommandModel* below : command.commands)
      names += (names.empty() ? "" : " ") + below->path.substr(below->path.rfind(' ') + 1);
    commands += Line(fmt::format("'{}'/", command.path), names);
    options += Line(fmt::format("'{}'/", command.path), Names(command.options));
    for (const OptionModel& option : command.options) {
      if (!option.takes_value) continue;
      // Those of the program hold everywhere.
      const std::string at = command.path.empty() ? "*" : "'" + command.path + "'";
      for (const std::string& name : option.names)
        values += Line(fmt::format("{}/{}", at, name), WordsFor(option.value));
      if (command.path.empty()) where += fmt::format(" {}", fmt::join(option.names, " "));
    }
    for (std::size_t i = 0; i < command.arguments.size(); ++i) {
      const bool last = i + 1 == command.arguments.size();
      arguments += Line(fmt::format("'{}'/{}", command.path, last ? "*" : std::to_string(i)),
                        WordsFor(command.arguments[i].value));
    }
  }
  return "# bash completion of peermesh " PEERMESH_VERSION
         ", made by \"peermesh completion bash\".\n" +
         Table("_peermesh_commands", commands) + Table("_peermesh_options", options) +
         Table("_peermesh_value", values) + Table("_peermesh_argument", arguments) +
         fmt::format("_peermesh_with_value='{}'\n", fmt::join(tree.ValueOptions(), " ")) +
         fmt::format("_peermesh_where='{}'\n", where) +
         fmt::format("_peermesh_everywhere='{}'\n", Names(tree.program().options)) +
         std::string(kReader);
}

}  // namespace peermesh::cli
