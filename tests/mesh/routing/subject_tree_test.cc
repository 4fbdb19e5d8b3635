#include "mesh/routing/subject_tree.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "mesh/base/rng.h"
#include "mesh/routing/subject.h"

namespace peermesh::routing {
namespace {

// The definition of a match, token by token.
bool Matches(std::string_view pattern, std::string_view subject) {
  while (!pattern.empty() && !subject.empty()) {
    const std::string_view want = TakeToken(pattern);
    if (want == ">") return true;
    if (const std::string_view have = TakeToken(subject); want != "*" && want != have) return false;
  }
  return pattern.empty() && subject.empty();
}

std::vector<std::uint32_t> Matched(const SubjectTree& tree, std::string_view subject) {
  std::vector<std::uint32_t> found;
  tree.Match(subject, found);
  std::sort(found.begin(), found.end());
  return found;
}

TEST(SubjectTreeTest, AStarIsOneTokenAndATailIsOneOrMore) {
  SubjectTree tree;
  tree.Insert("a.b", 1);
  tree.Insert("a.*", 2);
  tree.Insert("a.>", 3);
  tree.Insert(">", 4);
  tree.Insert("*", 5);
  EXPECT_EQ(Matched(tree, "a.b"), (std::vector<std::uint32_t>{1, 2, 3, 4}));
  EXPECT_EQ(Matched(tree, "a.c"), (std::vector<std::uint32_t>{2, 3, 4}));
  EXPECT_EQ(Matched(tree, "a.b.c"), (std::vector<std::uint32_t>{3, 4}));
  EXPECT_EQ(Matched(tree, "a"), (std::vector<std::uint32_t>{4, 5}));
}

TEST(SubjectTreeTest, MatchingAppends) {
  SubjectTree tree;
  tree.Insert("a", 1);
  std::vector<std::uint32_t> found = {9};
  tree.Match("a", found);
  EXPECT_EQ(found, (std::vector<std::uint32_t>{9, 1}));
}

TEST(SubjectTreeTest, AnErasedPatternLeavesItsNeighbours) {
  SubjectTree tree;
  for (const auto& [pattern, value] :
       std::map<std::string, std::uint32_t>{{"a", 1}, {"a.b", 2}, {"a.b.c", 3}}) {
    tree.Insert(pattern, value);
  }
  tree.Erase("a.b");
  EXPECT_FALSE(tree.Find("a.b").has_value());
  EXPECT_EQ(tree.Find("a"), 1u);
  EXPECT_EQ(tree.Find("a.b.c"), 3u);
  EXPECT_EQ(tree.size(), 2u);
  EXPECT_TRUE(Matched(tree, "a.b").empty());
}

TEST(SubjectTreeTest, WhatIsNotThereIsNotFound) {
  SubjectTree tree;
  tree.Insert("a.b", 1);
  for (const char* other : {"a", "a.b.c", "b", "*", "a.*", ">"})
    EXPECT_FALSE(tree.Find(other)) << other;
}

TEST(SubjectTreeDeathTest, MisuseStopsTheProcess) {
  SubjectTree tree;
  tree.Insert("a", 1);
  tree.Insert("*.b", 2);
  EXPECT_DEATH(tree.Insert("a", 2), "fresh");
  EXPECT_DEATH(tree.Insert("*.b", 3), "value");
  EXPECT_DEATH(tree.Insert("a..b", 2), "IsValidPattern");
  EXPECT_DEATH(tree.Erase("b"), "erased");
  EXPECT_DEATH(tree.Erase("b.*"), "end");
}

TEST(SubjectTreeTest, WhatIsLeftOfThousandsStillMatches) {
  constexpr std::uint32_t kMany = 4096, kKept = 100;
  SubjectTree tree;
  const auto exact = [](std::uint32_t i) { return "a.b" + std::to_string(i) + ".c"; };
  const auto wild = [](std::uint32_t i) { return "a.b" + std::to_string(i) + ".*"; };
  for (std::uint32_t i = 0; i < kMany; ++i) {
    tree.Insert(exact(i), i);
    tree.Insert(wild(i), kMany + i);
  }
  for (std::uint32_t i = kKept; i < kMany; ++i) {
    tree.Erase(exact(i));
    tree.Erase(wild(i));
  }
  EXPECT_EQ(tree.size(), 2 * kKept);
  for (std::uint32_t i = 0; i < kKept; ++i)
    EXPECT_EQ(Matched(tree, exact(i)), (std::vector<std::uint32_t>{i, kMany + i}));
  EXPECT_TRUE(Matched(tree, exact(kKept)).empty());
}

// Few tokens, so that patterns meet.
std::string Draw(Rng& rng, bool wildcards) {
  static constexpr const char* kTokens[] = {"a", "b", "c"};
  const std::uint64_t tokens = 1 + rng.Below(4);
  std::string text;
  for (std::uint64_t i = 0; i < tokens; ++i) {
    if (!text.empty()) text += '.';
    const std::uint64_t kind = wildcards ? rng.Below(6) : 5;
    if (kind == 0 && i + 1 == tokens) {
      text += '>';
    } else if (kind <= 1) {
      text += '*';
    } else {
      text += kTokens[rng.Below(3)];
    }
  }
  return text;
}

TEST(SubjectTreeTest, AgreesWithTheDefinitionUnderRandomChanges) {
  Rng rng({1, 2, 3, 4});
  SubjectTree tree;
  std::map<std::string, std::uint32_t> patterns;
  for (std::uint32_t step = 1; step <= 4000; ++step) {
    const std::string pattern = Draw(rng, true);
    ASSERT_TRUE(IsValidPattern(pattern)) << pattern;
    if (const auto it = patterns.find(pattern); it == patterns.end()) {
      patterns.emplace(pattern, step);
      tree.Insert(pattern, step);
    } else if (rng.Below(3) > 0) {  // so that the tree is now full and now nearly empty
      patterns.erase(it);
      tree.Erase(pattern);
    }
    ASSERT_EQ(tree.size(), patterns.size());
    const std::string subject = Draw(rng, false);
    std::vector<std::uint32_t> expected;
    for (const auto& [other, value] : patterns) {
      if (Matches(other, subject)) expected.push_back(value);
    }
    std::sort(expected.begin(), expected.end());
    ASSERT_EQ(Matched(tree, subject), expected) << subject << " at step " << step;
  }
  for (const auto& [pattern, value] : patterns) {
    EXPECT_EQ(tree.Find(pattern), value);
    tree.Erase(pattern);
  }
  EXPECT_EQ(tree.size(), 0u);
}

}  // namespace
}  // namespace peermesh::routing
