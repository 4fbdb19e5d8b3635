// What gRPC has and nobody booked is found, and what an honest load does is not.
#include "server/observe/grpc_books.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "peermesh/v1/peers.grpc.pb.h"
#include "server/link/channelz.h"
#include "server/link/health.h"
#include "server/link/kinds.h"
#include "server/tls/channel.h"
#include "tests/metrics/ledger/virtual_time.h"
#include "tests/server/link/handlers.h"
#include "tests/server/link/harness.h"

namespace peermesh {
namespace {

using ledger::Rule;
using link::Eventually;
using link::kPatience;
using link::QueuePool;
using link::Recorder;
using link::RpcServerOptions;
using link::Stream;
using link::TestServer;
using testing::HasSubstr;

constexpr char kMethod[] = "/books.Test/Call";  // left open
constexpr char kBrief[] = "/books.Test/Brief";  // answered at once

// Takes calls and never answers: the mistake to be found.
class Forgetful final : public v1::PeersService::CallbackService {
 public:
  grpc::ServerUnaryReactor* ListPeers(grpc::CallbackServerContext* context,
                                      const v1::ListPeersRequest*,
                                      v1::ListPeersResponse*) override {
    class Reactor final : public grpc::ServerUnaryReactor {
      void OnDone() override { delete this; }
    };
    (void)context;
    auto* reactor = new Reactor;
    const std::lock_guard lock(mutex_);
    forgotten_.push_back(reactor);
    return reactor;
  }
  // So that the server can end after all.
  void Remember() {
    const std::lock_guard lock(mutex_);
    for (auto* reactor : forgotten_) reactor->Finish(grpc::Status::OK);
    forgotten_.clear();
  }
  std::size_t forgotten() {
    const std::lock_guard lock(mutex_);
    return forgotten_.size();
  }

 private:
  std::mutex mutex_;
  std::vector<grpc::ServerUnaryReactor*> forgotten_;
};

class GrpcBooksTest : public testing::Test {
 protected:
  GrpcBooksTest() {
    RpcServerOptions options;
    options.name = "test";
    options.services = {&forgetful_};
    options.doors[0].on_call = [this](const auto& stream) {
      if (stream->info().method == kBrief) return stream->Finish({});
      const auto recorder = std::make_shared<Recorder>(Recorder::Reading::kAlways);
      recorder->Attach(stream);
      stream->Accept(recorder);
      stream->Read();
      served_.With([&](auto& served) { served.push_back(recorder); });
    };
    server_ = std::make_unique<TestServer>(std::move(options));
    pool_.AddClientQueues(1);
  }
  ~GrpcBooksTest() override {
    forgetful_.Remember();
    pool_.CancelAll("over");
    EXPECT_TRUE(pool_.WaitUntilIdle(link::Queue::Clock::now() + kPatience));
    pool_.Stop();
    server_->Stop();
  }

  // As the factory makes it: booked for as long as it is held.
  std::shared_ptr<grpc::Channel> Booked() const {
    const auto booking =
        std::make_shared<ledger::Handle>(ledger::Handle(link::kChannel, ledger::Scope{}));
    const auto channel = Raw();
    return {channel.get(), [booking, channel](grpc::Channel*) {}};
  }
  std::shared_ptr<grpc::Channel> Raw() const {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return tls::MakeChannel("ipv4:" + server_->address(), grpc::InsecureChannelCredentials(),
                            arguments);
  }
  std::shared_ptr<Recorder> Call(const std::shared_ptr<grpc::Channel>& channel,
                                 std::string_view method = kMethod) {
    const auto call = std::make_shared<Recorder>(Recorder::Reading::kAlways);
    call->Attach(Stream::Open(pool_, pool_.Next(), channel, std::string(method), {}, call));
    call->stream().Write("");
    call->stream().Read();
    return call;
  }
  bool Served(std::size_t count) {
    return served_.Wait([count](const auto& served) { return served.size() >= count; });
  }

  void Sweep() {
    ledger::virtual_now += ledger::kSweepEvery;
    auditor_.Sweep();
  }
  // Long enough for any skew to be confirmed.
  void Pass() {
    const auto end = ledger::virtual_now + ledger::kSkewFor + 3 * ledger::kSweepEvery;
    while (ledger::virtual_now < end) Sweep();
  }
  std::optional<ledger::Verdict> Find(const std::string& kind) const {
    for (const ledger::Verdict& verdict : auditor_.verdicts())
      if (verdict.rule == Rule::kRpcSkew && verdict.kind == kind) return verdict;
    return std::nullopt;
  }

  Forgetful forgetful_;
  std::unique_ptr<TestServer> server_;
  QueuePool pool_{"client"};
  link::Watched<std::vector<std::shared_ptr<Recorder>>> served_;
  GrpcBooks books_;
  ledger::Ledger quiet_{&ledger::VirtualNow};  // its clock is the auditor's
  ledger::Auditor auditor_{quiet_, {.rpcs = [this] { return books_.Compare(); }}};
};

TEST_F(GrpcBooksTest, AChannelThatNobodyBookedIsFoundAndCleared) {
  auto raw = Raw();
  const auto booked = Booked();
  for (int i = 0; i < 30; ++i) Sweep();
  EXPECT_FALSE(Find("channel")) << "not before its minute";
  Pass();
  const auto found = Find("channel");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->count, 1u);
  EXPECT_TRUE(found->alerts());
  EXPECT_EQ(found->tier(), ledger::Tier::kStrong);
  EXPECT_THAT(found->because, HasSubstr("gRPC counts 2 of them, the ledger 1"));
  raw.reset();
  ASSERT_TRUE(Eventually([] { return link::CountChannelz().channels == 1; }));
  Sweep();
  ASSERT_TRUE(Find("channel"));
  EXPECT_EQ(Find("channel")->state, ledger::State::kCleared);
}

TEST_F(GrpcBooksTest, AChannelForEachCallIsFoundWithTheirNumber) {
  std::vector<std::shared_ptr<grpc::Channel>> forgotten;
  for (std::size_t i = 1; i <= 20; ++i) {
    forgotten.push_back(Raw());
    const auto call = Call(forgotten.back());
    ASSERT_TRUE(Served(i));
    call->stream().Cancel("answered");
    ASSERT_TRUE(call->WaitClosed());
  }
  Pass();
  ASSERT_TRUE(Find("channel"));
  EXPECT_EQ(Find("channel")->count, 20u);
  EXPECT_FALSE(Find("rpc_client")) << "the calls have ended";
  EXPECT_FALSE(Find("connection")) << "the connections are known";
}

TEST_F(GrpcBooksTest, ACallThatIsNeverFinishedIsFound) {
  const auto channel = Booked();
  for (int i = 0; i < 2; ++i) Call(channel, "/peermesh.v1.PeersService/ListPeers");
  const auto honest = Call(channel);
  ASSERT_TRUE(Served(1));
  ASSERT_TRUE(Eventually([&] { return forgetful_.forgotten() == 2; }));
  Pass();
  ASSERT_TRUE(Find("rpc_server"));
  EXPECT_EQ(Find("rpc_server")->count, 2u);
  EXPECT_TRUE(Find("rpc_server")->alerts());
  EXPECT_FALSE(Find("rpc_client")) << "they are streams of ours";
  forgetful_.Remember();
  ASSERT_TRUE(Eventually([] { return link::CountChannelz().served_open == 1; }));
  Sweep();
  EXPECT_EQ(Find("rpc_server")->state, ledger::State::kCleared);
}

TEST_F(GrpcBooksTest, ACallOfOursThatNobodyBookedIsFound) {
  const auto channel = Booked();
  const auto stub = v1::PeersService::NewStub(channel);
  grpc::ClientContext context;
  v1::ListPeersRequest request;
  v1::ListPeersResponse response;
  std::atomic<bool> over{false};
  stub->async()->ListPeers(&context, &request, &response,
                           [&](const grpc::Status&) { over = true; });
  ASSERT_TRUE(Eventually([&] { return forgetful_.forgotten() == 1; }));
  Pass();
  ASSERT_TRUE(Find("rpc_client"));
  EXPECT_EQ(Find("rpc_client")->count, 1u);
  forgetful_.Remember();
  EXPECT_TRUE(Eventually([&] { return over.load(); }));
}

TEST_F(GrpcBooksTest, AConnectionThatCameBesideTheAcceptLoopIsFound) {
  int pair[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  server_->rpc().HandOver({pair[0], ledger::kBriefFd, ledger::Scope{}});
  ASSERT_TRUE(Eventually([] { return link::CountChannelz().accepted == 1; }));
  Pass();
  ASSERT_TRUE(Find("connection"));
  EXPECT_EQ(Find("connection")->count, 1u);
  close(pair[1]);
}

TEST_F(GrpcBooksTest, AnHonestLoadHasNoSkew) {
  const auto channel = Booked();
  std::vector<std::shared_ptr<Recorder>> quiet;
  for (int i = 0; i < 10; ++i) quiet.push_back(Call(channel));
  quiet.push_back(Call(channel, link::kHealthWatch));
  ASSERT_TRUE(Served(10));
  std::atomic<bool> over{false};
  std::atomic<int> calls{0};
  // Short calls without a pause, some given up, each fourth on a connection of its own.
  std::thread caller([&] {
    while (!over) {
      const auto on = calls % 4 == 0 ? Booked() : channel;
      const auto call = Call(on, kBrief);
      if (calls % 3 == 0) call->stream().Cancel("enough");
      EXPECT_TRUE(call->WaitClosed());
      ++calls;
    }
  });
  // What takes two seconds of a sweep takes ten calls here: more than the ends of calls and of
  // connections need to get round.
  for (int i = 0; i < 200; ++i) {
    const int before = calls;
    Sweep();
    const bool went_on = Eventually([&] { return calls >= before + 10; });
    EXPECT_TRUE(went_on);
    if (!went_on) break;
  }
  over = true;
  caller.join();
  for (const ledger::Verdict& verdict : auditor_.verdicts())
    ADD_FAILURE() << verdict.kind << ": " << verdict.because;
}

TEST_F(GrpcBooksTest, TheKindsAreAlwaysTheSame) {
  std::vector<std::string> kinds;
  for (const ledger::RpcCounts& row : GrpcBooks().Compare()) kinds.push_back(row.kind);
  EXPECT_THAT(kinds, testing::ElementsAre("channel", "rpc_client", "rpc_server", "connection"));
}

}  // namespace
}  // namespace peermesh
