#include "tests/sim/baseline/swim_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

namespace peermesh::sim {
namespace {

using testing::HasSubstr;

// The exit code, and what was printed.
std::pair<int, std::string> Call(const std::string& arguments) {
  CLI::App meshsim;
  const Command command = AddSwim(meshsim);
  meshsim.parse("swim " + arguments);
  testing::internal::CaptureStdout();
  const int code = command.run();
  std::fflush(stdout);
  return {code, testing::internal::GetCapturedStdout()};
}

TEST(SwimCommandTest, PrintsATableAndWritesTheSameFigures) {
  const std::string path = testing::TempDir() + "swim.json";
  const auto [code, text] =
      Call("--members 20 --paused 0,5 --crashes 2 --seconds 60 --seeds 2 --json " + path);
  EXPECT_EQ(code, 0);
  EXPECT_THAT(text, HasSubstr("Classic SWIM, 20 members, 60 s of pauses"));
  EXPECT_THAT(text, HasSubstr("first declared dead after"));
  EXPECT_THAT(text, HasSubstr("digest "));
  std::ifstream file(path);
  const auto json = nlohmann::json::parse(file, nullptr, false);
  ASSERT_FALSE(json.is_discarded());
  ASSERT_EQ(json["runs"].size(), 2u);
  EXPECT_EQ(json["runs"][1]["paused"], 5);
  EXPECT_EQ(json["runs"][0]["false_deaths"], 0);
  EXPECT_EQ(json["runs"][0]["declared_seconds"]["count"], 4);
}

TEST(SwimCommandTest, TwoRunsPrintTheSame) {
  const std::string arguments = "--members 20 --paused 5 --seconds 60 --seeds 2";
  EXPECT_EQ(Call(arguments), Call(arguments));
}

TEST(SwimCommandTest, RefusesMorePausedMembersThanThereAre) {
  testing::internal::CaptureStderr();
  EXPECT_EQ(Call("--members 8 --paused 9 --seconds 1 --seeds 1").first, kBadInput);
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("more than 8 members"));
}

}  // namespace
}  // namespace peermesh::sim
