#include "server/tls/files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "server/tls/material.h"
#include "tests/server/tls/mesh_fixture.h"

namespace peermesh::tls {
namespace {

using testing::HasSubstr;

class FilesTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "peermesh-files-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  static unsigned ModeOf(const std::string& path) {
    struct stat info {};
    EXPECT_EQ(lstat(path.c_str(), &info), 0) << path;
    return info.st_mode & 07777;
  }
  std::string Path(const std::string& name) const { return directory_ + "/" + name; }

  std::string directory_;
};

TEST_F(FilesTest, DirectoriesAreMadePrivate) {
  ASSERT_TRUE(EnsurePrivateDirectory(Path("a/b/c")).ok());
  EXPECT_EQ(ModeOf(Path("a/b/c")), 0700u);
  EXPECT_TRUE(EnsurePrivateDirectory(Path("a/b/c")).ok()) << "again";
}

TEST_F(FilesTest, OpenDirectoriesAreRefusedWithTheRemedy) {
  ASSERT_TRUE(EnsurePrivateDirectory(Path("d")).ok());
  for (const mode_t mode : {0750, 0701, 0777}) {
    ASSERT_EQ(chmod(Path("d").c_str(), mode), 0);
    const auto status = EnsurePrivateDirectory(Path("d"));
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(status.message()), HasSubstr("chmod 700 " + Path("d")));
  }
}

TEST_F(FilesTest, AFileOrLinkIsNotADirectory) {
  std::ofstream(Path("f")) << "x";
  EXPECT_FALSE(EnsurePrivateDirectory(Path("f")).ok());
  std::filesystem::create_directory_symlink(directory_, Path("l"));
  EXPECT_FALSE(EnsurePrivateDirectory(Path("l")).ok());
}

TEST_F(FilesTest, FilesArePrivateAndReplacedWhole) {
  ASSERT_TRUE(WritePrivateFile(Path("key"), "first").ok());
  EXPECT_EQ(ModeOf(Path("key")), 0600u);
  ASSERT_TRUE(WritePrivateFile(Path("key"), "second").ok());
  EXPECT_EQ(*ReadPrivateFile(Path("key")), "second");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory_), {}), 1)
      << "no temporary file is left";
}

TEST_F(FilesTest, FilesThatOthersCanReadAreRefusedWithTheRemedy) {
  ASSERT_TRUE(WritePrivateFile(Path("key"), "secret").ok());
  for (const mode_t mode : {0640, 0604, 0620, 0666}) {
    ASSERT_EQ(chmod(Path("key").c_str(), mode), 0);
    const auto bytes = ReadPrivateFile(Path("key"));
    EXPECT_EQ(bytes.status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(bytes.status().message()), HasSubstr("chmod 600 " + Path("key")));
  }
}

TEST_F(FilesTest, LinksFifosAndAbsenceAreToldApart) {
  ASSERT_TRUE(WritePrivateFile(Path("key"), "secret").ok());
  std::filesystem::create_symlink(Path("key"), Path("link"));
  EXPECT_THAT(std::string(ReadPrivateFile(Path("link")).status().message()),
              HasSubstr("symbolic link"));
  ASSERT_EQ(mkfifo(Path("fifo").c_str(), 0600), 0);
  EXPECT_THAT(std::string(ReadPrivateFile(Path("fifo")).status().message()),
              HasSubstr("not a regular file"));
  EXPECT_EQ(ReadPrivateFile(Path("none")).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(FilesTest, SomebodyElsesFileIsRefused) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can give files away";
  ASSERT_TRUE(WritePrivateFile(Path("key"), "secret").ok());
  ASSERT_EQ(chown(Path("key").c_str(), 12345, 12345), 0);
  EXPECT_THAT(std::string(ReadPrivateFile(Path("key")).status().message()), HasSubstr("chown"));
}

TEST_F(FilesTest, AFileBeyondReasonIsRefused) {
  ASSERT_TRUE(WritePrivateFile(Path("key"), std::string(kMaxPrivateFileBytes + 1, 'x')).ok());
  EXPECT_FALSE(ReadPrivateFile(Path("key")).ok());
}

TEST_F(FilesTest, ADirectoryHasOneUserAtATime) {
  auto lock = DirectoryLock::Take(directory_, "peermeshd");
  ASSERT_TRUE(lock.ok()) << lock.status();
  const auto second = DirectoryLock::Take(directory_, "peermeshd");
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(
      std::string(second.status().message()),
      HasSubstr("Another peermeshd (pid " + std::to_string(getpid()) + ") uses " + directory_));
  { const DirectoryLock gone = *std::move(lock); }
  EXPECT_TRUE(DirectoryLock::Take(directory_, "peermeshd").ok());
}

class MaterialTest : public FilesTest {
 protected:
  void SetUp() override {
    FilesTest::SetUp();
    home_ = Path("identity");
    const auto key = EnsureKey(home_);
    ASSERT_TRUE(key.ok()) << key.status();
    const Material material{*key, mesh_.Issue(*key), mesh_.bundle(), "127.0.0.1:7444"};
    ASSERT_FALSE(HasCertificate(home_));
    ASSERT_TRUE(SaveMaterial(home_, material).ok());
  }
  TestMesh mesh_;
  std::string home_;
};

TEST_F(MaterialTest, RoundTrips) {
  EXPECT_TRUE(HasCertificate(home_));
  const auto material = LoadMaterial(home_);
  ASSERT_TRUE(material.ok()) << material.status();
  EXPECT_EQ(material->key.id(), EnsureKey(home_)->id()) << "the key is made once";
  EXPECT_EQ(material->bundle.mesh_id(), mesh_.mesh_id);
  EXPECT_EQ(material->ca_address, "127.0.0.1:7444");
  for (const char* name : {"/key.pem", "/cert.pem", "/ca.pem", "/ca-address"}) {
    EXPECT_EQ(ModeOf(home_ + name), 0600u) << name;
  }
}

TEST_F(MaterialTest, AnExpiredCertificateStillLoads) {
  const auto key = EnsureKey(home_);
  const auto old =
      mesh_.Issue(*key, "alpha", identity::Role::kPeer, WallNow() - std::chrono::hours(100));
  ASSERT_TRUE(WritePrivateFile(home_ + "/cert.pem", old.ToPem()).ok());
  // The root is younger than the certificate, so it is the root that was not valid then.
  TestMesh old_mesh{.root = MakeRoot(old_mesh.root_key, WallNow() - std::chrono::hours(200))};
  const auto expired =
      old_mesh.Issue(*key, "alpha", identity::Role::kPeer, WallNow() - std::chrono::hours(100));
  ASSERT_TRUE(SaveMaterial(home_, {*key, expired, old_mesh.bundle(), ""}).ok());
  EXPECT_TRUE(LoadMaterial(home_).ok()) << LoadMaterial(home_).status();
}

TEST_F(MaterialTest, FilesThatDoNotFitTogetherAreRefused) {
  const TestMesh other;
  ASSERT_TRUE(WritePrivateFile(home_ + "/ca.pem", other.root.ToPem()).ok());
  EXPECT_THAT(std::string(LoadMaterial(home_).status().message()), HasSubstr("wrong_ca"));
  ASSERT_TRUE(WritePrivateFile(home_ + "/cert.pem", mesh_.Issue(PrivateKey::Make()).ToPem()).ok());
  EXPECT_THAT(std::string(LoadMaterial(home_).status().message()),
              HasSubstr("does not belong to key.pem"));
  ASSERT_TRUE(WritePrivateFile(home_ + "/cert.pem", "").ok());
  EXPECT_FALSE(LoadMaterial(home_).ok());
  ASSERT_EQ(unlink((home_ + "/cert.pem").c_str()), 0);
  EXPECT_EQ(LoadMaterial(home_).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(MaterialTest, AKeyThatOthersCanReadIsNotLoaded) {
  ASSERT_EQ(chmod((home_ + "/key.pem").c_str(), 0644), 0);
  EXPECT_EQ(LoadMaterial(home_).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(EnsureKey(home_).status().code(), absl::StatusCode::kFailedPrecondition)
      << "and not replaced either";
}

}  // namespace
}  // namespace peermesh::tls
