// token and client, against the CA itself.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <nlohmann/json.hpp>

#include "tests/client/cli/program.h"
#include "tests/client/scripted_peer.h"

namespace peermesh::client {
namespace {

using testing::HasSubstr;

class CaCommandsTest : public testing::Test {
 protected:
  CaCommandsTest()
      : ca_({PEERMESH_CA_PROGRAM, "--data-dir", dir_.path() + "/ca", "--listen", "127.0.0.1:0",
             "--init"}) {
    ca_.AwaitError("serving");
  }

  Outcome Run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {PEERMESH_PROGRAM, "--data-dir", dir_.path()});
    return Program(std::move(arguments)).Wait();
  }
  nlohmann::json Tokens() {
    return nlohmann::json::parse(Run({"token", "ls", "--json"}).out)["tokens"];
  }

  TempDir dir_;
  Program ca_;
};

TEST_F(CaCommandsTest, TokenCreatePrintsTheCommandForTheOtherHost) {
  const Outcome outcome =
      Run({"token", "create", "--name", "beta", "--ttl", "30m", "--seed", "h:1"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, testing::StartsWith("echo 'pm1."));
  EXPECT_THAT(outcome.out, testing::EndsWith("' | peermesh up --name beta --join -\n"));
  EXPECT_THAT(outcome.err, HasSubstr("within 30m"));
  EXPECT_THAT(outcome.err, testing::Not(HasSubstr("pm1."))) << "a secret in a message ends in logs";
  EXPECT_THAT(Run({"token", "create", "--quiet"}).out, testing::MatchesRegex("pm1\\.[^ ]+\n"));
}

TEST_F(CaCommandsTest, TokensAreListedAndRevokedById) {
  ASSERT_EQ(Run({"token", "create", "--name", "beta"}).code, 0);
  const std::string id = Tokens()[0]["id"];
  EXPECT_THAT(Run({"token", "ls"}).out, HasSubstr(id + "  issued  beta"));
  EXPECT_EQ(Run({"token", "revoke", id}).code, 0);
  EXPECT_EQ(Tokens()[0]["state"], "TOKEN_STATE_REVOKED");
  EXPECT_EQ(Run({"token", "revoke", "aaaaaaaaaa"}).code, 5);
}

TEST_F(CaCommandsTest, ClientAddMakesAPrivateDirectoryOnce) {
  const std::string directory = dir_.path() + "/shop";
  const Outcome first = Run({"client", "add", "shop", "--out", directory});
  EXPECT_EQ(first.code, 0) << first.err;
  EXPECT_EQ(first.out, directory + "\n");
  EXPECT_THAT(first.err, HasSubstr("grpc.secure_channel"));
  struct stat status {};
  ASSERT_EQ(stat(directory.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0700u);
  for (const char* name : {"/key.pem", "/cert.pem", "/ca.pem"}) {
    ASSERT_EQ(stat((directory + name).c_str(), &status), 0) << name;
    EXPECT_EQ(status.st_mode & 0777, 0600u) << name;
  }
  const std::string key = Slurp(directory + "/key.pem");
  const Outcome second = Run({"client", "add", "shop", "--out", directory});
  EXPECT_EQ(second.code, 1);
  EXPECT_THAT(second.err, HasSubstr("IDENTITY_EXISTS"));
  EXPECT_EQ(Slurp(directory + "/key.pem"), key);
}

TEST_F(CaCommandsTest, ARefusedClientLeavesNoDirectory) {
  const std::string directory = dir_.path() + "/shop";
  const Outcome outcome = Run({"client", "add", "shop", "--out", directory, "--ttl", "366d"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("BAD_LIFETIME"));
  EXPECT_NE(access(directory.c_str(), F_OK), 0);
  EXPECT_EQ(Run({"client", "add", "shop", "--out", directory}).code, 0) << "and the name is free";
}

TEST_F(CaCommandsTest, ACaThatIsThereButSilentIsNotCalledAbsent) {
  ca_.Signal(SIGKILL);
  ca_.Wait();
  const Outcome outcome = Run({"token", "ls"});
  EXPECT_EQ(outcome.code, 3);
  EXPECT_THAT(outcome.err, HasSubstr("Nobody listens on " + dir_.path() + "/ca/ca.sock"));
}

TEST_F(CaCommandsTest, AnIdentityForAPeerThatIsNotThereSaysSo) {
  const std::string directory = dir_.path() + "/ops";
  ASSERT_EQ(Run({"client", "add", "ops", "--admin", "--out", directory}).code, 0);
  const Outcome outcome =
      Program({PEERMESH_PROGRAM, "--address", "127.0.0.1:1", "--identity", directory, "status"})
          .Wait();
  EXPECT_EQ(outcome.code, 3);
  EXPECT_THAT(outcome.err, HasSubstr("127.0.0.1:1 cannot be reached"));
}

}  // namespace
}  // namespace peermesh::client
