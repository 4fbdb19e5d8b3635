// Every file of tests/scenarios/node is a test: what the node does is what the file says.
//
//   PEERMESH_REWRITE=1 build/tests/mesh/node/node_stories_test     writes the effects anew
//
// Read what changed before you commit it: a story that agrees with a bug protects the bug.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/mesh/node/story_facts.h"
#include "tests/mesh/node/story_text.h"

namespace peermesh::node {
namespace {

constexpr const char kRoot[] = PEERMESH_SOURCE_DIR "/";
constexpr const char kFolder[] = "tests/scenarios/node";

std::vector<std::string> Stories() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(std::string(kRoot) + kFolder)) {
    if (entry.path().extension() == ".txt") names.push_back(entry.path().stem());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string TestName(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

class NodeStory : public testing::TestWithParam<std::string> {};

TEST_P(NodeStory, IsWhatTheNodeDoes) {
  const std::string path = std::string(kFolder) + "/" + GetParam() + ".txt";
  std::ifstream file(kRoot + path);
  const std::string content{std::istreambuf_iterator<char>(file), {}};
  const auto story = ParseStory(path, content);
  ASSERT_TRUE(story.ok()) << story.status().message();
  const auto effects = TellStory(*story);
  ASSERT_TRUE(effects.ok()) << effects.status().message();
  const auto again = TellStory(*story);
  EXPECT_TRUE(again.ok() && *again == *effects) << path << ": two runs of one story differ";
  const std::string actual = RenderStory(*story, *effects);
  // A fault is a story that is right and not true yet.
  if (content.find("\n# FAULT: ") != std::string::npos) {
    EXPECT_TRUE(actual != content) << path << " has come true: take its line `# FAULT: ...` out";
    return;
  }
  if (std::getenv("PEERMESH_REWRITE") != nullptr) {
    if (actual != content) std::ofstream(kRoot + path) << actual;
    return;
  }
  if (const std::string difference = DiffLines(path, content, actual); !difference.empty()) {
    ADD_FAILURE() << difference
                  << "If the node is right, run this test with PEERMESH_REWRITE=1 and read what "
                     "changed.";
  }
}

INSTANTIATE_TEST_SUITE_P(Scenarios, NodeStory, testing::ValuesIn(Stories()), TestName);

}  // namespace
}  // namespace peermesh::node
