#include "server/config/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>

namespace peermesh::config {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

Host User() {
  return {.root = false,
          .name = "Build-Host",
          .working_directory = "/srv",
          .home = "/home/u",
          .xdg_state_home = "",
          .xdg_runtime_dir = "/run/user/7",
          .terminal = true};
}

Host Root() {
  return {.root = true,
          .name = "h",
          .working_directory = "/",
          .home = "/root",
          .xdg_state_home = "",
          .xdg_runtime_dir = ""};
}

TEST(SettingsTest, EverySettingHasAPathAndAVariableOfItsOwn) {
  const auto paths = SettingPaths();
  EXPECT_THAT(paths, testing::IsSupersetOf({"name", "seeds", "metrics.listen", "drain_timeout",
                                            "limits.peer_bytes.burst", "ca.certificate_lifetime"}));
  std::set<std::string> variables;
  for (const auto& path : paths) EXPECT_TRUE(variables.insert(VariableName(path)).second) << path;
  EXPECT_EQ(VariableName("limits.peer_bytes.burst"), "PEERMESH_LIMITS_PEER_BYTES_BURST");
}

TEST(SettingsTest, EverySettingCanBeSetFromText) {
  for (const std::string& path : SettingPaths()) {
    bool set = false;
    for (const char* value : {"7", "7s"}) {
      v1::Config config;
      if (Set(config, {path, value}).ok()) {
        EXPECT_GT(config.ByteSizeLong(), 0u) << path;
        set = true;
      }
    }
    EXPECT_TRUE(set) << path;
  }
}

TEST(SettingsTest, AListReplacesTheWholeList) {
  v1::Config config;
  config.add_seeds("old:1");
  ASSERT_TRUE(Set(config, {"seeds", "a:1, b:2"}).ok());
  EXPECT_THAT(config.seeds(), ElementsAre("a:1", "b:2"));
}

TEST(SettingsTest, AnUnknownPathIsRefusedWithAGuess) {
  v1::Config config;
  EXPECT_EQ(Set(config, {"metrics.lisen", "x"}).message(),
            "there is no setting 'metrics.lisen'. Did you mean 'metrics.listen'?");
  for (const char* path :
       {"", ".", "metrics", "metrics.", "metrics.listen.x", "name.x", "drain_timeout.seconds"}) {
    EXPECT_FALSE(Set(config, {path, "1"}).ok()) << path;
  }
  EXPECT_EQ(config.ByteSizeLong(), 0u);
}

TEST(SettingsTest, AWrongValueChangesNothing) {
  v1::Config config;
  EXPECT_FALSE(Set(config, {"limits.connections", "many"}).ok());
  EXPECT_FALSE(config.has_limits());
}

TEST(EnvironmentTest, FindsSettingsAndIgnoresTheRest) {
  const char* const variables[] = {"PATH=/bin",
                                   "PEERMESH_NAME=beta",
                                   "PEERMESH_SERVICE_HOST=10.0.0.1",
                                   "PEERMESH_SEEDS=",
                                   "PEERMESH_METRICS_LISTEN=off",
                                   "PEERMESH_LISTEN",
                                   "PEERMESH_CA_LISTEN=a=b",
                                   nullptr};
  std::vector<std::string> found;
  for (const auto& setting : FromEnvironment(variables))
    found.push_back(setting.path + " " + setting.value);
  EXPECT_THAT(found, ElementsAre("name beta", "metrics.listen off", "ca.listen a=b"));
}

TEST(DefaultsTest, AUserKeepsStateInItsOwnDirectories) {
  v1::Config config;
  FillDefaults(config, User());
  EXPECT_EQ(config.name(), "build-host");
  EXPECT_EQ(config.data_dir(), "/home/u/.local/state/peermesh");
  EXPECT_EQ(config.run_dir(), "/run/user/7/peermesh");
  EXPECT_EQ(config.log().format(), "text");
  Host host = User();
  host.xdg_state_home = "/state";
  host.xdg_runtime_dir = "";
  host.terminal = false;
  v1::Config other;
  FillDefaults(other, host);
  EXPECT_EQ(other.data_dir(), "/state/peermesh");
  EXPECT_EQ(other.run_dir(), "/state/peermesh/run");
  EXPECT_EQ(other.log().format(), "json");
}

TEST(DefaultsTest, RootKeepsStateInTheSystemsDirectories) {
  v1::Config config;
  FillDefaults(config, Root());
  EXPECT_EQ(config.data_dir(), "/var/lib/peermesh");
  EXPECT_EQ(config.run_dir(), "/run/peermesh");
}

TEST(DefaultsTest, ADataDirectorySomebodyChoseHoldsTheSocketsToo) {
  v1::Config config;
  config.set_data_dir("mesh/./alpha/");
  FillDefaults(config, Root());
  EXPECT_EQ(config.data_dir(), "/mesh/alpha");
  EXPECT_EQ(config.run_dir(), "/mesh/alpha/run");
  v1::Config user;
  user.set_data_dir("../d");
  user.set_run_dir("r");
  FillDefaults(user, User());
  EXPECT_EQ(user.data_dir(), "/d");
  EXPECT_EQ(user.run_dir(), "/srv/r");
}

TEST(DefaultsTest, ArePromisedByTheSchema) {
  v1::Config config;
  FillDefaults(config, User());
  EXPECT_EQ(config.listen(), "[::]:7443");
  EXPECT_EQ(config.metrics().listen(), "127.0.0.1:9464");
  EXPECT_EQ(config.log().level(), "info");
  EXPECT_EQ(config.drain_timeout().seconds(), 5);
  EXPECT_EQ(config.ca().listen(), "[::]:7444");
  EXPECT_EQ(config.ca().certificate_lifetime().seconds(), 7 * 24 * 3600);
  EXPECT_EQ(config.limits().application_messages().per_second(), 0u);
  EXPECT_EQ(config.limits().subscribes().per_second(), 1000u);
  EXPECT_EQ(config.limits().subscribes().burst(), 16384u);
  EXPECT_EQ(config.limits().handshakes().per_second(), 8u);
  EXPECT_EQ(config.limits().handshakes().burst(), 32u);
  EXPECT_EQ(config.limits().connections(), 256u);
  EXPECT_EQ(config.limits().connections_per_address(), 64u);
  EXPECT_TRUE(Validate(config).ok()) << Validate(config);
}

TEST(DefaultsTest, TheCaListensWhereThePeerDoes) {
  const auto of = [](const char* listen, const char* ca = "") {
    v1::Config config;
    config.set_listen(listen);
    config.mutable_ca()->set_listen(ca);
    FillDefaults(config, User());
    return config.ca().listen();
  };
  EXPECT_EQ(of("127.0.0.1:7443"), "127.0.0.1:7444");
  EXPECT_EQ(of("[::1]:0"), "[::1]:7444");
  EXPECT_EQ(of("0.0.0.0:9000"), "0.0.0.0:7444");
  EXPECT_EQ(of("mesh.example:9000"), "mesh.example:7444");
  EXPECT_EQ(of("127.0.0.1:7443", "[::]:0"), "[::]:0") << "what is written stays";
  for (const char* wrong : {"", "7443", "::1:7443", "a b:1"}) EXPECT_EQ(of(wrong), "[::]:7444");
}

TEST(DefaultsTest, ABurstNobodyNamedIsOneSecondsWorthAndFitsACall) {
  v1::Config config;
  config.mutable_limits()->mutable_application_messages()->set_per_second(10);
  config.mutable_limits()->mutable_application_bytes()->set_per_second(1000);
  config.mutable_limits()->mutable_subscribes();  // present and zero: unlimited
  FillDefaults(config, User());
  EXPECT_EQ(config.limits().application_messages().burst(), 10u);
  EXPECT_EQ(config.limits().application_bytes().burst(), 2u << 20);
  EXPECT_EQ(config.limits().subscribes().per_second(), 0u);
  EXPECT_TRUE(Validate(config).ok()) << Validate(config);
}

TEST(DefaultsTest, AnyHostNameMakesAValidName) {
  for (const std::string name :
       {"", "-", "a", "Web_1", "-x-", "h.example.org", "ümlaut",
        "a123456789b123456789c123456789d123456789e123456789f123456789g1234-"}) {
    Host host = User();
    host.name = name;
    v1::Config config;
    FillDefaults(config, host);
    EXPECT_TRUE(Validate(config).ok()) << name << " became " << config.name();
  }
}

TEST(HostTest, TheRealOneHasANameAndAPlace) {
  const Host host = Host::Current();
  EXPECT_FALSE(host.name.empty());
  EXPECT_EQ(host.name.find('.'), std::string::npos);
  EXPECT_THAT(host.working_directory, StartsWith("/"));
  EXPECT_EQ(host.root, geteuid() == 0);
}

TEST(LoadTest, FlagsBeatTheEnvironmentWhichBeatsTheFile) {
  const std::string path =
      testing::TempDir() + "peermesh_load_test_" + std::to_string(getpid()) + ".yaml";
  std::ofstream(path) << "name: file\nlisten: 127.0.0.1:1\nmetrics: {listen: off}\nseeds: [a:1]\n";
  const auto config = Load({.file = path,
                            .environment = {{"name", "environment"}, {"listen", "127.0.0.1:2"}},
                            .flags = {{"name", "flag"}},
                            .host = User()});
  std::filesystem::remove(path);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->name(), "flag");
  EXPECT_EQ(config->listen(), "127.0.0.1:2");
  EXPECT_EQ(config->metrics().listen(), "off");
  EXPECT_EQ(config->log().level(), "info");
  EXPECT_THAT(config->seeds(), ElementsAre("a:1"));
}

TEST(LoadTest, WhatNobodyWroteIsNotWritten) {
  const auto written = Written(
      {.file = "", .environment = {{"listen", "127.0.0.1:2"}}, .flags = {}, .host = User()});
  ASSERT_TRUE(written.ok()) << written.status();
  EXPECT_EQ(written->listen(), "127.0.0.1:2");
  EXPECT_EQ(written->name(), "");
}

TEST(LoadTest, ErrorsNameTheirSource) {
  Sources sources{.file = "", .environment = {{"drain_timeout", "5"}}, .flags = {}, .host = User()};
  EXPECT_THAT(std::string(Load(sources).status().message()),
              StartsWith("PEERMESH_DRAIN_TIMEOUT: '5' is not a duration."));
  sources = {.file = "", .environment = {}, .flags = {{"drain_timeout", "x"}}, .host = User()};
  EXPECT_THAT(std::string(Load(sources).status().message()),
              StartsWith("drain_timeout: 'x' is not"));
  sources = {.file = "", .environment = {}, .flags = {{"listen", "7443"}}, .host = User()};
  EXPECT_THAT(std::string(Load(sources).status().message()), StartsWith("listen is '7443'"));
  sources = {.file = "/nowhere/peermesh.yaml", .environment = {}, .flags = {}, .host = User()};
  EXPECT_THAT(std::string(Load(sources).status().message()),
              HasSubstr("/nowhere/peermesh.yaml cannot be read"));
}

}  // namespace
}  // namespace peermesh::config
