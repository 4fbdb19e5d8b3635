// pub with many messages: what it does when something gets in its way.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <nlohmann/json.hpp>

#include "tests/client/cli/against_peer.h"

namespace peermesh::client {
namespace {

using testing::HasSubstr;
using ExchangeStream = ScriptedPeer::ExchangeStream;

class PubTest : public ProgramTest {
 protected:
  PubTest() {
    EXPECT_EQ(mkfifo(pipe_path().c_str(), 0600), 0);
    // Both ends, so that neither side waits and the input has no end.
    pipe_ = open(pipe_path().c_str(), O_RDWR | O_CLOEXEC);
  }
  ~PubTest() override { close(pipe_); }

  std::string pipe_path() const { return dir_.path() + "/lines"; }
  void Type(const std::string& text) {
    EXPECT_EQ(write(pipe_, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  // Publishes the lines that Type gives.
  Program Start() {
    return Program({PEERMESH_PROGRAM, "--socket", peer_.socket(), "pub", "a", "--lines", "--json",
                    "--file", pipe_path()});
  }
  static void Refuse(ExchangeStream& stream, std::uint64_t id, Duration retry) {
    v1::ExchangeResponse response;
    auto& published = *response.add_published();
    published.set_publish_id(id);
    published.mutable_error()->ParseFromString(
        RefusalOf(grpc::StatusCode::RESOURCE_EXHAUSTED, "RATE_LIMITED", "Too fast.", retry)
            .error_details());
    stream.Write(response);
  }
  static nlohmann::json ReportOf(const Outcome& outcome) {
    return nlohmann::json::parse(outcome.out.substr(0, outcome.out.find('\n')));
  }

  int pipe_ = -1;
};

TEST_F(PubTest, ItEndsAtOnceWhenThePeerGoesAway) {
  peer_.on_exchange = [](ExchangeStream& stream) {
    ScriptedPeer::Welcome(stream);
    ScriptedPeer::Answer(stream, ScriptedPeer::Read(stream).publish_id());
    v1::ExchangeResponse response;
    response.mutable_go_away()->set_reason("DRAINING");
    response.mutable_go_away()->mutable_grace()->set_seconds(60);
    stream.Write(response);
    ScriptedPeer::WaitForEnd(stream);
    return grpc::Status::OK;
  };
  peer_.Start();
  Program pub = Start();
  Type("one\n");
  const Outcome outcome = pub.Wait();
  EXPECT_EQ(outcome.code, 7);
  EXPECT_THAT(outcome.err, HasSubstr("[DRAINING]"));
  EXPECT_EQ(ReportOf(outcome)["messages"], "1");
}

TEST_F(PubTest, AfterABrokenConnectionNothingIsSentPastTheHole) {
  std::atomic<int> streams = 0;
  Log<std::string> sent;
  peer_.on_exchange = [&](ExchangeStream& stream) {
    ++streams;
    ScriptedPeer::Welcome(stream);
    for (int batch = 1;; ++batch) {
      const v1::ExchangeRequest request = ScriptedPeer::Read(stream);
      for (const auto& message : request.messages()) sent.Add(message.payload());
      if (batch == 2) return grpc::Status(grpc::StatusCode::UNAVAILABLE, "gone");
      ScriptedPeer::Answer(stream, request.publish_id());
    }
  };
  peer_.Start();
  std::string input;
  for (int i = 1; i <= 3000; ++i) input += std::to_string(i) + "\n";
  const Outcome json = Run({"pub", "a", "--lines", "--json"}, input);
  EXPECT_EQ(json.code, 3) << json.err;
  const auto report = ReportOf(json);
  EXPECT_EQ(report["messages"], "1024");
  EXPECT_EQ(report["unknown"], "1024");
  EXPECT_EQ(report["notPublished"], "952");
  EXPECT_EQ(streams, 1);
  for (int i = 1; i <= 2048; ++i) ASSERT_EQ(sent.Take(), std::to_string(i));
  EXPECT_TRUE(sent.empty());
  const Outcome text = Run({"pub", "a", "--lines"}, input);
  EXPECT_THAT(text.err, HasSubstr("Published 1024 messages"));
  EXPECT_THAT(text.err, HasSubstr("1024 more were sent and not answered"));
  EXPECT_THAT(text.err, HasSubstr("The last line accepted is number 1024."));
}

TEST_F(PubTest, ALimitOnTheRateIsWaitedOutInOrder) {
  Log<std::string> accepted;
  peer_.on_exchange = [&](ExchangeStream& stream) {
    ScriptedPeer::Welcome(stream);
    v1::ExchangeRequest request;
    for (int batch = 0; stream.Read(&request); ++batch) {
      if (request.messages_size() > 100) {
        Refuse(stream, request.publish_id(), Duration::zero());  // never
      } else if (batch % 2 == 0) {
        Refuse(stream, request.publish_id(), std::chrono::milliseconds(2));
      } else {
        for (const auto& message : request.messages()) accepted.Add(message.payload());
        ScriptedPeer::Answer(stream, request.publish_id());
      }
    }
    return grpc::Status::OK;
  };
  peer_.Start();
  std::string input;
  for (int i = 1; i <= 1500; ++i) input += std::to_string(i) + "\n";
  const Outcome outcome = Run({"pub", "a", "--lines"}, input);
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, testing::StartsWith("The peer limits how fast this may publish"));
  EXPECT_EQ(outcome.err.find("limits"), outcome.err.rfind("limits")) << "said once";
  for (int i = 1; i <= 1500; ++i) ASSERT_EQ(accepted.Take(), std::to_string(i));
  EXPECT_TRUE(accepted.empty());
}

TEST_F(PubTest, ALimitThatLetsNothingThroughExitsWith8) {
  peer_.on_exchange = [&](ExchangeStream& stream) {
    ScriptedPeer::Welcome(stream);
    v1::ExchangeRequest request;
    while (stream.Read(&request)) Refuse(stream, request.publish_id(), Duration::zero());
    return grpc::Status::OK;
  };
  peer_.Start();
  const Outcome outcome = Run({"pub", "a", "x", "--count", "9", "--json"});
  EXPECT_EQ(outcome.code, 8);
  EXPECT_EQ(ReportOf(outcome)["notPublished"], "9");
}

TEST_F(PubTest, ASignalEndsItWithAReportOfWhatWasAccepted) {
  Log<std::string> payloads;
  ScriptTaking(payloads);
  peer_.Start();
  for (const auto& [number, code] : {std::pair{SIGINT, 130}, std::pair{SIGTERM, 143}}) {
    Program pub = Start();
    Type("1\n2\n3\n");
    for (int i = 1; i <= 3; ++i) payloads.Take();
    pub.Signal(number);
    const Outcome outcome = pub.Wait();
    EXPECT_EQ(outcome.code, code);
    EXPECT_EQ(ReportOf(outcome)["messages"], "3") << outcome.err;
  }
}

TEST_F(PubTest, ASignalDoesNotWaitForAnAnswerThatDoesNotCome) {
  Log<std::string> payloads;
  peer_.on_exchange = [&](ExchangeStream& stream) {
    ScriptedPeer::Welcome(stream);
    payloads.Add(ScriptedPeer::Read(stream).messages(0).payload());
    ScriptedPeer::WaitForEnd(stream);
    return grpc::Status::OK;
  };
  peer_.Start();
  Program pub = Start();
  Type("1\n");
  payloads.Take();
  pub.Signal(SIGTERM);
  const Outcome outcome = pub.Wait();
  EXPECT_EQ(outcome.code, 143);
  EXPECT_EQ(ReportOf(outcome)["unknown"], "1");
}

TEST_F(PubTest, ALineThatIsTooLongIsNamedAndThoseBeforeItArePublished) {
  Log<std::string> payloads;
  ScriptTaking(payloads);
  peer_.Start();
  const Outcome outcome =
      Run({"pub", "a", "--lines"}, "one\ntwo\n" + std::string(2 << 20, 'x') + "\nfour\n");
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("Line 3 of the input is too large."));
  EXPECT_EQ(payloads.Take(), "one");
  EXPECT_EQ(payloads.Take(), "two");
  EXPECT_TRUE(payloads.empty());
}

}  // namespace
}  // namespace peermesh::client
