// What --help prints, made from the commands as the parser has them.
#ifndef PEERMESH_CLIENT_CLI_HELP_H_
#define PEERMESH_CLIENT_CLI_HELP_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "client/cli/command_tree.h"

namespace peermesh::cli {

// A terminal that nobody has made wider.
inline constexpr std::size_t kHelpWidth = 80;

// The words of a text in lines of at most `width`; a word that is longer has a line of its own.
std::vector<std::string> Wrap(std::string_view text, std::size_t width);

// A text of paragraphs, cut where lines are empty. Within one, lines that begin with a blank stay
// as they are and the others flow.
struct Paragraph {
  std::string text;
  bool literal = false;  // several lines, as they are
};
std::vector<Paragraph> ParagraphsOf(std::string_view text);

// "-w, --watch", "--grace DURATION", "PEER".
std::string LabelOf(const OptionModel& option);

// The headings of commands or options in the order in which they first come; "" among them.
template <class Range, class Heading>
std::vector<std::string> HeadingsOf(const Range& items, Heading heading) {
  std::vector<std::string> all;
  for (const auto& item : items) {
    bool known = false;
    for (const std::string& seen : all) known = known || seen == heading(item);
    if (!known) all.push_back(heading(item));
  }
  return all;
}

// The whole page, at most kHelpWidth wide.
std::string HelpOf(const CommandModel& command);

}  // namespace peermesh::cli

#endif  // PEERMESH_CLIENT_CLI_HELP_H_
