#include <fcntl.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tests/server/net/net_testing.h"

namespace peermesh::net {
namespace {

class UnixListenerTest : public AcceptorTest {
 protected:
  UnixListenerTest() {
    std::string pattern = std::filesystem::temp_directory_path() / "peermesh-net-XXXXXX";
    directory_ = mkdtemp(pattern.data());
    path_ = directory_ + "/app.sock";
  }
  ~UnixListenerTest() override { std::filesystem::remove_all(directory_); }
  absl::StatusOr<std::string> TryListen(unsigned mode = 0600) {
    return acceptor_->Listen({"app", "unix:" + path_, Caps::Local(), mode}, inbox_.handler());
  }

  std::string directory_;
  std::string path_;
};

TEST_F(UnixListenerTest, HasThePermissionsAskedForWhateverTheUmask) {
  const mode_t umask_before = umask(077);
  const auto bound = TryListen(0660);
  umask(umask_before);
  ASSERT_TRUE(bound.ok()) << bound.status();
  EXPECT_EQ(*bound, "unix:" + path_);
  struct stat info;
  ASSERT_EQ(lstat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0660u);
}

TEST_F(UnixListenerTest, AcceptsAndCutsClientsWithoutAName) {
  ASSERT_TRUE(TryListen().ok());
  acceptor_->Start();
  Client client = Client::To("unix:" + path_);
  ASSERT_TRUE(inbox_.WaitFor(1));
  EXPECT_EQ(inbox_.at(0).peer, "unix:");
  EXPECT_EQ(acceptor_->FindByPeer("unix:"), std::nullopt) << "all clients have this text";
  EXPECT_TRUE(acceptor_->Cut(inbox_.at(0).id));
  EXPECT_TRUE(client.SeesEnd());
  EXPECT_TRUE(Eventually([&] { return acceptor_->Connections().empty(); }));
}

TEST_F(UnixListenerTest, AClientThatLeavesIsForgottenAtOnce) {
  ASSERT_TRUE(TryListen().ok());
  acceptor_->Start();
  Client client = Client::To("unix:" + path_);
  ASSERT_TRUE(inbox_.WaitFor(1));
  client.Close();
  EXPECT_TRUE(Eventually([&] { return acceptor_->Connections().empty(); }));
}

TEST_F(UnixListenerTest, AFileNobodyAnswersOnIsReplaced) {
  const int dead = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  std::strncpy(name.sun_path, path_.c_str(), sizeof name.sun_path - 1);
  ASSERT_EQ(bind(dead, reinterpret_cast<sockaddr*>(&name), sizeof name), 0);
  close(dead);
  ASSERT_TRUE(TryListen().ok());
  acceptor_->Start();
  const Client client = Client::To("unix:" + path_);
  EXPECT_TRUE(inbox_.WaitFor(1));
}

TEST_F(UnixListenerTest, ALiveSocketIsLeftAlone) {
  auto other = *Acceptor::Create();
  ASSERT_TRUE(other->Listen({"app", "unix:" + path_, Caps::Local(), 0600}, inbox_.handler()).ok());
  const auto bound = TryListen();
  EXPECT_EQ(bound.status().code(), absl::StatusCode::kAlreadyExists);
  other->Start();
  const Client client = Client::To("unix:" + path_);
  EXPECT_TRUE(inbox_.WaitFor(1)) << "the first one still answers";
}

TEST_F(UnixListenerTest, AFileThatIsNoSocketIsLeftAlone) {
  std::ofstream(path_) << "precious";
  EXPECT_EQ(TryListen().status().code(), absl::StatusCode::kAlreadyExists);
  std::string content;
  std::ifstream(path_) >> content;
  EXPECT_EQ(content, "precious");
}

TEST_F(UnixListenerTest, RemovesItsFileButNotSomebodyElses) {
  ASSERT_TRUE(TryListen().ok());
  acceptor_->StopListening();
  EXPECT_FALSE(std::filesystem::exists(path_));
  acceptor_ = *Acceptor::Create();
  ASSERT_TRUE(TryListen().ok());
  // A file put beside it and moved over it has another inode for certain.
  std::ofstream(directory_ + "/other") << "x";
  std::filesystem::rename(directory_ + "/other", path_);
  acceptor_->StopListening();
  EXPECT_TRUE(std::filesystem::exists(path_));
}

TEST_F(UnixListenerTest, APathThatIsTooLongIsNamed) {
  path_ = directory_ + "/" + std::string(120, 'x');
  const auto bound = TryListen();
  EXPECT_EQ(bound.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(bound.status().message().find("107"), std::string::npos) << bound.status();
}

}  // namespace
}  // namespace peermesh::net
