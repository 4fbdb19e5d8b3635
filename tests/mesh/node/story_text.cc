#include "tests/mesh/node/story_text.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "absl/status/status.h"

namespace peermesh::node {
namespace {

constexpr std::string_view kRuler = "----";
constexpr std::string_view kGiven = "given ";
constexpr std::size_t kContext = 3;  // lines around a difference

std::vector<std::string> Lines(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

// One line of a difference: kept, only expected ('-'), only found ('+').
struct Edit {
  char kind = ' ';
  std::string_view text;
};

// The shortest way from `a` to `b`, by the longest common subsequence. Stories are short: the
// table of their lengths squared does no harm.
std::vector<Edit> Edits(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  const std::size_t width = b.size() + 1;
  std::vector<std::size_t> common((a.size() + 1) * width, 0);
  for (std::size_t i = a.size(); i-- > 0;) {
    for (std::size_t j = b.size(); j-- > 0;) {
      common[i * width + j] =
          a[i] == b[j] ? common[(i + 1) * width + j + 1] + 1
                       : std::max(common[(i + 1) * width + j], common[i * width + j + 1]);
    }
  }
  std::vector<Edit> edits;
  std::size_t i = 0, j = 0;
  while (i < a.size() || j < b.size()) {
    if (i < a.size() && j < b.size() && a[i] == b[j]) {
      edits.push_back({' ', a[i]});
      ++i, ++j;
    } else if (j == b.size() ||
               (i < a.size() && common[(i + 1) * width + j] >= common[i * width + j + 1])) {
      edits.push_back({'-', a[i++]});
    } else {
      edits.push_back({'+', b[j++]});
    }
  }
  return edits;
}

std::string Span(std::size_t line, std::size_t count) {
  return std::to_string(count == 0 ? line - 1 : line) + "," + std::to_string(count);
}

}  // namespace

bool StoryBlock::shown() const {
  return std::any_of(facts.begin(), facts.end(), [](const StoryFact& fact) { return !fact.given; });
}

absl::Status StoryError(std::string_view path, int line, std::string_view message) {
  return absl::InvalidArgumentError(std::string(path) + ":" + std::to_string(line) + ": " +
                                    std::string(message));
}

absl::StatusOr<StoryText> ParseStory(std::string_view path, std::string_view content) {
  StoryText story{std::string(path), {}};
  bool open = false, effects = false;
  int number = 0;
  for (std::string& line : Lines(content)) {
    ++number;
    if (number == 1 && !line.starts_with("# ")) {
      return StoryError(path, 1, "a story begins with a comment that says the rule: # ...");
    }
    if (line.empty()) {
      open = effects = false;
      continue;
    }
    if (line.find_first_not_of(' ') != 0 && !effects) {
      return StoryError(path, number, "a fact begins at the left margin");
    }
    if (line.back() == ' ') return StoryError(path, number, "the line ends with a space");
    if (!std::exchange(open, true)) story.blocks.emplace_back();
    StoryBlock& block = story.blocks.back();
    if (line == kRuler) {
      if (effects) return StoryError(path, number, "a block has one ----; begin a new one");
      if (!block.shown()) return StoryError(path, number, "there is no fact above this ----");
      effects = true;
    } else if (!effects) {
      if (!line.starts_with('#')) {
        const bool given = line.starts_with(kGiven);
        block.facts.push_back({number, given ? line.substr(kGiven.size()) : line, given});
      }
      block.head.push_back(std::move(line));
    }
  }
  if (story.blocks.empty()) return StoryError(path, 1, "the story is empty");
  return story;
}

std::string RenderStory(const StoryText& story,
                        const std::vector<std::vector<std::string>>& effects) {
  std::string text;
  for (std::size_t i = 0; i < story.blocks.size(); ++i) {
    const StoryBlock& block = story.blocks[i];
    if (i > 0) text += '\n';
    for (const std::string& line : block.head) text += line + '\n';
    if (!block.shown()) continue;
    text += std::string(kRuler) + '\n';
    for (const std::string& line : effects.at(i)) text += line + '\n';
  }
  return text;
}

std::string DiffLines(std::string_view path, std::string_view expected, std::string_view actual) {
  const std::vector<std::string> before = Lines(expected), after = Lines(actual);
  const std::vector<Edit> edits = Edits(before, after);
  const auto kept = [&](std::size_t i) { return edits[i].kind == ' '; };
  std::string text;
  std::size_t line = 1, new_line = 1;  // of edits[i]
  for (std::size_t i = 0; i < edits.size();) {
    // A hunk: from kContext lines before a difference to where 2 x kContext lines are the same.
    std::size_t first = i;
    while (first < edits.size() && kept(first)) ++first;
    if (first == edits.size()) break;
    const std::size_t start = std::max(i, first < kContext ? 0 : first - kContext);
    line += start - i, new_line += start - i;
    std::size_t end = first, same = 0;
    while (end < edits.size() && same <= 2 * kContext) same = kept(end++) ? same + 1 : 0;
    if (same > kContext) end -= same - kContext;
    std::string body;
    std::size_t old_count = 0, new_count = 0;
    for (i = start; i < end; ++i) {
      body += edits[i].kind + std::string(edits[i].text) + '\n';
      old_count += edits[i].kind != '+';
      new_count += edits[i].kind != '-';
    }
    text += "@@ -" + Span(line, old_count) + " +" + Span(new_line, new_count) + " @@\n" + body;
    line += old_count, new_line += new_count;
  }
  if (text.empty()) {
    if (expected == actual) return {};
    return std::string(path) + ": the last line does not end\n";
  }
  return "--- " + std::string(path) + " (expected)\n+++ " + std::string(path) +
         " (what the node did)\n" + text;
}

}  // namespace peermesh::node
