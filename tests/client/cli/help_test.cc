// What people read of the command line: --help, the manual, and the examples in both.
#include "client/cli/help.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <set>

#include "client/cli/command_tree.h"
#include "client/cli/context.h"
#include "client/cli/exit_code.h"
#include "client/cli/guide.h"
#include "client/cli/lines.h"
#include "client/cli/manual.h"
#include "client/cli/run.h"

namespace peermesh::cli {
namespace {

using testing::HasSubstr;

class HelpTest : public testing::Test {
 protected:
  HelpTest() { AddProgram(app_, context_); }

  static bool DoesSomething(const CommandModel& command) {
    return !command.needs_command && !command.path.empty();
  }

  Context context_;
  CLI::App app_;
};

// A cell of a table: no "[OPTIONS]", which nearly all have.
std::string Bare(std::string text) {
  const std::string options = " [OPTIONS]";
  if (const std::size_t at = text.find(options); at != std::string::npos)
    text.erase(at, options.size());
  return text;
}

TEST_F(HelpTest, EveryPageFitsATerminalAndNamesEveryOption) {
  const CommandTree tree(app_);
  for (const CommandModel& command : tree.all()) {
    const std::string page = HelpOf(command);
    for (const std::string& line : Split(page, '\n')) {
      EXPECT_LE(line.size(), kHelpWidth) << line;
      EXPECT_FALSE(line.ends_with(' ')) << command.path << ": " << line;
    }
    EXPECT_EQ(page.find("\n\n\n"), std::string::npos) << page;
    EXPECT_EQ(page.find("TEXT:"), std::string::npos) << page;
    for (const OptionModel& option : command.options)
      for (const std::string& name : option.names) EXPECT_THAT(page, HasSubstr(name));
    for (const CommandModel* below : command.commands)
      EXPECT_THAT(page, HasSubstr("\n  " + below->name() + " ")) << command.path;
  }
}

TEST_F(HelpTest, EveryCommandHasAnExampleAndEveryExampleIsUnderstood) {
  const CommandTree tree(app_);
  std::set<std::string> paths;
  for (const CommandModel& command : tree.all()) {
    paths.insert(command.path);
    EXPECT_TRUE(!DoesSomething(command) || !GuideOf(command.path).examples.empty()) << command.path;
  }
  for (const Guide& guide : Guides()) {
    EXPECT_EQ(paths.count(std::string(guide.path)), 1u) << "no such command: " << guide.path;
    for (const Example& example : guide.examples) {
      std::string line(example.line);
      line.erase(0, line.find("peermesh "));
      for (const char* end : {" > ", " < ", " | ", ")"}) line = line.substr(0, line.find(end));
      Context context;
      CLI::App app;
      AddProgram(app, context);
      EXPECT_NO_THROW(app.parse(line, true)) << line;
    }
  }
}

TEST_F(HelpTest, EveryHeadingOfCommandsIsThereOnce) {
  const CommandTree tree(app_);
  const std::string page = HelpOf(tree.program());
  for (const char* heading : {"The peer of this host", "Messages", "The mesh", "Diagnosis",
                              "Settings and tools", "Options", "Where the peer is", "Exit codes"}) {
    const std::string line = std::string("\n") + heading + ":\n";
    const std::size_t at = page.find(line);
    ASSERT_NE(at, std::string::npos) << heading;
    EXPECT_EQ(page.find(line, at + 1), std::string::npos) << heading;
  }
  EXPECT_EQ(page.find("\nCommands:"), std::string::npos) << "a command without a heading";
}

TEST_F(HelpTest, AManualPageHasItsSectionsInOrder) {
  const CommandTree tree(app_);
  for (const CommandModel* command : tree.program().commands) {
    const std::string page = Manual(*command, "2026-11-21");
    std::size_t at = 0;
    for (const char* section :
         {"NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "EXAMPLES", "SEE ALSO"}) {
      const std::size_t found = page.find(std::string("\n.SH ") + section + "\n");
      ASSERT_NE(found, std::string::npos) << command->path << " " << section;
      EXPECT_GT(found, at) << command->path << " " << section;
      at = found;
    }
  }
  const std::string program = Manual(tree.program(), "2026-11-21");
  for (const char* section : {"COMMANDS", "ENVIRONMENT", "FILES"})
    EXPECT_THAT(program, HasSubstr(std::string("\n.SH ") + section + "\n"));
}

TEST_F(HelpTest, APageHoldsWhatIsBelowItsCommand) {
  const CommandTree tree(app_);
  const auto leaks = std::find_if(tree.all().begin(), tree.all().end(),
                                  [](const CommandModel& one) { return one.path == "leaks"; });
  const std::string page = Manual(*leaks, "2026-11-21");
  EXPECT_THAT(page, HasSubstr(".TH PEERMESH\\-LEAKS 1 2026-11-21 \"PeerMesh " PEERMESH_VERSION));
  EXPECT_THAT(page, HasSubstr(".SS peermesh leaks check\n"));
  EXPECT_THAT(page, HasSubstr("\\fB\\-\\-soak\\fR \\fIDURATION\\fR\n"));
  EXPECT_THAT(page, HasSubstr("peermesh leaks check \\-\\-soak 60s\n"));
  EXPECT_THAT(page, HasSubstr("KIND SITE RULE 2027\\-01\\-31 REASON\n"));
  EXPECT_EQ(PageOf("leaks check"), "peermesh-leaks");
  EXPECT_EQ(PageOf(""), "peermesh");
}

// What docs/cli.md has between a comment that begins with "Made" and `end`; rewritten on demand.
void ExpectInDocs(const std::string& end, const std::string& generated) {
  const std::string path = PEERMESH_SOURCE_DIR "/docs/cli.md";
  std::ifstream file(path);
  std::string page{std::istreambuf_iterator<char>(file), {}};
  const std::size_t stop = page.find(end), made = page.rfind("<!-- Made", stop);
  ASSERT_NE(stop, std::string::npos) << end;
  ASSERT_NE(made, std::string::npos) << end;
  const std::size_t begin = page.find('\n', made) + 1;
  if (std::getenv("PEERMESH_REWRITE") != nullptr) {
    std::ofstream(path) << page.replace(begin, stop - begin, generated);
    return;
  }
  EXPECT_EQ(page.substr(begin, stop - begin), generated)
      << "PEERMESH_REWRITE=1 build/tests/client/cli_parts_test rewrites it";
}

TEST_F(HelpTest, TheDocumentListsTheCommandsThatThereAre) {
  const CommandTree tree(app_);
  std::string table;
  for (const std::string& heading :
       HeadingsOf(tree.program().commands, [](const CommandModel* one) { return one->heading; })) {
    table += "\n**" + heading + "**\n\n| command | what it does |\n|---|---|\n";
    for (const CommandModel& command : tree.all()) {
      const std::string first = command.path.substr(0, command.path.find(' '));
      const auto top = std::find_if(tree.all().begin(), tree.all().end(),
                                    [&](const CommandModel& one) { return one.path == first; });
      if (top->heading != heading || !DoesSomething(command)) continue;
      table += "| `" + Bare(command.Usage()) + "` | " + Bare(command.help) + " |\n";
    }
  }
  ExpectInDocs("<!-- /commands -->", table + "\n");
}

TEST_F(HelpTest, TheDocumentListsTheExitCodesThatThereAre) {
  std::string rows = "\n| code | meaning |\n|---|---|\n";
  for (const ExitCodeText& code : kExitCodes)
    rows += "| " + std::string(code.codes) + " | " + std::string(code.meaning) + " |\n";
  ExpectInDocs("<!-- /codes -->", rows + "\n");
}

TEST(WrapTest, CutsBetweenWordsAndLeavesLongOnesWhole) {
  EXPECT_EQ(Wrap("one two  three", 7), (std::vector<std::string>{"one two", "three"}));
  EXPECT_EQ(Wrap("a eleventhirty b", 5), (std::vector<std::string>{"a", "eleventhirty", "b"}));
  EXPECT_TRUE(Wrap("", 5).empty());
}

TEST(ParagraphsTest, LinesFlowUnlessTheyBeginWithABlank) {
  const auto parts = ParagraphsOf("one\ntwo\n  as is\n    and this\nthree\n\nfour");
  ASSERT_EQ(parts.size(), 4u);
  EXPECT_EQ(parts[0].text, "one two");
  EXPECT_EQ(parts[1].text, "  as is\n    and this");
  EXPECT_TRUE(parts[1].literal);
  EXPECT_EQ(parts[2].text, "three");
  EXPECT_EQ(parts[3].text, "four");
}

}  // namespace
}  // namespace peermesh::cli
