#include "server/peer/reload.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <utility>

#include "server/peer/enrolment.h"
#include "server/tls/files.h"
#include "tests/server/tls/mesh_fixture.h"

namespace peermesh {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;
using testing::UnorderedElementsAre;

class ReloadTest : public testing::Test {
 protected:
  ReloadTest() {
    std::filesystem::create_directories(directory_);
    std::filesystem::permissions(directory_, std::filesystem::perms(0700));
    PM_CHECK(tls::EnsurePrivateDirectory(IdentityDirectory(directory_)).ok());
    PM_CHECK(tls::WritePrivateFile(IdentityDirectory(directory_) + "/key.pem", key_.ToPem()).ok());
    Save(mesh_.Issue(key_));
    Write("seeds: [a:1]\n");
    sources_.file = file_;
    sources_.flags = {{"data_dir", directory_}, {"listen", "127.0.0.1:5"}};
    sources_.host = {.root = false,
                     .name = "host",
                     .working_directory = "/",
                     .home = "/",
                     .xdg_state_home = "",
                     .xdg_runtime_dir = ""};
    auto running = config::Load(sources_);
    auto material = tls::LoadMaterial(IdentityDirectory(directory_));
    PM_CHECK(running.ok() && material.ok());
    current_ = material->certificate;
    reloader_.emplace(
        sources_, WithStoredSeeds(*running), *material, [this] { return *current_; },
        Reloader::Target{.adopt =
                             [this](const identity::Certificate& certificate) {
                               if (adopts_.ok()) current_ = certificate;
                               return adopts_;
                             },
                         .reconfigure =
                             [this](const config::v1::Config& fresh) {
                               ++reconfigured_;
                               last_ = fresh;
                             }});
  }
  ~ReloadTest() override { std::filesystem::remove_all(directory_); }

  void Write(std::string_view text) { std::ofstream(file_) << text; }
  void Save(const identity::Certificate& certificate) {
    PM_CHECK(tls::SaveMaterial(IdentityDirectory(directory_),
                               {key_, certificate, mesh_.bundle(), "ca.example:7444"})
                 .ok());
  }
  using Changes = std::map<std::string, std::pair<std::string, std::string>>;
  template <class List>
  static Changes Of(const List& list) {
    Changes changes;
    for (const auto& change : list)
      changes[change.setting()] = {change.old_value(), change.new_value()};
    return changes;
  }
  // What changed, and what needs a restart.
  std::pair<Changes, Changes> Reload() {
    const auto report = reloader_->Reload();
    EXPECT_TRUE(report.ok()) << report.status();
    if (!report.ok()) return {};
    unchanged_ = report->unchanged();
    return {Of(report->changed()), Of(report->needs_restart())};
  }

  const std::string directory_ = testing::TempDir() + "reload-" + std::to_string(::getpid());
  const std::string file_ = directory_ + "/peermesh.yaml";
  const tls::TestMesh mesh_;
  const tls::PrivateKey key_ = tls::PrivateKey::Make();
  config::Sources sources_;
  std::optional<identity::Certificate> current_;
  absl::Status adopts_ = absl::OkStatus();
  int reconfigured_ = 0;
  config::v1::Config last_;
  std::uint32_t unchanged_ = 0;
  std::optional<Reloader> reloader_;
};

TEST_F(ReloadTest, NothingNewIsNoChange) {
  const auto [changed, restart] = Reload();
  EXPECT_THAT(changed, IsEmpty());
  EXPECT_THAT(restart, IsEmpty());
  EXPECT_EQ(unchanged_, config::SettingPaths().size() + 1) << "and the identity";
}

TEST_F(ReloadTest, LimitsSeedsAndTheTimeOfADrainChange) {
  Write("seeds: [b:1, a:1]\ndrain_timeout: 9s\nlimits: {peer_bytes: {per_second: 3MiB}}\n");
  const auto [changed, restart] = Reload();
  EXPECT_THAT(changed,
              UnorderedElementsAre(Pair("seeds", Pair("[a:1]", "[b:1, a:1]")),
                                   Pair("drain_timeout", Pair("5s", "9s")),
                                   Pair("limits.peer_bytes.per_second", Pair("0", "3145728")),
                                   Pair("limits.peer_bytes.burst", Pair("0", testing::_))));
  EXPECT_THAT(restart, IsEmpty());
  EXPECT_EQ(last_.limits().peer_bytes().per_second(), 3u << 20);
  EXPECT_EQ(last_.seeds_size(), 2);
  EXPECT_EQ(reloader_->running().drain_timeout().seconds(), 9);
}

TEST_F(ReloadTest, SeedsThatCameWithTheTokenStay) {
  PM_CHECK(tls::WritePrivateFile(IdentityDirectory(directory_) + "/seeds", "t:1\na:1\n").ok());
  Write("seeds: [b:1]\n");
  EXPECT_THAT(Reload().first,
              UnorderedElementsAre(Pair("seeds", Pair("[a:1]", "[b:1, t:1, a:1]"))));
}

TEST_F(ReloadTest, WhatNeedsARestartIsNamedUntilTheFileSaysWhatIsInForce) {
  Write("seeds: [a:1]\nmetrics: {listen: 'off'}\n");
  for (int i = 0; i < 2; ++i) {
    const auto [changed, restart] = Reload();
    EXPECT_THAT(changed, IsEmpty());
    EXPECT_THAT(restart,
                UnorderedElementsAre(Pair("metrics.listen", Pair("127.0.0.1:9464", "off"))));
  }
  EXPECT_EQ(reloader_->running().metrics().listen(), "127.0.0.1:9464");
  Write("seeds: [a:1]\n");
  EXPECT_THAT(Reload().second, IsEmpty());
}

TEST_F(ReloadTest, AFlagStaysStrongerThanTheFile) {
  Write("seeds: [a:1]\nlisten: 127.0.0.1:6\n");
  EXPECT_THAT(Reload().second, IsEmpty());
}

TEST_F(ReloadTest, AFileThatAStartWouldRefuseChangesNothing) {
  Save(mesh_.Issue(key_));  // not even the certificate
  const std::string before = current_->der();
  for (const char* text : {"seeds: [b:1", "seeds: [b:1]\nlog: {level: loud}\n", "sedes: []\n"}) {
    Write(text);
    const auto report = reloader_->Reload();
    EXPECT_TRUE(absl::IsInvalidArgument(report.status())) << report.status();
  }
  EXPECT_EQ(reconfigured_, 0);
  EXPECT_EQ(current_->der(), before);
  EXPECT_EQ(reloader_->running().seeds(0), "a:1");
}

TEST_F(ReloadTest, ACertificateOfTheSameKeyIsAdopted) {
  Save(mesh_.Issue(key_));
  const auto [changed, restart] = Reload();
  EXPECT_THAT(changed, UnorderedElementsAre(
                           Pair("identity", Pair(HasSubstr("until "), HasSubstr("until ")))));
  EXPECT_THAT(restart, IsEmpty());
  EXPECT_EQ(unchanged_, config::SettingPaths().size());
  EXPECT_THAT(Reload().first, IsEmpty()) << "it is in use now";
}

TEST_F(ReloadTest, ACertificateThatCannotBeUsedChangesNothing) {
  Save(mesh_.Issue(key_));
  Write("seeds: [b:1]\n");
  adopts_ = absl::InvalidArgumentError("The certificate has expired. Renew it.");
  EXPECT_EQ(reloader_->Reload().status(), adopts_);
  EXPECT_EQ(reconfigured_, 0);
  std::ofstream(IdentityDirectory(directory_) + "/cert.pem") << "-----BEGIN CERT";
  EXPECT_THAT(reloader_->Reload().status().ToString(), HasSubstr("is damaged"));
  EXPECT_EQ(reconfigured_, 0);
}

TEST_F(ReloadTest, AnotherKeyOrAnotherRootNeedsARestart) {
  const tls::PrivateKey other = tls::PrivateKey::Make();
  PM_CHECK(tls::WritePrivateFile(IdentityDirectory(directory_) + "/key.pem", other.ToPem()).ok());
  PM_CHECK(tls::SaveMaterial(IdentityDirectory(directory_),
                             {other, mesh_.Issue(other), mesh_.bundle(), ""})
               .ok());
  const auto [changed, restart] = Reload();
  EXPECT_THAT(changed, IsEmpty());
  EXPECT_THAT(restart, UnorderedElementsAre(
                           Pair("identity", Pair(key_.id().ToText(), other.id().ToText()))));
  EXPECT_EQ(current_->spki(), key_.spki());
}

TEST(IsReloadedTest, EverySettingIsOneOrTheOther) {
  std::vector<std::string> reloaded;
  for (const std::string& path : config::SettingPaths()) {
    if (IsReloaded(path) && !path.starts_with("limits.")) reloaded.push_back(path);
    if (path.starts_with("limits.")) {
      EXPECT_TRUE(IsReloaded(path)) << path;
    }
  }
  EXPECT_THAT(reloaded, testing::UnorderedElementsAre("seeds", "log.level", "drain_timeout"));
  EXPECT_FALSE(IsReloaded("log.level.x"));
}

}  // namespace
}  // namespace peermesh
