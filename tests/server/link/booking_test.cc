// Calls, timers and links in the ledger: under which contract, and whose.
#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/grpcpp.h>

#include "server/link/kinds.h"
#include "tests/metrics/ledger/books.h"
#include "tests/server/link/handlers.h"
#include "tests/server/link/test_peer.h"

namespace peermesh::link {
namespace {

using ledger::Ended;
using ledger::Live;
using ledger::Outcome;
using ledger::PathsOf;
using testing::ElementsAre;
using testing::StartsWith;

constexpr char kPublish[] = "/peermesh.v1.MessagingService/Publish";
constexpr char kExchange[] = "/peermesh.v1.MessagingService/Exchange";

class CallBookingTest : public testing::Test {
 protected:
  CallBookingTest() {
    RpcServerOptions options;
    options.name = "test";
    options.doors[0].on_call = [this](const auto& stream) {
      const auto recorder = std::make_shared<Recorder>(Recorder::Reading::kAlways);
      recorder->Attach(stream);
      stream->Accept(recorder);
      stream->Read();
      served_.With([&](auto& served) { served.push_back(recorder); });
    };
    options.is_unary = [](const std::string& method) { return method == kPublish; };
    options.doors[0].scope_of = [this](const CallInfo& info, std::string label) {
      return server_->acceptor().ScopeFor("test", info.peer, ledger::ScopeType::kStream,
                                          std::move(label));
    };
    server_ = std::make_unique<TestServer>(std::move(options));
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    channel_ = grpc::CreateCustomChannel("ipv4:" + server_->address(),
                                         grpc::InsecureChannelCredentials(), arguments);
  }
  ~CallBookingTest() override { server_->Stop(); }

  std::shared_ptr<Recorder> Call(const char* method) {
    const std::size_t before = served_.With([](auto& served) { return served.size(); });
    const auto recorder = std::make_shared<Recorder>(Recorder::Reading::kByHand);
    QueuePool& pool = server_->rpc().pool();
    recorder->Attach(Stream::Open(pool, pool.Next(), channel_, method,
                                  {.metadata = {{"peermesh-client", "orders"}}}, recorder));
    recorder->stream().Write("");
    recorder->stream().Read();
    EXPECT_TRUE(served_.Wait([&](const auto& served) { return served.size() > before; }));
    return recorder;
  }
  std::shared_ptr<Recorder> Served() {
    return served_.With([](auto& served) { return served.back(); });
  }

  std::unique_ptr<TestServer> server_;
  std::shared_ptr<grpc::Channel> channel_;
  Watched<std::vector<std::shared_ptr<Recorder>>> served_;
};

TEST_F(CallBookingTest, AStreamNamesItsConnectionMethodClientAndLibrary) {
  const auto call = Call(kExchange);
  const std::string peer = server_->acceptor().Connections().front().peer;
  ASSERT_EQ(Live(kServerStream), 1u);
  EXPECT_EQ(Live(kServerCall), 0u);
  EXPECT_THAT(PathsOf(kServerStream).front(),
              StartsWith("client unproven > connection test " + peer +
                         " > stream Exchange, orders by grpc-c++/"));
  EXPECT_THAT(PathsOf(kClientStream), ElementsAre(std::string("stream ") + kExchange));
  EXPECT_EQ(Served()->stream().info().library.find(' '), std::string::npos);
  Served()->stream().Finish({});
  EXPECT_TRUE(call->WaitClosed());
  EXPECT_TRUE(Eventually([] { return Live(kServerStream) + Live(kClientStream) == 0; }));
}

TEST_F(CallBookingTest, AUnaryCallHasToEndSoon) {
  const std::uint64_t errors = Ended(kServerCall, Outcome::kError);
  const auto call = Call(kPublish);
  EXPECT_EQ(Live(kServerCall), 1u);
  EXPECT_EQ(Live(kServerStream), 0u);
  RpcStatus refused;
  refused.code = static_cast<int>(wire::Code::kUnavailable);
  Served()->stream().Finish(refused);
  EXPECT_TRUE(call->WaitClosed());
  EXPECT_TRUE(Eventually([&] { return Ended(kServerCall, Outcome::kError) == errors + 1; }));
}

TEST_F(CallBookingTest, ACancelledCallHasToComeBack) {
  const auto call = Call(kExchange);
  const std::uint64_t before = Ended(kCancelledCall, Outcome::kCancelled);
  const std::uint64_t streams = Ended(kClientStream, Outcome::kCancelled);
  call->stream().Cancel("enough");
  // The stream's own entry ends at once; another one waits for its tags.
  EXPECT_EQ(Ended(kClientStream, Outcome::kCancelled), streams + 1);
  EXPECT_TRUE(call->WaitClosed());
  EXPECT_TRUE(Eventually([&] { return Ended(kCancelledCall, Outcome::kCancelled) > before; }));
}

TEST(TimerBookingTest, ATimerIsOverdueWhenItsQueueIsStuck) {
  QueuePool pool("test");
  pool.AddClientQueues(1);
  Queue& queue = *pool.queues().front();
  const std::uint64_t cancelled = Ended(kTimer, Outcome::kCancelled);
  const auto timer = queue.SetTimer(Queue::Clock::now() + std::chrono::hours(1), [] {});
  const auto deadline = ledger::DeadlineOf(kTimer);
  ASSERT_TRUE(deadline);
  const auto left = *deadline - ledger::CoarseNow();
  EXPECT_GT(left, std::chrono::minutes(59));
  EXPECT_LE(left, std::chrono::minutes(60) + std::chrono::seconds(1));
  queue.CancelTimer(timer);
  EXPECT_EQ(Live(kTimer), 0u);
  EXPECT_EQ(Ended(kTimer, Outcome::kCancelled), cancelled + 1);

  // One that is due is booked until it has run.
  Watched<std::pair<bool, bool>> state;  // running, may end
  queue.SetTimer(Queue::Clock::now(), [&] {
    state.With([](auto& s) { s.first = true; });
    EXPECT_TRUE(state.Wait([](const auto& s) { return s.second; }));
  });
  ASSERT_TRUE(state.Wait([](const auto& s) { return s.first; }));
  EXPECT_EQ(Live(kTimer), 1u);
  state.With([](auto& s) { s.second = true; });
  EXPECT_TRUE(Eventually([] { return Live(kTimer) == 0; }));
  pool.Stop();
}

class LinkBookingTest : public testing::Test {
 protected:
  static std::optional<ledger::Time> LastUseOf(ledger::Kind kind, const std::string& path) {
    std::optional<ledger::Time> touched;
    ledger::Ledger::Process().Walk([&](const ledger::Item& item) {
      if (item.kind == kind && item.scope->Path() == path) touched = item.touched;
    });
    return touched;
  }

  TestMesh mesh_;
  TestPeer alpha_{mesh_, {.name = "alpha", .epoch = 11}};
  TestPeer beta_{mesh_, {.name = "beta", .epoch = 22}};
};

TEST_F(LinkBookingTest, ALinkBelongsToThePeerThatTlsNames) {
  const auto up = alpha_.Connect(beta_);
  ASSERT_TRUE(up);
  const std::string there = "peer " + OwnerLabel(beta_.credentials().self());
  const std::string here = "peer " + OwnerLabel(alpha_.credentials().self());
  EXPECT_THAT(there, testing::MatchesRegex("peer beta \\([a-z2-7]{8}\\)"));
  EXPECT_THAT(PathsOf(kLink), ElementsAre(here + " > connection link 1, accepted",
                                          there + " > connection link 1, dialled"));
  EXPECT_THAT(PathsOf(kChannel), ElementsAre(there + " > connection link 1, dialled",
                                             there + " > connection link 1, dialled"));
  EXPECT_EQ(Live(kClientStream), 2u);
  EXPECT_EQ(Live(kServerStream), 2u);
  EXPECT_EQ(Live(kDial) + Live(kHandshake), 0u) << "they are links now";
  alpha_.links().Perform(node::Close{up->ours.link});
  EXPECT_TRUE(Eventually([] { return Live(kLink) + Live(kChannel) + Live(kClientStream) == 0; }));
}

TEST_F(LinkBookingTest, EveryFrameThatComesIsAUseOfTheLink) {
  const auto up = alpha_.Connect(beta_);
  ASSERT_TRUE(up);
  const std::string path =
      "peer " + OwnerLabel(alpha_.credentials().self()) + " > connection link 1, accepted";
  const auto born = LastUseOf(kLink, path);
  ASSERT_TRUE(born);
  std::uint64_t sent = 0;
  EXPECT_TRUE(Eventually([&] {
    alpha_.links().Perform(node::SendControl{up->ours.link, node::Heartbeat{.number = ++sent}});
    return alpha_.WaitFor<node::SendDone>(sent) && LastUseOf(kLink, path) > born;
  }));
}

TEST_F(LinkBookingTest, ADialThatFailsIsAnErrorAndNothingStays) {
  const std::uint64_t before = Ended(kDial, Outcome::kError);
  alpha_.Dial("127.0.0.1:1");
  ASSERT_TRUE(alpha_.WaitFor<node::DialFailed>());
  EXPECT_EQ(Ended(kDial, Outcome::kError), before + 1);
  EXPECT_TRUE(Eventually([] { return Live(kChannel) + Live(kClientStream) == 0; }));
}

}  // namespace
}  // namespace peermesh::link
