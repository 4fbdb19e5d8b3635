// The program itself, run as users run it, against a scripted peer.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "tests/client/cli/against_peer.h"

namespace peermesh::client {
namespace {

using testing::HasSubstr;
using ExchangeStream = ScriptedPeer::ExchangeStream;

TEST_F(ProgramTest, UsageErrorsExitWith2) {
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{},
                                             {"nonsense"},
                                             {"pub"},
                                             {"sub"},
                                             {"token"},
                                             {"sub", "a", "--timeout", "soon"},
                                             {"sub", "a", "--on-overflow", "panic"},
                                             {"pub", "a", "--lines", "text"},
                                             {"pub", "a", "--rate", "0", "x"},
                                             {"pub", "a", "--count", "0", "x"},
                                             {"pub", "a", "--count", "-1", "x"},
                                             {"sub", "a", "--count", "-1"},
                                             {"sub", "a", "--count", "1x"},
                                             {"sub", "a", "--block-timeout", "61s"},
                                             {"sub", "a..b"},
                                             {"pub", "a..b", "--lines"},
                                             {"--address", "127.0.0.1", "--identity", "x", "peers"},
                                             {"--address", "h:1", "token", "ls"},
                                             {"--identity", "x", "peers"},
                                             {"up", "--join", "/tmp"},
                                             {"--socket", "a", "--address", "b:1", "peers"},
                                             {"client", "add", "Not_A_Name"},
                                             {"up", "--join", "pm1.aaaa.bbbb.cccc.dddd@host:1"}}) {
    const Outcome outcome = Alone(arguments);
    EXPECT_EQ(outcome.code, 2) << testing::PrintToString(arguments) << outcome.err;
    EXPECT_EQ(outcome.out, "");
    EXPECT_THAT(outcome.err, testing::StartsWith("peermesh: "));
  }
}

TEST_F(ProgramTest, HelpNamesTheExitCodes) {
  const Outcome outcome = Alone({"--help"});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_THAT(outcome.out, testing::ContainsRegex("\n  3 +cannot reach the peer\n"));
  EXPECT_EQ(Alone({"sub", "--help"}).code, 0);
  EXPECT_EQ(Alone({"--version"}).out, "peermesh " PEERMESH_VERSION "\n");
}

TEST_F(ProgramTest, WithoutAPeerItExitsWith3AndSaysWhatToDo) {
  const Outcome outcome = Run({"peers"});
  EXPECT_EQ(outcome.code, 3);
  EXPECT_THAT(outcome.err, HasSubstr(peer_.socket()));
  EXPECT_THAT(outcome.err, HasSubstr("peermesh up"));
  EXPECT_EQ(Alone({"--data-dir", dir_.path(), "health"}).code, 3);
  EXPECT_EQ(Alone({"--data-dir", dir_.path(), "token", "ls"}).code, 3);
}

TEST_F(ProgramTest, APeerNamedByAnOptionIsNotMixedWithOneOfTheEnvironment) {
  peer_.on_list = [](v1::ListPeersResponse&) { return grpc::Status::OK; };
  peer_.Start();
  EXPECT_EQ(Alone({"--socket", peer_.socket(), "peers"}, {"PEERMESH_ADDRESS=localhost:1"}).code, 0);
  EXPECT_EQ(Alone({"peers"}, {"PEERMESH_SOCKET=" + peer_.socket()}).code, 0);
  EXPECT_EQ(Alone({"peers"}, {"PEERMESH_DATA_DIR=" + dir_.path()}).code, 3);
}

TEST_F(ProgramTest, PeersPrintsATableOrJson) {
  peer_.on_list = [](v1::ListPeersResponse& response) {
    auto& peer = *response.add_peers();
    peer.set_name("alpha");
    peer.set_id("abcdefghijklmnop");
    peer.set_state(v1::PEER_STATE_SUSPECT);
    peer.set_reason("HEARTBEAT_TIMEOUT");
    peer.set_connection(v1::CONNECTION_STATE_CONNECTED);
    peer.set_link_direction(v1::LINK_DIRECTION_INBOUND);
    peer.add_addresses("10.0.0.1:7443");
    return grpc::Status::OK;
  };
  peer_.Start();
  const Outcome table = Run({"peers"});
  EXPECT_EQ(table.code, 0) << table.err;
  EXPECT_THAT(table.out, testing::StartsWith("NAME "));
  EXPECT_THAT(table.out,
              HasSubstr("\nalpha  abcdefgh  10.0.0.1:7443  suspect (heartbeat_timeout)"));
  EXPECT_THAT(table.out, HasSubstr("connected in"));
  const auto json = nlohmann::json::parse(Run({"peers", "--json"}).out);
  EXPECT_EQ(json["peers"][0]["state"], "PEER_STATE_SUSPECT");
}

TEST_F(ProgramTest, AnUnknownPeerExitsWith5) {
  peer_.on_list = [](v1::ListPeersResponse&) { return grpc::Status::OK; };
  peer_.on_publish = [](const v1::PublishRequest&, v1::PublishResponse&) {
    return RefusalOf(grpc::StatusCode::NOT_FOUND, "UNKNOWN_PEER", "No such peer.");
  };
  peer_.Start();
  EXPECT_EQ(Run({"peers", "gamma"}).code, 5);
  const Outcome outcome = Run({"send", "gamma", "hi"});
  EXPECT_EQ(outcome.code, 5);
  EXPECT_EQ(outcome.err, "peermesh: No such peer. [UNKNOWN_PEER]\n");
}

TEST_F(ProgramTest, WatchShowsTheTableThenNewsUntilItIsStopped) {
  peer_.on_watch = [](ScriptedPeer::WatchStream& stream) {
    v1::WatchPeersRequest request;
    stream.Read(&request);
    v1::WatchPeersResponse response;
    auto& event = *response.add_events();
    event.set_type(v1::PEER_EVENT_TYPE_UPSERTED);
    event.mutable_peer()->set_id("a");
    event.mutable_peer()->set_name("alpha");
    event.mutable_peer()->set_state(v1::PEER_STATE_ALIVE);
    response.set_synced(true);
    stream.Write(response);
    response.set_synced(false);
    stream.Write(response);  // no news
    event.mutable_peer()->set_state(v1::PEER_STATE_DEAD);
    stream.Write(response);
    while (stream.Read(&request)) continue;
    return grpc::Status::OK;
  };
  peer_.Start();
  for (const auto& [number, code] : {std::pair{SIGTERM, 0}, std::pair{SIGINT, 130}}) {
    Program program({PEERMESH_PROGRAM, "--socket", peer_.socket(), "peers", "--watch"});
    program.AwaitOutput("alpha  dead");
    program.Signal(number);
    const Outcome outcome = program.Wait();
    EXPECT_EQ(outcome.code, code);
    EXPECT_THAT(outcome.out, testing::StartsWith("NAME "));
    EXPECT_EQ(std::count(outcome.out.begin(), outcome.out.end(), '\n'), 3) << outcome.out;
  }
}

TEST_F(ProgramTest, PubPublishesOneMessage) {
  peer_.on_publish = [](const v1::PublishRequest& request, v1::PublishResponse& response) {
    EXPECT_EQ(request.messages_size(), 1);
    EXPECT_EQ(request.messages(0).subject(), "hello.world");
    EXPECT_EQ(request.messages(0).payload(), "hi");
    response.set_interested_peers(2);
    return grpc::Status::OK;
  };
  peer_.Start();
  const Outcome argument = Run({"pub", "hello.world", "hi"});
  EXPECT_EQ(argument.code, 0) << argument.err;
  EXPECT_EQ(argument.err, "");
  EXPECT_EQ(Run({"pub", "hello.world", "-"}, "hi").code, 0);
  EXPECT_EQ(Run({"pub", "hello.world"}, "hi").code, 0);
  EXPECT_EQ(
      nlohmann::json::parse(Run({"pub", "hello.world", "hi", "--json"}).out)["interestedPeers"], 2);
}

TEST_F(ProgramTest, SendUsesTheTargetAndTheSubjectDirect) {
  peer_.on_publish = [](const v1::PublishRequest& request, v1::PublishResponse& response) {
    EXPECT_EQ(request.target(), "beta");
    EXPECT_EQ(request.messages(0).subject(), "direct");
    response.set_interested_peers(1);
    return grpc::Status::OK;
  };
  peer_.Start();
  EXPECT_EQ(Run({"send", "beta", "hi"}).code, 0);
}

TEST_F(ProgramTest, RefusalsMapToTheirExitCodes) {
  grpc::Status refusal;
  peer_.on_publish = [&refusal](const v1::PublishRequest&, v1::PublishResponse&) {
    return refusal;
  };
  peer_.Start();
  const auto code = [&](grpc::StatusCode status, const char* reason, Duration retry = {}) {
    refusal = RefusalOf(status, reason, "No.", retry);
    return Run({"pub", "a", "x"}).code;
  };
  EXPECT_EQ(code(grpc::StatusCode::PERMISSION_DENIED, "ROLE_REQUIRED"), 4);
  EXPECT_EQ(code(grpc::StatusCode::DEADLINE_EXCEEDED, "TOO_LATE"), 6);
  EXPECT_EQ(code(grpc::StatusCode::UNAVAILABLE, "DRAINING"), 7);
  EXPECT_EQ(
      code(grpc::StatusCode::RESOURCE_EXHAUSTED, "RATE_LIMITED", std::chrono::milliseconds(10)), 8);
  EXPECT_EQ(code(grpc::StatusCode::FAILED_PRECONDITION, "NO_SUBSCRIBERS"), 1);
}

TEST_F(ProgramTest, PubLinesPublishesEveryLineInOrder) {
  Log<std::string> payloads;
  ScriptTaking(payloads);
  peer_.Start();
  constexpr int kLines = 5000;
  std::string input;
  for (int i = 0; i < kLines; ++i) input += std::to_string(i) + "\n";
  const Outcome outcome = Run({"pub", "a", "--lines", "--json"}, input);
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(nlohmann::json::parse(outcome.out)["messages"], std::to_string(kLines));
  for (int i = 0; i < kLines; ++i) ASSERT_EQ(payloads.Take(), std::to_string(i));
  EXPECT_TRUE(payloads.empty());
}

TEST_F(ProgramTest, PubCountRepeatsAMessageAtARate) {
  Log<std::string> payloads;
  ScriptTaking(payloads);
  peer_.Start();
  const Outcome outcome = Run({"pub", "a", "x", "--count", "21", "--rate", "200", "--json"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  for (int i = 0; i < 21; ++i) ASSERT_EQ(payloads.Take(), "x");
  EXPECT_GE(nlohmann::json::parse(outcome.out)["seconds"].get<double>(), 0.09)
      << "ten slices of two";
}

TEST_F(ProgramTest, SubRawPrintsPayloadsAlone) {
  ScriptDelivering(3);
  peer_.Start();
  const Outcome outcome = Run({"sub", "a.*", "--raw", "--count", "3"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "1\n2\n3\n");
  EXPECT_EQ(outcome.err, "Subscribed.\n");
}

TEST_F(ProgramTest, SubPrintsWhoSentWhatOrJson) {
  ScriptDelivering(1);
  peer_.Start();
  EXPECT_EQ(Run({"sub", "a.*", "--count", "1"}).out, "a.b [beta #1] 1\n");
  const auto json = nlohmann::json::parse(Run({"sub", "a.*", "--count", "1", "--json"}).out);
  EXPECT_EQ(json["subject"], "a.b");
  EXPECT_EQ(json["payload"], "MQ==");
  EXPECT_EQ(json["originName"], "beta");
  EXPECT_EQ(json["sequence"], "1");
}

TEST_F(ProgramTest, ALossInRawModeIsAnErrorUnlessAllowed) {
  ScriptDelivering(2, true);
  peer_.Start();
  const Outcome outcome = Run({"sub", "a.*", "--raw", "--count", "2"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_EQ(outcome.out, "1\n2\n");
  EXPECT_THAT(outcome.err, HasSubstr("slow_subscriber"));
  EXPECT_EQ(Run({"sub", "a.*", "--raw", "--count", "2", "--allow-gaps"}).code, 0);
  EXPECT_EQ(Run({"sub", "a.*", "--count", "2"}).code, 0);
}

TEST_F(ProgramTest, SubTimesOutWith6OnlyIfACountIsMissed) {
  ScriptDelivering(1);
  peer_.Start();
  EXPECT_EQ(Run({"sub", "a.*", "--count", "2", "--timeout", "50ms"}).code, 6);
  EXPECT_EQ(Run({"sub", "a.*", "--timeout", "50ms"}).code, 0);
}

TEST_F(ProgramTest, SubWritesOutWhatItHasWhenItIsStopped) {
  ScriptDelivering(1);
  peer_.Start();
  for (const auto& [number, code] : {std::pair{SIGTERM, 0}, std::pair{SIGINT, 130}}) {
    Program program({PEERMESH_PROGRAM, "--socket", peer_.socket(), "sub", "a.*", "--raw"});
    program.AwaitError("Subscribed.");
    program.Signal(number);
    EXPECT_EQ(program.Wait().code, code);
  }
}

TEST_F(ProgramTest, SignalsThatComeTogetherAreOne) {
  peer_.on_exchange = [](ExchangeStream& stream) {
    ScriptedPeer::Welcome(stream);
    ScriptedPeer::Confirm(stream);
    v1::ExchangeRequest request;
    while (stream.Read(&request)) {
    }
    return grpc::Status::OK;
  };
  peer_.Start();
  Program program({PEERMESH_PROGRAM, "--socket", peer_.socket(), "sub", "a.*"});
  program.AwaitError("Subscribed.");
  program.Signal(SIGTERM);
  program.Signal(SIGTERM);
  EXPECT_EQ(program.Wait().code, 0);
}

TEST_F(ProgramTest, ARawSubscriptionEndsWhenThePeerDoes) {
  peer_.on_exchange = [](ExchangeStream& stream) {
    ScriptedPeer::Welcome(stream);
    ScriptedPeer::Confirm(stream);
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "gone");
  };
  peer_.Start();
  EXPECT_EQ(Run({"sub", "a", "--raw"}).code, 3);
}

TEST_F(ProgramTest, HealthAsksTheHealthService) {
  peer_.Start();
  const Outcome outcome = Run({"health"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "serving\n");
  EXPECT_EQ(Run({"health", "--service", "no.such.Service"}).code, 5);
}

TEST_F(ProgramTest, HealthWaitsForAPeerThatStarts) {
  Program early({PEERMESH_PROGRAM, "--socket", peer_.socket(), "health", "--wait", "60s"});
  peer_.Start();
  EXPECT_EQ(early.Wait().code, 0);
  EXPECT_EQ(Alone({"--data-dir", dir_.path(), "health", "--wait", "100ms"}).code, 3);
}

TEST_F(ProgramTest, StatusAndDrainUseTheAdminService) {
  std::atomic<std::int64_t> grace = 0;
  peer_.on_status = [](v1::GetStatusResponse& response) {
    response.set_peer_name("alpha");
    response.set_readiness(v1::READINESS_READY);
    return grpc::Status::OK;
  };
  peer_.on_drain = [&grace](const v1::DrainRequest& request) {
    grace = request.grace().seconds();
    return grpc::Status::OK;
  };
  peer_.Start();
  EXPECT_THAT(Run({"status"}).out, HasSubstr("\nstate        ready, up "));
  EXPECT_EQ(nlohmann::json::parse(Run({"status", "--json"}).out)["peerName"], "alpha");
  EXPECT_EQ(Run({"drain", "--no-wait", "--grace", "1m"}).code, 0);
  EXPECT_EQ(grace, 60);
}

TEST_F(ProgramTest, AStandardFileThatIsFullOrClosedIsAnErrorAndNeverAnotherFile) {
  peer_.on_list = [](v1::ListPeersResponse&) { return grpc::Status::OK; };
  peer_.on_publish = [](const v1::PublishRequest&, v1::PublishResponse&) {
    ADD_FAILURE() << "nothing was read";
    return grpc::Status::OK;
  };
  peer_.Start();
  EXPECT_EQ(Shell("peers --json >/dev/full"), 1);
  EXPECT_EQ(Shell("peers >&- 2>err"), 1);
  EXPECT_THAT(Slurp(dir_.path() + "/err"), HasSubstr("Bad file descriptor"));
  EXPECT_EQ(Shell("peers 0<&- >/dev/null 2>&-"), 0);
  EXPECT_EQ(Shell("pub a <&- 2>err"), 1);
  EXPECT_THAT(Slurp(dir_.path() + "/err"), HasSubstr("Bad file descriptor"));
  EXPECT_EQ(Shell("send nobody 2>&- <&-"), 1);
}

TEST_F(ProgramTest, ASubscriptionWithoutAReaderDoesNotWaitForTheNextMessage) {
  ScriptDelivering(1);
  peer_.Start();
  EXPECT_EQ(Shell("sub a 2>err | head -n 1 >/dev/null; exit ${PIPESTATUS[0]}"), 141);
  EXPECT_EQ(Slurp(dir_.path() + "/err"), "Subscribed.\n");
}

TEST_F(ProgramTest, ASubscriptionThatIsStoppedShortOfItsCountFails) {
  ScriptDelivering(1);
  peer_.Start();
  for (const auto& [number, code] : {std::pair{SIGTERM, 143}, std::pair{SIGHUP, 129}}) {
    Program program({PEERMESH_PROGRAM, "--socket", peer_.socket(), "sub", "a.*", "--count", "2"});
    program.AwaitError("Subscribed.");
    program.Signal(number);
    EXPECT_EQ(program.Wait().code, code);
  }
}

TEST_F(ProgramTest, AShortPrefixNamesNobody) {
  peer_.on_list = [](v1::ListPeersResponse& response) {
    response.add_peers()->set_name("b1");
    response.mutable_peers(0)->set_id("abcdefghijklmnop");
    return grpc::Status::OK;
  };
  peer_.Start();
  EXPECT_EQ(Run({"peers", "abc"}).code, 5) << "as for a target of pub and send";
  EXPECT_EQ(Run({"peers", "abcd"}).code, 0);
  EXPECT_EQ(Run({"peers", "b1"}).code, 0);
}

}  // namespace
}  // namespace peermesh::client
