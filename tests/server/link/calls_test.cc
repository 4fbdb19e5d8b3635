// Counts of calls by method: what the books say after calls that ended in every way.
#include "server/link/calls.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <numeric>
#include <thread>
#include <vector>

#include "tests/server/link/handlers.h"
#include "tests/server/link/harness.h"

namespace peermesh::link {
namespace {

constexpr char kUnary[] = "/calls.Test/Unary";
constexpr char kStream[] = "/calls.Test/Stream";
constexpr char kStrange[] = "/calls.Test/\"} 1\n";

CallFigures Figures(const CallBook& book, const std::string& method) {
  for (const CallFigures& one : book.Figures())
    if (one.method == method) return one;
  ADD_FAILURE() << "no " << method;
  return {};
}

std::uint64_t Ended(const CallFigures& call) {
  return std::accumulate(call.handled.begin(), call.handled.end(), std::uint64_t{0});
}

TEST(CallBookTest, AMethodThatNobodyRegisteredIsOther) {
  CallBook book;
  book.Register(kUnary, CallType::kUnary);
  const CallCount known(book, kUnary), strange(book, kStrange);
  strange.End(12);
  const auto all = book.Figures();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].service, "other");
  EXPECT_EQ(all[0].method, "other");
  EXPECT_EQ(all[0].started, 1u);
  EXPECT_EQ(all[0].handled[12], 1u);
  EXPECT_EQ(all[1].service, "calls.Test");
  EXPECT_EQ(all[1].method, "Unary");
  EXPECT_EQ(all[1].started, 1u);
  EXPECT_EQ(Ended(all[1]), 0u) << "it has not ended";
}

TEST(CallBookTest, TheSameMethodTwiceIsTheSame) {
  CallBook book;
  for (int i = 0; i < 3; ++i) book.Register(kUnary, CallType::kUnary);
  EXPECT_EQ(book.Figures().size(), 2u);
}

TEST(CallBookTest, ACodeThatIsNoneIsUnknown) {
  CallBook book;
  book.Register(kUnary, CallType::kUnary);
  for (const int code : {-1, 17, 1000}) CallCount(book, kUnary).End(code);
  EXPECT_EQ(Figures(book, "Unary").handled[2], 3u);
  EXPECT_STREQ(CodeName(2), "Unknown");
  EXPECT_STREQ(CodeName(1), "Canceled") << "as Go spells it";
  EXPECT_STREQ(CodeName(16), "Unauthenticated");
}

TEST(CallBookTest, BucketsAndTheirSumTellHowLongItTook) {
  CallBook book;
  book.Register(kUnary, CallType::kUnary);
  const CallCount slow(book, kUnary), quick(book, kUnary);
  quick.End(0);
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(2);
  while (std::chrono::steady_clock::now() < until) {
  }
  slow.End(0);
  const CallFigures call = Figures(book, "Unary");
  EXPECT_GE(call.seconds, 0.002);
  const std::uint64_t below_1ms = call.took[0] + call.took[1] + call.took[2];
  EXPECT_LE(below_1ms, 1u) << "the slow one is above";
  EXPECT_EQ(std::accumulate(call.took.begin(), call.took.end(), std::uint64_t{0}), 2u);
}

TEST(CallBookTest, NobodySeesMoreEndsThanBeginningsWhateverRuns) {
  CallBook book;
  book.Register(kUnary, CallType::kUnary);
  std::atomic<bool> over{false};
  std::vector<std::thread> callers;
  for (int i = 0; i < 2; ++i) {
    callers.emplace_back([&] {
      while (!over) CallCount(book, kUnary).End(0);
    });
  }
  for (int i = 0; i < 2'000; ++i) {
    const CallFigures call = Figures(book, "Unary");
    EXPECT_LE(Ended(call), call.started);
  }
  over = true;
  for (std::thread& caller : callers) caller.join();
  const CallFigures call = Figures(book, "Unary");
  EXPECT_EQ(Ended(call), call.started);
}

TEST(CallBookTest, NothingIsCountedForNoCall) {
  const CallCount none;
  none.Received();
  none.Sent();
  none.End(0);
}

// A server that answers as its caller asks for, and both books of the process.
class CallCountTest : public testing::Test {
 protected:
  CallCountTest() {
    CallBook::Served().Register(kUnary, CallType::kUnary);
    CallBook::Made().Register(kUnary, CallType::kUnary);
    CallBook::Served().Register(kStream, CallType::kBidiStream);
    CallBook::Made().Register(kStream, CallType::kBidiStream);
    RpcServerOptions options;
    options.name = "test";
    options.doors[0].on_call = [this](const auto& stream) {
      const auto recorder = std::make_shared<Recorder>(Recorder::Reading::kAlways);
      recorder->Attach(stream);
      stream->Accept(recorder);
      stream->Read();
      served_.With([&](auto& served) { served.push_back(recorder); });
    };
    server_ = std::make_unique<TestServer>(std::move(options));
    channel_ =
        grpc::CreateChannel("ipv4:" + server_->address(), grpc::InsecureChannelCredentials());
    for (const char* method : {"Unary", "Stream"}) {
      served_before_[method] = Figures(CallBook::Served(), method);
      made_before_[method] = Figures(CallBook::Made(), method);
    }
  }
  ~CallCountTest() override { server_->Stop(); }

  std::shared_ptr<Recorder> Call(const char* method) {
    const std::size_t before = served_.With([](auto& served) { return served.size(); });
    const auto recorder = std::make_shared<Recorder>(Recorder::Reading::kAlways);
    QueuePool& pool = server_->rpc().pool();
    recorder->Attach(Stream::Open(pool, pool.Next(), channel_, method, {}, recorder));
    recorder->stream().Write("hello");
    recorder->stream().Read();
    EXPECT_TRUE(served_.Wait([&](const auto& served) { return served.size() > before; }));
    return recorder;
  }
  Recorder& Served() {
    return *served_.With([](auto& served) { return served.back(); });
  }
  // What was added since the start; waits for the calls to end on both sides.
  static CallFigures Since(const CallBook& book, const std::string& method,
                           const CallFigures& before) {
    EXPECT_TRUE(Eventually([&] {
      const CallFigures now = Figures(book, method);
      return now.started == Ended(now);
    })) << method
        << " does not end";
    CallFigures now = Figures(book, method);
    now.started -= before.started;
    now.received -= before.received;
    now.sent -= before.sent;
    for (std::size_t i = 0; i < now.handled.size(); ++i) now.handled[i] -= before.handled[i];
    return now;
  }
  CallFigures ServedSince(const char* method) {
    return Since(CallBook::Served(), method, served_before_[method]);
  }
  CallFigures MadeSince(const char* method) {
    return Since(CallBook::Made(), method, made_before_[method]);
  }

  std::unique_ptr<TestServer> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::map<std::string, CallFigures> served_before_, made_before_;
  Watched<std::vector<std::shared_ptr<Recorder>>> served_;
};

TEST_F(CallCountTest, AUnaryCallIsOneMessageEachWay) {
  const auto call = Call(kUnary);
  ASSERT_TRUE(Served().WaitMessages(1));
  call->stream().HalfClose();
  Served().stream().Reply("welcome");
  ASSERT_TRUE(call->WaitClosed());
  for (const CallFigures& figures : {ServedSince("Unary"), MadeSince("Unary")}) {
    EXPECT_EQ(figures.started, 1u);
    EXPECT_EQ(figures.received, 1u);
    EXPECT_EQ(figures.sent, 1u) << "the answer that comes with the status";
    EXPECT_EQ(figures.handled[0], 1u);
  }
}

TEST_F(CallCountTest, AStreamCountsItsMessagesAndItsCode) {
  const auto call = Call(kStream);
  for (int i = 1; i <= 4; ++i) {
    ASSERT_TRUE(Served().WaitMessages(static_cast<std::size_t>(i)));
    Served().stream().Write("down");
    ASSERT_TRUE(call->WaitMessages(static_cast<std::size_t>(i)));
    ASSERT_TRUE(call->WaitWritten(i));
    call->stream().Write("up");
  }
  ASSERT_TRUE(Served().WaitMessages(5));
  ASSERT_TRUE(Served().WaitWritten(4));
  RpcStatus denied;
  denied.code = 7;
  Served().stream().Finish(denied);
  ASSERT_TRUE(call->WaitClosed());
  const CallFigures served = ServedSince("Stream"), made = MadeSince("Stream");
  EXPECT_EQ(served.received, 5u);
  EXPECT_EQ(served.sent, 4u);
  EXPECT_EQ(made.received, 4u);
  EXPECT_EQ(made.sent, 5u);
  EXPECT_EQ(served.handled[7], 1u);
  EXPECT_EQ(made.handled[7], 1u);
}

TEST_F(CallCountTest, ACallThatIsCancelledEndsSoOnBothSides) {
  const auto call = Call(kStream);
  call->stream().Cancel("enough");
  ASSERT_TRUE(call->WaitClosed());
  EXPECT_EQ(ServedSince("Stream").handled[1], 1u);
  EXPECT_EQ(MadeSince("Stream").handled[1], 1u);
}

TEST_F(CallCountTest, ACallToAnUnknownMethodIsOtherAndHasNoName) {
  const CallFigures before = CallBook::Served().Figures().front();
  const auto call = Call("/evil.Service/Name");
  RpcStatus unknown;
  unknown.code = 12;
  Served().stream().Finish(unknown);
  ASSERT_TRUE(call->WaitClosed());
  EXPECT_TRUE(Eventually(
      [&] { return CallBook::Served().Figures().front().handled[12] == before.handled[12] + 1; }));
  for (const CallFigures& one : CallBook::Served().Figures()) EXPECT_NE(one.method, "Name");
}

}  // namespace
}  // namespace peermesh::link
