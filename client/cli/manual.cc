#include "client/cli/manual.h"

#include <fmt/format.h>

#include <cctype>
#include <set>
#include <vector>

#include "client/cli/exit_code.h"
#include "client/cli/guide.h"
#include "client/cli/help.h"
#include "client/cli/lines.h"

namespace peermesh::cli {
namespace {

constexpr std::size_t kSourceWidth = 78;
constexpr char kSeeProgram[] = "The options of every command are in peermesh(1).";

struct Variable {
  std::string_view name, meaning;
};
constexpr Variable kVariables[] = {
    {"PEERMESH_DATA_DIR", "Data directory of a peer on this host, as --data-dir."},
    {"PEERMESH_RUN_DIR", "Directory of its sockets, as --run-dir."},
    {"PEERMESH_SOCKET", "Its socket, as --socket."},
    {"PEERMESH_ADDRESS", "A peer on another host, as --address."},
    {"PEERMESH_IDENTITY", "Identity for it, as --identity."},
    {"PEERMESH_CONTEXT", "A peer that has a name, as --context."},
    {"PEERMESH_JOIN", "A join token, for \"peermesh up\"."},
    {"PEERMESH_PROTOS", "Where \"peermesh snippet\" finds the public protos."},
    {"NO_COLOR", "If set, nothing is coloured. Only a terminal gets colours at all."},
    {"XDG_CONFIG_HOME", "Contexts are kept below it; ~/.config if it is not set."},
};

// Text that a shell may be given as it stands: every character means itself.
std::string Code(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '\\': out += "\\e"; break;
      case '-': out += "\\-"; break;
      case '\'': out += "\\(aq"; break;
      case '`': out += "\\(ga"; break;
      case '^': out += "\\(ha"; break;
      case '~': out += "\\(ti"; break;
      default: out += c;
    }
  }
  return out.starts_with('.') ? "\\&" + out : out;
}

// "peermeshd(8),": the name in bold.
std::string Reference(const std::string& word) {
  const std::size_t open = word.find('(');
  if (open == std::string::npos || open == 0 || open + 2 >= word.size() ||
      !isdigit(static_cast<unsigned char>(word[open + 1])) || word[open + 2] != ')')
    return "";
  return fmt::format("\\fB{}\\fR{}", Code(word.substr(0, open)), word.substr(open));
}

// Running text: hyphens are hyphens within a word, and nothing begins a request.
std::string Prose(std::string_view text) {
  std::string source;
  for (const std::string& word : Split(text, ' ')) {
    const std::string reference = Reference(word);
    const std::size_t letter = word.find_first_not_of("\"('[");
    const bool code = word.find_first_of("\\'`^~") != std::string::npos ||
                      (letter != std::string::npos && word[letter] == '-');
    source += (source.empty() ? "" : " ") + (!reference.empty() ? reference
                                             : code             ? Code(word)
                                                                : word);
  }
  std::string out;
  for (const std::string& line : Wrap(source, kSourceWidth))
    out += (line.starts_with('.') ? "\\&" : "") + line + "\n";
  return out;
}

std::string Paragraphs(std::string_view text) {
  std::string out;
  for (const Paragraph& paragraph : ParagraphsOf(text)) {
    out += out.empty() ? "" : ".PP\n";
    if (!paragraph.literal) {
      out += Prose(paragraph.text);
      continue;
    }
    out += ".EX\n";
    for (const std::string& line : Split(paragraph.text, '\n')) out += Code(line) + "\n";
    out += ".EE\n";
  }
  return out;
}

std::string Item(const std::string& label, std::string_view text) {
  return fmt::format(".TP\n{}\n{}", label, Prose(text));
}

std::string Bold(std::string_view text) { return fmt::format("\\fB{}\\fR", Code(text)); }

// "--grace DURATION" with what is typed in bold and what stands for something in italics.
std::string Label(const OptionModel& option) {
  std::vector<std::string> names;
  for (const std::string& name : option.names) names.push_back(Bold(name));
  std::string label = fmt::format("{}", fmt::join(names, ", "));
  if (!option.takes_value) return label;
  label += fmt::format("{}\\fI{}\\fR", label.empty() ? "" : " ", Code(option.value_name));
  return option.repeats && option.names.empty() ? label + " ..." : label;
}

bool IsHelp(const OptionModel& option) {
  return !option.names.empty() && option.names.back() == "--help";
}

enum class Help { kWith, kWithout };

std::string Options(const CommandModel& command, std::string_view heading, Help help) {
  std::string out;
  for (const OptionModel& option : command.options)
    if (option.heading == heading && (help == Help::kWith || !IsHelp(option)))
      out += Item(Label(option), option.help + ".");
  return out;
}

std::string Arguments(const CommandModel& command) {
  std::string out;
  for (const OptionModel& argument : command.arguments)
    out += Item(Label(argument), argument.help + ".");
  return out;
}

std::string Usage(const CommandModel& command) {
  const std::string program = "peermesh" + (command.path.empty() ? "" : " " + command.path);
  return Bold(program) + Code(command.Usage().substr(program.size())) + "\n";
}

std::string Synopsis(const CommandModel& command) {
  if (command.path.empty()) return Usage(command);
  std::string out = command.needs_command ? "" : Usage(command);
  for (const CommandModel* below : command.commands)
    out += (out.empty() ? "" : ".br\n") + Usage(*below);
  return out;
}

// Of the program: where each command is described.
std::string CommandList(const CommandModel& program) {
  std::string out;
  const auto heading_of = [](const CommandModel* below) { return below->heading; };
  for (const std::string& heading : HeadingsOf(program.commands, heading_of)) {
    out += fmt::format(".SS {}\n", heading);
    for (const CommandModel* below : program.commands)
      if (below->heading == heading)
        out += Item(fmt::format("{}(1)", Bold(PageOf(below->path))), below->help + ".");
  }
  return out;
}

std::string Commands(const CommandModel& command) {
  if (command.path.empty()) return CommandList(command);
  std::string out;
  for (const CommandModel* below : command.commands) {
    out += fmt::format(".SS {}\n", Code("peermesh " + below->path)) +
           Paragraphs(below->help + ".\n\n" + below->notes) + Arguments(*below) +
           Options(*below, "", Help::kWithout);
  }
  return out;
}

std::string AllOptions(const CommandModel& command) {
  std::string out = Arguments(command);
  const auto heading_of = [](const OptionModel& option) { return option.heading; };
  for (const std::string& heading : HeadingsOf(command.options, heading_of)) {
    if (!heading.empty()) out += fmt::format(".SS {}\n", heading);
    out += Options(command, heading, Help::kWith);
  }
  return command.path.empty() ? out : out + ".PP\n" + Prose(kSeeProgram);
}

std::string ExitStatus(const CommandModel& command) {
  if (command.path == "up") return Prose("As peermeshd(8), which it becomes.");
  std::string out;
  if (command.path == "check") {
    for (const auto& [code, meaning] : {std::pair{"0", "OK"}, std::pair{"1", "WARNING"},
                                        std::pair{"2", "CRITICAL"}, std::pair{"3", "UNKNOWN"}})
      out += Item(Bold(code), meaning);
    return out;
  }
  for (const ExitCodeText& code : kExitCodes)
    out += Item(Bold(code.codes), fmt::format("{}{}.", static_cast<char>(toupper(code.meaning[0])),
                                              code.meaning.substr(1)));
  return out;
}

std::string Environment() {
  std::string out;
  for (const Variable& variable : kVariables) out += Item(Bold(variable.name), variable.meaning);
  return out;
}

std::string Examples(const CommandModel& command) {
  std::string out;
  for (const Example& example : GuideOf(command.path).examples) {
    out += fmt::format(".PP\n{}.PP\n.RS 4\n.EX\n{}\n.EE\n.RE\n",
                       Prose(fmt::format("{}:", example.meaning)), Code(example.line));
  }
  for (const CommandModel* below : command.commands)
    if (!command.path.empty()) out += Examples(*below);
  return out;
}

std::string Files(const CommandModel& command) {
  std::string out;
  for (const FileNote& file : GuideOf(command.path).files)
    out += Item(fmt::format("\\fI{}\\fR", Code(file.path)), file.meaning);
  return out;
}

std::string SeeAlso(const CommandModel& command) {
  std::vector<std::string> pages;
  if (!command.path.empty()) pages.emplace_back("peermesh(1)");
  for (const std::string_view page : GuideOf(command.path).see_also) pages.emplace_back(page);
  for (const CommandModel* below : command.commands)
    if (command.path.empty()) pages.push_back(PageOf(below->path) + "(1)");
  std::set<std::string> known(pages.begin(), pages.end());
  for (const char* daemon : {"peermeshd(8)", "peermesh-ca(8)"})
    if (known.insert(daemon).second) pages.emplace_back(daemon);
  return Prose(fmt::format("{}", fmt::join(pages, ", "))) + ".PP\n" +
         Prose("/usr/share/doc/peermesh has the guide for operators, operations.md.");
}

std::string Section(std::string_view name, const std::string& source) {
  if (source.empty()) return "";
  // What begins with a paragraph of its own needs none after a heading.
  const std::size_t skip = source.starts_with(".PP\n") ? 4 : 0;
  return fmt::format(".SH {}\n{}", name, source.substr(skip));
}

}  // namespace

std::string PageOf(std::string_view path) {
  if (path.empty()) return "peermesh";
  return fmt::format("peermesh-{}", path.substr(0, path.find(' ')));
}

std::string Manual(const CommandModel& command, std::string_view date) {
  const std::string page = PageOf(command.path);
  std::string upper, line = command.help;
  for (const unsigned char c : page) upper += static_cast<char>(toupper(c));
  const std::string_view greeting = "PeerMesh: ";
  if (line.starts_with(greeting)) line = line.substr(greeting.size());
  line[0] = static_cast<char>(tolower(line[0]));
  if (line.ends_with('.')) line.pop_back();
  const Guide& guide = GuideOf(command.path);
  const std::string first = command.path.empty() ? "" : command.help + ".\n\n";
  return fmt::format(".TH {} 1 {} \"PeerMesh {}\" \"PeerMesh Manual\"\n", Code(upper), date,
                     PEERMESH_VERSION) +
         Section("NAME", fmt::format("{} \\- {}\n", Code(page), line)) +
         Section("SYNOPSIS", Synopsis(command)) +
         Section("DESCRIPTION",
                 Paragraphs(fmt::format("{}{}\n\n{}", first, guide.description, command.notes))) +
         Section("COMMANDS", Commands(command)) + Section("OPTIONS", AllOptions(command)) +
         Section("EXIT STATUS", ExitStatus(command)) +
         Section("ENVIRONMENT", command.path.empty() ? Environment() : "") +
         Section("EXAMPLES", Examples(command)) + Section("FILES", Files(command)) +
         Section("SEE ALSO", SeeAlso(command));
}

}  // namespace peermesh::cli
