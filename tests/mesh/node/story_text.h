// A story as text: blocks of facts with the effects that are expected under each.
//
//   # A comment says the rule.            <- every story begins with one
//   node alpha epoch 1000                 <- a fact
//   ----
//   SignRecord 1000                       <- what the node does about it
//                                         <- an empty line ends the block
//
// A fact whose line begins with `given` is set-up: what follows from it is not shown, and a block
// of nothing else has no `----`. tests/scenarios/README.md explains the words.
#ifndef PEERMESH_TESTS_MESH_NODE_STORY_TEXT_H_
#define PEERMESH_TESTS_MESH_NODE_STORY_TEXT_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace peermesh::node {

struct StoryFact {
  int line = 0;      // in the file, from 1
  std::string text;  // without `given`
  bool given = false;
};

struct StoryBlock {
  std::vector<std::string> head;  // comments and facts as they stand in the file
  std::vector<StoryFact> facts;
  bool shown() const;  // some fact is not merely given
};

struct StoryText {
  std::string path;  // as it appears in messages
  std::vector<StoryBlock> blocks;
};

// Errors begin with "path:line: ".
absl::StatusOr<StoryText> ParseStory(std::string_view path, std::string_view content);
absl::Status StoryError(std::string_view path, int line, std::string_view message);

// The file as it should be: one list of lines for each block.
std::string RenderStory(const StoryText& story,
                        const std::vector<std::vector<std::string>>& effects);

// As `diff -u` prints it; empty if there is no difference.
std::string DiffLines(std::string_view path, std::string_view expected, std::string_view actual);

}  // namespace peermesh::node

#endif  // PEERMESH_TESTS_MESH_NODE_STORY_TEXT_H_
