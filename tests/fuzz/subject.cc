// Subjects, patterns and the tree that matches them, against a naive matcher.
//
// An input is lines: patterns as long as they are valid, and subjects behind an empty line. A
// pattern that is there already is taken out again.
#include "mesh/routing/subject.h"

#include <map>
#include <set>
#include <vector>

#include "mesh/base/check.h"
#include "mesh/base/limits.h"
#include "mesh/routing/subject_tree.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/naive.h"

namespace peermesh::fuzz {
namespace {

using routing::SubjectTree;

void TryForm(std::string_view text) {
  const bool subject = IsValidSubject(text);
  const bool pattern = IsValidPattern(text);
  PM_CHECK(subject == IsNaiveSubject(text));
  PM_CHECK(pattern == IsNaivePattern(text));
  PM_CHECK(!subject || pattern);
  if (!pattern) return;
  const std::uint64_t channels = routing::ChannelsOf(text);
  PM_CHECK(routing::HasLeadingWildcard(text) == (channels == ~std::uint64_t{0}));
  if (subject) {
    PM_CHECK(routing::ChannelOf(text) < kChannels);
    PM_CHECK(channels == std::uint64_t{1} << routing::ChannelOf(text));
  }
}

void TryMatch(const SubjectTree& tree,
              const std::map<std::string, std::uint32_t, std::less<>>& patterns,
              std::string_view subject) {
  std::vector<std::uint32_t> matched;
  tree.Match(subject, matched);
  const std::set<std::uint32_t> once(matched.begin(), matched.end());
  PM_CHECK(once.size() == matched.size());
  for (const auto& [pattern, value] : patterns) {
    const bool matches = NaiveMatches(pattern, subject);
    PM_CHECK(once.contains(value) == matches);
    const std::uint64_t channel = std::uint64_t{1} << routing::ChannelOf(subject);
    PM_CHECK(!matches || (routing::ChannelsOf(pattern) & channel) != 0);
  }
}

}  // namespace

void Try(std::string_view input) {
  Parts parts(input);
  SubjectTree tree;
  std::map<std::string, std::uint32_t, std::less<>> patterns;
  std::uint32_t next = 1;
  while (!parts.empty()) {
    const std::string_view line = parts.Line();
    if (line.empty()) break;
    TryForm(line);
    if (!IsValidPattern(line)) continue;
    if (const auto known = patterns.find(line); known != patterns.end()) {
      PM_CHECK(tree.Find(line) == known->second);
      tree.Erase(line);
      patterns.erase(known);
    } else {
      PM_CHECK(!tree.Find(line));
      tree.Insert(line, next);
      patterns.emplace(line, next++);
    }
    PM_CHECK(tree.size() == patterns.size());
  }
  while (!parts.empty()) {
    const std::string_view line = parts.Line();
    TryForm(line);
    if (IsValidSubject(line)) TryMatch(tree, patterns, line);
  }
  for (const auto& [pattern, value] : patterns) tree.Erase(pattern);
  PM_CHECK(tree.size() == 0);
}

}  // namespace peermesh::fuzz
