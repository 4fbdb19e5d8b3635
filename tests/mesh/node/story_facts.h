// The facts of a story: one line each, read and told to the node. tests/scenarios/README.md lists
// them all.
#ifndef PEERMESH_TESTS_MESH_NODE_STORY_FACTS_H_
#define PEERMESH_TESTS_MESH_NODE_STORY_FACTS_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tests/mesh/node/story_driver.h"
#include "tests/mesh/node/story_text.h"
#include "tests/mesh/node/story_words.h"

namespace peermesh::node {

// Does what the line says. The message of an error has no place yet.
absl::Status TellFact(StoryDriver& driver, std::string_view line);

// The rest of a line that begins with `app`.
absl::Status TellApp(StoryDriver& driver, Words& words);

// Tells the whole story: the lines of each block as the node makes them. Errors are
// "path:line: message".
absl::StatusOr<std::vector<std::vector<std::string>>> TellStory(const StoryText& story);

}  // namespace peermesh::node

#endif  // PEERMESH_TESTS_MESH_NODE_STORY_FACTS_H_
