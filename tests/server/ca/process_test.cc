// The program itself: start, stop, exit codes, and what survives a kill.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <future>
#include <iterator>
#include <nlohmann/json.hpp>
#include <thread>

#include "server/store/sqlite.h"
#include "tests/server/ca/ca_fixture.h"

namespace peermesh::ca {
namespace {

using testing::HasSubstr;

constexpr int kPatienceMs = 10'000;

// A running peermesh-ca; killed at the end if the test has not waited for it.
class Process {
 public:
  explicit Process(std::vector<std::string> flags) {
    errors_path_ = MakeDirectory();
    int ready[2];
    PM_CHECK(pipe2(ready, O_CLOEXEC) == 0);
    ready_ = ready[0];
    flags.insert(flags.begin(), PEERMESH_CA_BINARY);
    flags.insert(flags.end(), {"--ready-fd", "3"});
    std::vector<char*> arguments;
    for (std::string& flag : flags) arguments.push_back(flag.data());
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ready[1], 3);
    posix_spawn_file_actions_addopen(&actions, 2, (errors_path_ + "/log").c_str(),
                                     O_WRONLY | O_CREAT, 0600);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    PM_CHECK(posix_spawn(&pid_, PEERMESH_CA_BINARY, &actions, nullptr, arguments.data(), environ) ==
             0);
    posix_spawn_file_actions_destroy(&actions);
    close(ready[1]);
  }
  ~Process() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
    close(ready_);
    std::filesystem::remove_all(errors_path_);
  }

  // The line it writes when it serves; null if it ends before.
  nlohmann::json Ready() {
    std::string line;
    pollfd wait{ready_, POLLIN, 0};
    while (line.find('\n') == std::string::npos && poll(&wait, 1, kPatienceMs) > 0) {
      char buffer[512];
      const ssize_t got = read(ready_, buffer, sizeof buffer);
      if (got <= 0) break;
      line.append(buffer, static_cast<std::size_t>(got));
    }
    return nlohmann::json::parse(line, nullptr, false);
  }
  void Signal(int number) const { ASSERT_EQ(kill(pid_, number), 0); }
  // Its exit code; 128 and more for signals.
  int Wait() {
    int how = 0;
    PM_CHECK(waitpid(pid_, &how, 0) == pid_);
    pid_ = -1;
    return WIFEXITED(how) ? WEXITSTATUS(how) : 128 + WTERMSIG(how);
  }
  std::string Errors() const {
    std::ifstream file(errors_path_ + "/log");
    return std::string(std::istreambuf_iterator<char>(file), {});
  }

 private:
  pid_t pid_ = -1;
  int ready_ = -1;
  std::string errors_path_;
};

class ProcessTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { PrepareProcess(); }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  std::vector<std::string> Flags(std::vector<std::string> more = {}) const {
    std::vector<std::string> flags = {"--data-dir", directory_ + "/ca", "--listen", "127.0.0.1:0"};
    flags.insert(flags.end(), more.begin(), more.end());
    return flags;
  }
  std::string directory_ = MakeDirectory();
};

TEST_F(ProcessTest, ServesUntilItIsAskedToStopAndComesBackAsTheSameCa) {
  std::string mesh_id;
  for (int round = 0; round < 2; ++round) {
    Process ca(Flags({"--init"}));
    const auto ready = ca.Ready();
    ASSERT_TRUE(ready.is_object()) << ca.Errors();
    EXPECT_TRUE(mesh_id.empty() || mesh_id == ready["mesh_id"]);
    mesh_id = ready["mesh_id"];
    EXPECT_EQ(ready["socket"], directory_ + "/ca/ca.sock");
    const auto token = Operator(ready["socket"]).Token();
    EXPECT_EQ(token.address, "127.0.0.1:" + std::to_string(ready["port"].get<int>()));
    EXPECT_TRUE(
        Enrol(token, tls::PrivateKey::Make(), {.name = "peer" + std::to_string(round), .hosts = {}})
            .ok());
    ca.Signal(SIGTERM);
    EXPECT_EQ(ca.Wait(), 0) << ca.Errors();
    EXPECT_THAT(ca.Errors(), Not(HasSubstr(token.secret)));
  }
}

TEST_F(ProcessTest, ExitCodesSayWhatWasWrong) {
  Process unknown_flag(Flags({"--nonsense"}));
  EXPECT_EQ(unknown_flag.Wait(), 2);
  Process bad_lifetime(Flags({"--certificate-lifetime", "0s"}));
  EXPECT_EQ(bad_lifetime.Wait(), 2);

  Process no_ca(Flags());
  EXPECT_EQ(no_ca.Wait(), 4);
  EXPECT_THAT(no_ca.Errors(), HasSubstr("--init"));

  Process running(Flags({"--init"}));
  const auto ready = running.Ready();
  ASSERT_TRUE(ready.is_object()) << running.Errors();
  Process second(Flags());
  EXPECT_EQ(second.Wait(), 4);
  EXPECT_THAT(second.Errors(), HasSubstr("Another peermesh-ca (pid "));

  const std::string taken = "127.0.0.1:" + std::to_string(ready["port"].get<int>());
  Process same_port({"--init", "--data-dir", directory_ + "/other", "--listen", taken});
  EXPECT_EQ(same_port.Wait(), 3) << same_port.Errors();

  ASSERT_EQ(chmod(directory_.c_str(), 0755), 0);
  std::filesystem::create_directory(directory_ + "/open");
  ASSERT_EQ(chmod((directory_ + "/open").c_str(), 0755), 0);
  Process open_directory({"--init", "--data-dir", directory_ + "/open", "--listen", "127.0.0.1:0"});
  EXPECT_EQ(open_directory.Wait(), 4);
  EXPECT_THAT(open_directory.Errors(), HasSubstr("chmod 700"));
}

TEST_F(ProcessTest, DiesWithItsParent) {
  // The parent in between tells us the CA's number and then ends without a word.
  int numbers[2];
  ASSERT_EQ(pipe2(numbers, O_CLOEXEC), 0);
  ASSERT_EQ(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
  const pid_t parent = fork();
  ASSERT_GE(parent, 0);
  if (parent == 0) {
    std::vector<std::string> flags = Flags({"--init", "--die-with-parent", "--ready-fd", "3"});
    flags.insert(flags.begin(), PEERMESH_CA_BINARY);
    std::vector<char*> arguments;
    for (std::string& flag : flags) arguments.push_back(flag.data());
    arguments.push_back(nullptr);
    int ready[2];
    if (pipe2(ready, O_CLOEXEC) != 0) _exit(1);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ready[1], 3);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    pid_t child = -1;
    if (posix_spawn(&child, PEERMESH_CA_BINARY, &actions, nullptr, arguments.data(), environ) !=
        0) {
      _exit(1);
    }
    close(ready[1]);
    char byte = 0;
    if (read(ready[0], &byte, 1) != 1) _exit(1);  // it serves
    if (write(numbers[1], &child, sizeof child) != sizeof child) _exit(1);
    kill(getpid(), SIGKILL);
  }
  close(numbers[1]);
  pid_t child = -1;
  ASSERT_EQ(read(numbers[0], &child, sizeof child), static_cast<ssize_t>(sizeof child));
  close(numbers[0]);
  int how = 0;
  ASSERT_EQ(waitpid(parent, &how, 0), parent);
  ASSERT_EQ(waitpid(child, &how, 0), child) << "we inherited it";
  EXPECT_TRUE(WIFEXITED(how));
  EXPECT_EQ(WEXITSTATUS(how), 0) << "an orderly stop";
  prctl(PR_SET_CHILD_SUBREAPER, 0);
}

identity::Token TokenIn(const std::string& path) {
  std::ifstream file(path);
  std::string text;
  std::getline(file, text);
  const auto token = identity::ParseToken(text);
  EXPECT_TRUE(token.ok()) << path << ": " << token.status();
  return token.ok() ? *token : identity::Token{};
}

TEST_F(ProcessTest, PeersThatStartTogetherFindATokenEachUntilTheyHaveJoined) {
  const std::string tokens = directory_ + "/tokens";
  const auto flags = Flags({"--init", "--bootstrap-tokens", tokens, "--bootstrap-peer", "alpha",
                            "--bootstrap-peer", "beta"});
  std::string unused;
  {
    Process ca(flags);
    ASSERT_TRUE(ca.Ready().is_object()) << ca.Errors();
    struct stat file {};
    ASSERT_EQ(stat((tokens + "/alpha.token").c_str(), &file), 0);
    EXPECT_EQ(file.st_mode & 0777, 0600u);
    unused = TokenIn(tokens + "/beta.token").id;
    const auto alpha = TokenIn(tokens + "/alpha.token");
    const auto key = tls::PrivateKey::Make();
    EXPECT_FALSE(Enrol(alpha, key, {.name = "gamma", .hosts = {}}).ok()) << "its name is fixed";
    EXPECT_TRUE(Enrol(alpha, key, {.name = "alpha", .hosts = {}}).ok());
    ca.Signal(SIGTERM);
    EXPECT_EQ(ca.Wait(), 0) << ca.Errors();
  }
  Process ca(flags);
  const auto ready = ca.Ready();
  ASSERT_TRUE(ready.is_object()) << ca.Errors();
  EXPECT_FALSE(std::filesystem::exists(tokens + "/alpha.token")) << "it has joined";
  const auto beta = TokenIn(tokens + "/beta.token");
  EXPECT_NE(beta.id, unused);
  EXPECT_EQ(Operator(ready["socket"]).Describe(unused).state(), v1::TOKEN_STATE_REVOKED);
  EXPECT_TRUE(Enrol(beta, tls::PrivateKey::Make(), {.name = "beta", .hosts = {}}).ok());
}

TEST_F(ProcessTest, TokensForNoPeerOrForNoNameAreWrongUsage) {
  Process nobody(Flags({"--init", "--bootstrap-tokens", directory_ + "/tokens"}));
  EXPECT_EQ(nobody.Wait(), 2);
  Process nowhere(Flags({"--init", "--bootstrap-peer", "alpha"}));
  EXPECT_EQ(nowhere.Wait(), 2);
  Process no_name(Flags(
      {"--init", "--bootstrap-tokens", directory_ + "/tokens", "--bootstrap-peer", "../alpha"}));
  EXPECT_EQ(no_name.Wait(), 2);
  EXPECT_THAT(no_name.Errors(), HasSubstr("../alpha"));
}

// How many certificates were issued, read behind the CA's back.
std::int64_t CountIssued(const std::string& directory) {
  auto database = store::Database::Open(directory + "/ca.db", std::array<const char*, 1>{""});
  EXPECT_TRUE(database.ok()) << database.status();
  store::Statement count((*database)->handle(), "SELECT count(*) FROM certificates");
  EXPECT_TRUE(*count.Step());
  return count.Integer(0);
}

TEST_F(ProcessTest, AKillBetweenRedemptionAndAnswerLeavesOneIdentity) {
  const auto key = tls::PrivateKey::Make();
  std::optional<identity::Token> token;
  absl::StatusOr<Enrolment> first = absl::UnknownError("not tried");
  {
    Process ca(Flags({"--init"}));
    const auto ready = ca.Ready();
    ASSERT_TRUE(ready.is_object()) << ca.Errors();
    token = Operator(ready["socket"]).Token();
    auto joining = std::async(std::launch::async,
                              [&] { return Enrol(*token, key, {.name = "beta", .hosts = {}}); });
    // As soon as the redemption is on disk, whether or not the answer is on its way.
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (CountIssued(directory_ + "/ca") == 0) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline);
      std::this_thread::yield();
    }
    ca.Signal(SIGKILL);
    EXPECT_EQ(ca.Wait(), 128 + SIGKILL);
    first = joining.get();
  }
  Process ca(Flags());
  const auto ready = ca.Ready();
  ASSERT_TRUE(ready.is_object()) << ca.Errors();
  token->address = "127.0.0.1:" + std::to_string(ready["port"].get<int>());
  const auto again = Enrol(*token, key, {.name = "beta", .hosts = {}});
  ASSERT_TRUE(again.ok()) << again.status();
  if (first.ok()) {
    EXPECT_EQ(first->material.certificate.der(), again->material.certificate.der());
  }
  EXPECT_EQ(CountIssued(directory_ + "/ca"), 1) << "one token, one certificate";
  EXPECT_EQ(Operator(ready["socket"]).Describe(token->id).peer_id(), key.id().ToText());
}

}  // namespace
}  // namespace peermesh::ca
