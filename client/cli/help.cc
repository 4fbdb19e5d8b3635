#include "client/cli/help.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "client/cli/exit_code.h"
#include "client/cli/guide.h"
#include "client/cli/lines.h"

namespace peermesh::cli {
namespace {

constexpr std::size_t kIndent = 2;
constexpr std::size_t kWidestLabel = 24;  // a longer one has a line of its own

using Row = std::pair<std::string, std::string>;

// Two columns below a heading; nothing without rows.
std::string Section(const std::string& heading, const std::vector<Row>& rows) {
  if (rows.empty()) return "";
  std::size_t widest = 0;
  for (const auto& [label, text] : rows)
    if (label.size() <= kWidestLabel) widest = std::max(widest, label.size());
  const std::size_t column = kIndent + widest + 2;
  std::string out = fmt::format("\n{}:\n", heading);
  for (const auto& [label, text] : rows) {
    const std::vector<std::string> lines = Wrap(text, kHelpWidth - column);
    out += fmt::format("{:{}}{}", "", kIndent, label);
    std::size_t at = kIndent + label.size();
    for (const std::string& line : lines) {
      if (at + 2 > column) {
        out += "\n";
        at = 0;
      }
      out += fmt::format("{:{}}{}", "", column - at, line);
      at = kHelpWidth;
    }
    out += "\n";
  }
  return out;
}

std::string Text(std::string_view text) {
  std::string out;
  for (const Paragraph& paragraph : ParagraphsOf(text)) {
    if (paragraph.literal) {
      out += paragraph.text + "\n";
      continue;
    }
    out += out.empty() || !out.ends_with("\n") ? "" : "\n";
    for (const std::string& line : Wrap(paragraph.text, kHelpWidth)) out += line + "\n";
  }
  return out.empty() ? "" : "\n" + out;
}

std::string Commands(const CommandModel& command) {
  std::string out;
  const auto heading_of = [](const CommandModel* below) { return below->heading; };
  for (const std::string& heading : HeadingsOf(command.commands, heading_of)) {
    std::vector<Row> rows;
    for (const CommandModel* below : command.commands)
      if (below->heading == heading) rows.emplace_back(below->name(), below->help);
    out += Section(heading.empty() ? "Commands" : heading, rows);
  }
  return out;
}

std::string Options(const CommandModel& command) {
  std::vector<Row> arguments;
  for (const OptionModel& argument : command.arguments)
    arguments.emplace_back(LabelOf(argument), argument.help);
  std::string out = Section("Arguments", arguments);
  const auto heading_of = [](const OptionModel& option) { return option.heading; };
  for (const std::string& heading : HeadingsOf(command.options, heading_of)) {
    std::vector<Row> rows;
    for (const OptionModel& option : command.options)
      if (option.heading == heading) rows.emplace_back(LabelOf(option), option.help);
    // What every command has comes last.
    std::stable_partition(rows.begin(), rows.end(), [](const Row& row) {
      return !row.first.ends_with("--help") && row.first != "--version";
    });
    out += Section(heading.empty() ? "Options" : heading, rows);
  }
  return out;
}

std::string Examples(const CommandModel& command) {
  const Guide& guide = GuideOf(command.path);
  if (guide.examples.empty()) return "";
  std::string out = command.path.empty() ? "\nBegin with:\n" : "\nExamples:\n";
  for (const Example& example : guide.examples)
    out += fmt::format("  {}\n      {}\n", example.line, example.meaning);
  return out;
}

std::string ExitCodes() {
  std::vector<Row> rows;
  for (const ExitCodeText& code : kExitCodes) rows.emplace_back(code.codes, code.meaning);
  return Section("Exit codes", rows);
}

}  // namespace

std::vector<std::string> Wrap(std::string_view text, std::size_t width) {
  std::vector<std::string> lines;
  for (const std::string& word : Split(text, ' ')) {
    if (word.empty()) continue;
    if (!lines.empty() && lines.back().size() + 1 + word.size() <= width) {
      lines.back() += " " + word;
    } else {
      lines.push_back(word);
    }
  }
  return lines;
}

std::vector<Paragraph> ParagraphsOf(std::string_view text) {
  std::vector<Paragraph> all;
  bool fresh = true;
  for (const std::string& line : Split(text, '\n')) {
    if (line.empty()) {
      fresh = true;
      continue;
    }
    const bool literal = line.starts_with(' ');
    if (fresh || all.back().literal != literal) {
      all.push_back({line, literal});
    } else {
      all.back().text += (literal ? "\n" : " ") + line;
    }
    fresh = false;
  }
  return all;
}

std::string LabelOf(const OptionModel& option) {
  std::string label = fmt::format("{}", fmt::join(option.names, ", "));
  if (!option.takes_value) return label;
  label += (label.empty() ? "" : " ") + option.value_name;
  return option.repeats && option.names.empty() ? label + "..." : label;
}

std::string HelpOf(const CommandModel& command) {
  std::string out = fmt::format("{}\n\nUsage: {}\n", command.help, command.Usage());
  if (command.path.empty()) {
    return out + Examples(command) + Commands(command) + Options(command) + ExitCodes() +
           Text(command.notes);
  }
  return out + Commands(command) + Options(command) + Text(command.notes) + Examples(command) +
         Text(
             "\"peermesh --help\" has the options of every command, such as --json and those that "
             "say where the peer is, and the exit codes.");
}

}  // namespace peermesh::cli
