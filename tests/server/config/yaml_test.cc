#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "server/config/config.h"

namespace peermesh::config {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

std::string ErrorOf(std::string_view yaml) {
  const auto config = ParseYaml(yaml, "peermesh.yaml");
  return config.ok() ? "no error" : std::string(config.status().message());
}

TEST(ParseYamlTest, ReadsEveryKindOfSetting) {
  const auto config = ParseYaml(R"(
name: alpha
listen: "[::]:7443"
advertise: [alpha.example.org, "10.0.0.5:7443"]
seeds:
  - beta:7443
  - gamma:7443
metrics:
  listen: off
limits:
  application_bytes: {per_second: 10MiB, burst: 20MiB}
  connections: 100
drain_timeout: 1m30s
ca:
  certificate_lifetime: 12h
)",
                                "peermesh.yaml");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->name(), "alpha");
  EXPECT_EQ(config->listen(), "[::]:7443");
  EXPECT_THAT(config->advertise(), ElementsAre("alpha.example.org", "10.0.0.5:7443"));
  EXPECT_THAT(config->seeds(), ElementsAre("beta:7443", "gamma:7443"));
  EXPECT_EQ(config->metrics().listen(), "off") << "YAML 1.1 calls this word false";
  EXPECT_EQ(config->limits().application_bytes().per_second(), 10u << 20);
  EXPECT_EQ(config->limits().application_bytes().burst(), 20u << 20);
  EXPECT_EQ(config->limits().connections(), 100u);
  EXPECT_EQ(config->drain_timeout().seconds(), 90);
  EXPECT_EQ(config->ca().certificate_lifetime().seconds(), 12 * 3600);
}

TEST(ParseYamlTest, NothingIsAConfigurationToo) {
  for (const char* text :
       {"", "\n\n", "# only a comment\n", "---\n", "metrics:\n  # listen: off\n"}) {
    const auto config = ParseYaml(text, "peermesh.yaml");
    ASSERT_TRUE(config.ok()) << text << config.status();
    v1::Config expected = *config;
    expected.clear_metrics();
    EXPECT_EQ(expected.ByteSizeLong(), 0u);
  }
}

TEST(ParseYamlTest, AnUnknownSettingIsRefusedWithItsLineAndAGuess) {
  EXPECT_EQ(ErrorOf("name: a\nmetrics:\n  lisen: off\n"),
            "peermesh.yaml:3: there is no setting 'lisen' in 'metrics'. Did you mean 'listen'?");
  EXPECT_EQ(ErrorOf("ca:\n  tokens: 3\n"),
            "peermesh.yaml:2: there is no setting 'tokens' in 'ca'. Known here: listen, "
            "certificate_lifetime.");
  EXPECT_THAT(ErrorOf("<<: {name: a}"), HasSubstr("there is no setting '<<'"));
}

TEST(ParseYamlTest, AWrongTypeIsRefusedWithItsLine) {
  EXPECT_THAT(ErrorOf("limits:\n  connections: many\n"),
              StartsWith("peermesh.yaml:2: limits.connections: 'many' is not a whole number"));
  EXPECT_THAT(ErrorOf("limits:\n  connections: 4294967296\n"), HasSubstr("32 bits"));
  EXPECT_THAT(
      ErrorOf("drain_timeout: 5\n"),
      StartsWith(
          "peermesh.yaml:1: drain_timeout: '5' is not a duration. Write a number and its unit"));
  EXPECT_THAT(ErrorOf("\nseeds: beta:7443\n"),
              StartsWith("peermesh.yaml:2: 'seeds' is a list and not a value."));
  EXPECT_THAT(ErrorOf("name: [a, b]\n"),
              StartsWith("peermesh.yaml:1: 'name' takes one value and not a list."));
  EXPECT_THAT(ErrorOf("name:\n"), HasSubstr("'name' takes one value and not nothing."));
  EXPECT_THAT(ErrorOf("metrics: off\n"),
              StartsWith("peermesh.yaml:1: 'metrics' holds settings and not a value."));
  EXPECT_THAT(ErrorOf("seeds: [[a]]\n"), HasSubstr("'seeds' takes one value and not a list."));
  EXPECT_THAT(ErrorOf("- name\n"), HasSubstr("a configuration holds settings and not a list."));
  EXPECT_THAT(ErrorOf("[a]: b\n"), HasSubstr("the name of a setting must be a word."));
}

TEST(ParseYamlTest, ASettingTwiceIsRefused) {
  EXPECT_EQ(ErrorOf("name: a\nname: b\n"),
            "peermesh.yaml:2: 'name' is set twice. Keep one of them.");
}

TEST(ParseYamlTest, TextThatIsNotYamlIsRefusedWithItsLine) {
  EXPECT_THAT(ErrorOf("name: a\nlisten: [\n"),
              testing::MatchesRegex("peermesh.yaml:[23]: this is not YAML: .*"));
  EXPECT_THAT(ErrorOf("name: a\n\tlisten: b\n"), HasSubstr("this is not YAML"));
  EXPECT_THAT(ErrorOf(std::string(10'000, '[')), HasSubstr("not YAML"));
  EXPECT_THAT(ErrorOf("name: *nobody\n"), HasSubstr("not YAML"));
}

TEST(ParseYamlTest, ATextThatBeginsWithACommaIsRefusedAndNotReadForEver) {
  for (const char* text : {",", ",lo#::", ", name: a"}) {
    EXPECT_THAT(ErrorOf(text), HasSubstr("peermesh.yaml:1: this is not YAML")) << text;
  }
}

TEST(ParseYamlTest, TwoDocumentsAreRefused) {
  EXPECT_THAT(ErrorOf("name: a\n---\nname: b\n"), HasSubstr("a configuration is one document."));
}

class ReadFileTest : public testing::Test {
 protected:
  void Write(std::string_view text) { std::ofstream(path_, std::ios::binary) << text; }
  ~ReadFileTest() override { std::filesystem::remove(path_); }

  std::string path_ =
      testing::TempDir() + "peermesh_read_file_test_" + std::to_string(getpid()) + ".yaml";
};

TEST_F(ReadFileTest, ReadsAFile) {
  Write("name: alpha\n");
  const auto config = ReadFile(path_);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->name(), "alpha");
}

TEST_F(ReadFileTest, AnEmptyFileIsAnEmptyConfiguration) {
  Write("");
  EXPECT_TRUE(ReadFile(path_).ok());
}

TEST_F(ReadFileTest, ErrorsNameTheFile) {
  Write("name: [");
  EXPECT_THAT(std::string(ReadFile(path_).status().message()), StartsWith(path_ + ":"));
}

TEST_F(ReadFileTest, AMissingFileAndADirectoryAreRefused) {
  EXPECT_THAT(std::string(ReadFile(path_).status().message()), HasSubstr("cannot be read"));
  EXPECT_THAT(std::string(ReadFile(testing::TempDir()).status().message()),
              HasSubstr("cannot be read"));
}

TEST_F(ReadFileTest, AHugeFileIsRefusedUnread) {
  Write(std::string(kMaxFileBytes + 1, '#'));
  EXPECT_THAT(std::string(ReadFile(path_).status().message()), HasSubstr("larger than"));
  Write(std::string(kMaxFileBytes, '#'));
  EXPECT_TRUE(ReadFile(path_).ok());
}

}  // namespace
}  // namespace peermesh::config
