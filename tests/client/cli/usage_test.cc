// What a mistake on the command line is told.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/client/cli/against_peer.h"

namespace peermesh::client {
namespace {

using testing::HasSubstr;

using UsageTest = ProgramTest;

TEST_F(UsageTest, AnEmptyValueIsNotTakenForNone) {
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"send", "", "secret"},
                                             {"pub", "a", "--target", "", "x"},
                                             {"pub", "a", "--target=", "x"},
                                             {"--data-dir", "", "status"},
                                             {"--data-dir=", "status"},
                                             {"--address", "", "peers"},
                                             {"--identity", "", "peers"},
                                             {"peers", ""},
                                             {"sub", ""},
                                             {"up", "--join", ""},
                                             {"token", "create", "--name", ""}}) {
    const Outcome outcome = Alone(arguments);
    EXPECT_EQ(outcome.code, 2) << testing::PrintToString(arguments) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr("is empty."));
  }
}

TEST_F(UsageTest, AnEmptyMessageIsOne) {
  peer_.on_publish = [](const v1::PublishRequest& request, v1::PublishResponse& response) {
    EXPECT_EQ(request.messages(0).payload(), "");
    response.set_interested_peers(1);
    return grpc::Status::OK;
  };
  peer_.Start();
  EXPECT_EQ(Run({"pub", "a", ""}).code, 0);
}

TEST_F(UsageTest, AMistypedWordIsNamedWithWhatWasMeant) {
  using Case = std::pair<std::vector<std::string>, std::string>;
  for (const auto& [arguments, said] : {
           Case{{"peer"}, "no command \"peer\". Did you mean \"peers\"? See \"peermesh --help\"."},
           Case{{"token", "rovoke"}, "Did you mean \"revoke\"? See \"peermesh token --help\"."},
           Case{{"frobnicate"}, "no command \"frobnicate\". See"},
           Case{{"token"}, "needs a command: create, ls, revoke."},
           Case{{"sub", "a", "--cuont", "3"}, "no option --cuont. Did you mean \"--count\"?"},
           Case{{"pub", "a", "x", "y"}, "\"y\" is one word too many."},
           Case{{"pub", "a", "-hello"}, "Write -- before a message that begins with -."},
           Case{{"sub", "a", "--count"}, "--count needs a value."},
           Case{{"sub", "a", "--on-overflow", "drop"}, "neither gap, block nor close: drop."},
           Case{{"up", "--listen", "a:1", "--listen", "b:1"}, "--listen is given more than once."},
           Case{{"--socket", "a", "--address", "b:1", "peers"}, "Both --socket and --address"},
           Case{{"pub"}, "SUBJECT is required. See \"peermesh pub --help\"."},
       }) {
    const Outcome outcome = Alone(arguments);
    EXPECT_EQ(outcome.code, 2);
    EXPECT_THAT(outcome.err, HasSubstr(said));
  }
}

TEST_F(UsageTest, AMessageMayBeginWithADash) {
  peer_.on_publish = [](const v1::PublishRequest& request, v1::PublishResponse& response) {
    EXPECT_EQ(request.messages(0).payload(), "-hello");
    response.set_interested_peers(1);
    return grpc::Status::OK;
  };
  peer_.Start();
  EXPECT_EQ(Run({"pub", "a", "--", "-hello"}).code, 0);
  EXPECT_EQ(Run({"pub", "a", "-hello"}).code, 2) << "no help, and nothing published";
  EXPECT_EQ(Alone({"-h"}).out, Alone({"--help"}).out);
  EXPECT_EQ(Alone({"peers", "-h"}).out, Alone({"peers", "--help"}).out);
}

TEST_F(UsageTest, WithJsonAnErrorIsAnObject) {
  peer_.on_publish = [](const v1::PublishRequest&, v1::PublishResponse&) {
    return RefusalOf(grpc::StatusCode::RESOURCE_EXHAUSTED, "RATE_LIMITED", "Too fast.",
                     std::chrono::milliseconds(250));
  };
  peer_.Start();
  const Outcome refused = Run({"--json", "pub", "a", "x"});
  EXPECT_EQ(refused.code, 8);
  const auto error = nlohmann::json::parse(refused.out)["error"];
  EXPECT_EQ(error["code"], "RESOURCE_EXHAUSTED");
  EXPECT_EQ(error["reason"], "RATE_LIMITED");
  EXPECT_EQ(error["message"], "Too fast. Try again in 250 ms.");
  EXPECT_EQ(error["retryDelay"], "0.250000s");
  EXPECT_THAT(refused.err, HasSubstr("Too fast.")) << "people read it still";
  for (const std::vector<std::string>& mistake :
       std::vector<std::vector<std::string>>{{"peer", "--json"}, {"sub", "a", "--raw", "--json"}}) {
    const Outcome outcome = Alone(mistake);
    EXPECT_EQ(outcome.code, 2);
    EXPECT_EQ(nlohmann::json::parse(outcome.out)["error"]["reason"], "USAGE");
  }
}

TEST_F(UsageTest, WhatIsTooLargeHasOneReasonAndOneCode) {
  peer_.on_publish = [](const v1::PublishRequest&, v1::PublishResponse&) {
    return grpc::Status::OK;
  };
  peer_.Start();
  constexpr std::size_t kMiB = 1 << 20;
  for (const std::size_t bytes : {kMiB - 6, kMiB, kMiB + 1, 2 * kMiB}) {
    const Outcome outcome = Run({"pub", "a"}, std::string(bytes, 'x'));
    EXPECT_EQ(outcome.code, 1) << bytes;
    EXPECT_THAT(outcome.err, HasSubstr("[MESSAGE_TOO_LARGE]")) << bytes;
  }
  EXPECT_EQ(Run({"pub", "a"}, std::string(kMiB - 7, 'x')).code, 0) << "3 for the subject, 4 more";
}

}  // namespace
}  // namespace peermesh::client
