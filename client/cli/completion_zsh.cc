// Completion for zsh: the same reading of the line as for bash, with what each thing is.
#include <fmt/format.h>

#include <string_view>

#include "client/cli/command_tree.h"

namespace peermesh::cli {
namespace {

constexpr std::string_view kReader = R"sh(
_peermesh_complete() {  # KIND
  case $1 in
    file) _files ;;
    directory) _files -/ ;;
    peer) compadd -- ${(f)"$(_call_program peers ${(q)words[1]} ${(q)where} peers --quiet 2>/dev/null)"} ;;
    context) compadd -- ${(f)"$(_call_program contexts ${(q)words[1]} context ls --quiet 2>/dev/null)"} ;;
    choice\ *) compadd -- ${(s: :)1#choice } ;;
  esac
}

_peermesh() {
  local command='' option='' word only='' key
  local -i i argument=0
  local -a where found
  for ((i = 2; i < CURRENT; ++i)); do
    word=${(Q)words[i]}
    key=$command:$word
    if [[ -n $option ]]; then
      (( ${_peermesh_where[(Ie)$option]} )) && where+=($option $word)
      option=''
    elif [[ -n $only ]]; then
      (( ++argument ))
    elif [[ $word == -- ]]; then
      only=yes
    elif [[ $word == -* ]]; then
      (( ${_peermesh_with_value[(Ie)$word]} )) && option=$word
    elif (( ${_peermesh_known[(Ie)$key]} )); then
      command+=${command:+ }$word
      argument=0
    else
      (( ++argument ))
    fi
  done
  if [[ -z $option && $PREFIX == --*=* ]]; then
    option=${PREFIX%%\=*}
    compset -P 1 '*='
  fi
  if [[ -n $option ]]; then
    _peermesh_complete "$(_peermesh_value "$command" $option)"
  elif [[ $PREFIX == -* && -z $only ]]; then
    found=(${(f)"$(_peermesh_options "$command")"} ${(f)"$(_peermesh_options '')"})
    _describe -o option found
  else
    _peermesh_complete "$(_peermesh_argument "$command" $argument)"
    if (( argument == 0 )); then
      found=(${(f)"$(_peermesh_commands "$command")"})
      (( $#found )) && _describe command found
    fi
  fi
}

# As a file of fpath the function is called by what loaded it; sourced, it is announced.
if [[ ${funcstack[1]-} == _peermesh ]]; then _peermesh "$@"; else compdef _peermesh peermesh; fi
)sh";

// "name:help" in single quotes; colons in a name would end it.
std::string Described(const std::string& name, const std::string& help) {
  std::string text;
  for (const char c : name + ":" + help)
    text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return "'" + text + "'";
}

std::string Line(const std::string& pattern, const std::string& words) {
  return words.empty() ? "" : fmt::format("    {}) print -l --{} ;;\n", pattern, words);
}

std::string Table(const char* name, const std::string& lines) {
  return fmt::format("{}() {{\n  case $1/${{2-}} in\n{}  esac\n}}\n", name, lines);
}

}  // namespace

std::string ZshCompletion(const CommandTree& tree) {
  std::string commands, options, values, arguments, where, known;
  for (const CommandModel& command : tree.all()) {
    std::string below_words, option_words;
    for (const CommandModel* below : command.commands) {
      const std::string name = below->path.substr(below->path.rfind(' ') + 1);
      below_words += " " + Described(name, below->help);
      known += fmt::format(" '{}:{}'", command.path, name);
    }
    commands += Line(fmt::format("'{}'/", command.path), below_words);
    for (const OptionModel& option : command.options) {
      const std::string at = command.path.empty() ? "*" : "'" + command.path + "'";
      for (const std::string& name : option.names) {
        option_words += " " + Described(name, option.help);
        const std::string kind = option.takes_value ? WordsFor(option.value) : "";
        if (!kind.empty()) values += Line(fmt::format("{}/{}", at, name), " '" + kind + "'");
        if (command.path.empty() && option.takes_value) where += " " + name;
      }
    }
    options += Line(fmt::format("'{}'/", command.path), option_words);
    for (std::size_t i = 0; i < command.arguments.size(); ++i) {
      const std::string kind = WordsFor(command.arguments[i].value);
      const bool last = i + 1 == command.arguments.size();
      if (kind.empty()) continue;
      arguments += Line(fmt::format("'{}'/{}", command.path, last ? "*" : std::to_string(i)),
                        " '" + kind + "'");
    }
  }
  return "#compdef peermesh\n# zsh completion of peermesh " PEERMESH_VERSION
         ", made by \"peermesh completion zsh\".\n" +
         Table("_peermesh_commands", commands) + Table("_peermesh_options", options) +
         Table("_peermesh_value", values) + Table("_peermesh_argument", arguments) +
         fmt::format("typeset -ga _peermesh_with_value=({})\n",
                     fmt::join(tree.ValueOptions(), " ")) +
         fmt::format("typeset -ga _peermesh_where=({})\n", where) +
         fmt::format("typeset -ga _peermesh_known=({})\n", known) + std::string(kReader);
}

}  // namespace peermesh::cli
