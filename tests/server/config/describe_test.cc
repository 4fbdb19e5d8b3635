#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "server/config/config.h"
#include "server/config/value.h"

namespace peermesh::config {
namespace {

using google::protobuf::util::MessageDifferencer;
using testing::ContainsRegex;
using testing::HasSubstr;

class DescribeTest : public testing::Test {
 protected:
  ~DescribeTest() override { std::filesystem::remove(path_); }

  const std::string& File(std::string_view text) {
    std::ofstream(path_) << text;
    return path_;
  }

  Sources sources_{.file = "",
                   .environment = {},
                   .flags = {},
                   .host = {.root = false,
                            .name = "host",
                            .working_directory = "/srv",
                            .home = "/home/u",
                            .xdg_state_home = "",
                            .xdg_runtime_dir = ""}};
  const std::string path_ = testing::TempDir() + "describe-" + std::to_string(::getpid()) + ".yaml";
};

TEST_F(DescribeTest, EachValueNamesItsSource) {
  sources_.file = File("name: alpha\n\nlimits:\n  connections: 12\nlog: {level: debug}\n");
  sources_.environment = {{"log.level", "error"}};
  sources_.flags = {{"listen", "127.0.0.1:1"}, {"log.level", "trace"}};
  auto text = Describe(sources_);
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_THAT(*text, ContainsRegex("\nlisten: 127.0.0.1:1 +# flag\n"));
  EXPECT_THAT(*text, ContainsRegex("\n  level: trace +# flag\n"));
  EXPECT_THAT(*text, ContainsRegex("\n  connections: 12 +# file, line 4\n"));
  EXPECT_THAT(*text, ContainsRegex("\n  connections_per_address: 12 +# default\n"));
  EXPECT_THAT(*text, ContainsRegex("^name: alpha +# file, line 1\n"));
  EXPECT_THAT(*text, ContainsRegex("\ndrain_timeout: 5s +# default\n"));
  sources_.flags.clear();
  text = Describe(sources_);
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_THAT(*text, ContainsRegex("\n  level: error +# environment, PEERMESH_LOG_LEVEL\n"));
}

TEST_F(DescribeTest, FedBackItIsTheSameConfiguration) {
  sources_.file = File(
      "seeds: [a:1, '[::1]:2']\nadvertise: ['fe80::1%eth0', b]\ndrain_timeout: 1m500ms\n"
      "limits:\n  subscribes: {per_second: 0}\n  peer_bytes: {per_second: 3MiB}\n"
      "ca: {certificate_lifetime: 90m}\njournal: \"it's # \\\"odd\\\"\"\nrun_dir: 'null'\n");
  const auto first = Load(sources_);
  ASSERT_TRUE(first.ok()) << first.status();
  const auto text = Describe(sources_);
  ASSERT_TRUE(text.ok()) << text.status();
  sources_.file = File(*text);
  const auto second = Load(sources_);
  ASSERT_TRUE(second.ok()) << second.status() << "\n" << *text;
  std::string difference;
  MessageDifferencer differencer;
  differencer.ReportDifferencesToString(&difference);
  EXPECT_TRUE(differencer.Compare(*first, *second)) << difference << *text;
}

TEST_F(DescribeTest, EverySettingIsShownOnce) {
  const auto text = Describe(sources_);
  ASSERT_TRUE(text.ok()) << text.status();
  Lines lines;
  ASSERT_TRUE(ParseYaml(*text, "shown", &lines).ok()) << *text;
  for (const std::string& path : SettingPaths()) EXPECT_EQ(lines.count(path), 1u) << path;
  EXPECT_EQ(lines.size(), SettingPaths().size());
}

TEST_F(DescribeTest, WhatAStartRefusesIsNotShown) {
  sources_.file = File("log: {level: loud}\n");
  EXPECT_THAT(Describe(sources_).status().ToString(), HasSubstr("log.level is 'loud'"));
}

TEST(FormatDurationTest, IsReadBackAsItWas) {
  for (const char* text : {"0s", "250ms", "5s", "1m500ms", "1h30m", "7d", "1d1us"}) {
    EXPECT_EQ(FormatDuration(*ParseDuration(text)), text);
  }
}

}  // namespace
}  // namespace peermesh::config
