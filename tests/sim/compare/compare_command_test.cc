#include "tests/sim/compare/compare_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

namespace peermesh::sim {
namespace {

using testing::HasSubstr;

// The exit code, and what was printed.
std::pair<int, std::string> Call(const std::string& arguments) {
  CLI::App meshsim;
  const Command command = AddCompare(meshsim);
  meshsim.parse("compare " + arguments);
  testing::internal::CaptureStdout();
  const int code = command.run();
  std::fflush(stdout);
  return {code, testing::internal::GetCapturedStdout()};
}

std::string Contents(const std::string& path) {
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

TEST(CompareCommandTest, PrintsATableAndWritesTheSameFiguresAndADrawing) {
  const std::string json = testing::TempDir() + "compare.json", svg = testing::TempDir() + "c.svg";
  const auto [code, text] =
      Call("--peers 32,100 --seeds 2 --draw 100 --json " + json + " --svg " + svg);
  EXPECT_EQ(code, 0);
  for (const char* way : {"full mesh", "ring", "random mesh", "layered by region", "PeerMesh"}) {
    EXPECT_THAT(text, HasSubstr(way));
  }
  const auto read = nlohmann::json::parse(Contents(json), nullptr, false);
  ASSERT_FALSE(read.is_discarded());
  ASSERT_EQ(read["rows"].size(), 10u);
  EXPECT_EQ(read["rows"][9]["way"], "PeerMesh");
  EXPECT_LE(read["rows"][9]["links_most"], 12);
  EXPECT_THAT(Contents(svg), HasSubstr("Five ways to connect 100 peers"));
}

TEST(CompareCommandTest, RefusesToDrawWhatItDoesNotMeasure) {
  testing::internal::CaptureStderr();
  EXPECT_EQ(Call("--peers 32 --seeds 1 --svg x.svg").first, kBadInput);
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("--draw 1000 is none of --peers"));
}

TEST(CompareCommandTest, SaysWhichFileCannotBeWritten) {
  testing::internal::CaptureStderr();
  EXPECT_EQ(Call("--peers 32 --seeds 1 --json /nowhere/at/all.json").first, kBadInput);
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              HasSubstr("/nowhere/at/all.json: cannot be written"));
}

}  // namespace
}  // namespace peermesh::sim
