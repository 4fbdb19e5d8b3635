// What the wrapper reads of gRPC's own books, beside servers and channels of which we know the
// truth.
#include "server/link/channelz.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "tests/server/link/handlers.h"
#include "tests/server/link/harness.h"

namespace peermesh::link {
namespace {

constexpr char kMethod[] = "/channelz.Test/Call";

TEST(ChannelzTest, ThereIsNothingBeforeGrpcRuns) {
  EXPECT_TRUE(ReadChannelz().servers.empty());
  EXPECT_EQ(CountChannelz().channels, 0u);
}

class ChannelzServerTest : public testing::Test {
 protected:
  ChannelzServerTest() {
    RpcServerOptions options;
    options.name = "test";
    options.doors[0].on_call = [this](const auto& stream) {
      while (blocked_) std::this_thread::yield();
      const auto recorder = std::make_shared<Recorder>(Recorder::Reading::kAlways);
      recorder->Attach(stream);
      stream->Accept(recorder);
      stream->Read();
      served_.With([&](auto& served) { served.push_back(recorder); });
    };
    server_ = std::make_unique<TestServer>(std::move(options));
    pool_.AddClientQueues(1);
    channel_ = NewChannel();
  }
  ~ChannelzServerTest() override {
    blocked_ = false;
    pool_.CancelAll("over");
    EXPECT_TRUE(pool_.WaitUntilIdle(Queue::Clock::now() + kPatience));
    pool_.Stop();
    server_->Stop();
  }
  std::shared_ptr<grpc::Channel> NewChannel() const {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return grpc::CreateCustomChannel("ipv4:" + server_->address(),
                                     grpc::InsecureChannelCredentials(), arguments);
  }
  std::shared_ptr<Recorder> Call(const std::shared_ptr<grpc::Channel>& channel) {
    const auto call = std::make_shared<Recorder>(Recorder::Reading::kByHand);
    call->Attach(Stream::Open(pool_, pool_.Next(), channel, kMethod, {}, call));
    call->stream().Write("hello");
    call->stream().Read();
    return call;
  }
  std::shared_ptr<Recorder> ServedCall() {
    const std::size_t before = served_.With([](auto& served) { return served.size(); });
    auto call = Call(channel_);
    EXPECT_TRUE(served_.Wait([&](const auto& served) { return served.size() > before; }));
    return call;
  }

  std::atomic<bool> blocked_{false};
  std::unique_ptr<TestServer> server_;
  QueuePool pool_{"client"};
  std::shared_ptr<grpc::Channel> channel_;
  Watched<std::vector<std::shared_ptr<Recorder>>> served_;
};

TEST_F(ChannelzServerTest, CallsAreCountedWhileTheyAreOpenAndWhenTheyEnd) {
  const auto well = ServedCall(), badly = ServedCall(), open = ServedCall();
  EXPECT_EQ(CountChannelz().served_open, 3u);
  EXPECT_EQ(CountChannelz().made_open, 3u);
  served_.With([](auto& served) { served[0]->stream().Finish({}); });
  badly->stream().Cancel("enough");
  ASSERT_TRUE(well->WaitClosed());
  ASSERT_TRUE(badly->WaitClosed());
  ASSERT_TRUE(Eventually([] { return CountChannelz().served_open == 1; }));
  const Channelz all = ReadChannelz();
  ASSERT_EQ(all.servers.size(), 1u);
  const ChannelzCalls& calls = all.servers.front().calls;
  EXPECT_EQ(calls.started, 3u);
  EXPECT_EQ(calls.succeeded, 1u);
  EXPECT_EQ(calls.failed, 1u);
  EXPECT_EQ(calls.open(), 1u);
  EXPECT_EQ(calls.last_started.size(), std::string("2026-11-21T12:00:00.123456789Z").size());
}

TEST_F(ChannelzServerTest, EveryConnectionIsNamed) {
  const auto first = ServedCall();
  const auto other = NewChannel();
  const auto second = Call(other);
  ASSERT_TRUE(served_.Wait([](const auto& served) { return served.size() == 2; }));
  const Channelz all = ReadChannelz();
  ASSERT_EQ(all.servers.size(), 1u);
  std::vector<std::string> remotes;
  for (const ChannelzSocket& socket : all.servers.front().sockets) {
    remotes.push_back(socket.remote);
    EXPECT_EQ(socket.streams.open(), 1u);
    EXPECT_TRUE(Eventually(
        [&] { return ReadChannelz().servers.front().sockets.front().messages_received == 1; }));
  }
  std::vector<std::string> peers;
  for (const auto& connection : server_->acceptor().Connections()) peers.push_back(connection.peer);
  std::sort(remotes.begin(), remotes.end());
  std::sort(peers.begin(), peers.end());
  EXPECT_EQ(remotes, peers);
  ASSERT_EQ(all.channels.size(), 2u);
  for (const ChannelzGroup& channel : all.channels) {
    EXPECT_EQ(channel.target, "ipv4:" + server_->address());
    EXPECT_EQ(channel.state, "READY");
    ASSERT_EQ(channel.sockets.size(), 1u);
    EXPECT_EQ(channel.sockets.front().remote, "ipv4:" + server_->address());
  }
}

TEST_F(ChannelzServerTest, ManyChannelsComeInSeveralPages) {
  std::vector<std::shared_ptr<grpc::Channel>> channels;
  for (int i = 0; i < 250; ++i) channels.push_back(NewChannel());
  EXPECT_EQ(CountChannelz().channels, 251u);
  EXPECT_EQ(ReadChannelz().channels.size(), 251u);
  channels.clear();
  EXPECT_TRUE(Eventually([] { return CountChannelz().channels == 1; }));
}

// Nothing of a call that ended in an unusual way may be counted as open for ever.
TEST_F(ChannelzServerTest, CallsGivenUpBeforeAnybodyTookThemLeaveNothingBehind) {
  for (int i = 0; i < 100; ++i) {
    const auto call = Call(channel_);
    call->stream().Cancel("reset");
    ASSERT_TRUE(call->WaitClosed());
  }
  blocked_ = true;
  const auto doomed = NewChannel();
  std::vector<std::shared_ptr<Recorder>> calls;
  for (int i = 0; i < 40; ++i) calls.push_back(Call(i % 2 == 0 ? doomed : channel_));
  EXPECT_TRUE(Eventually([] { return CountChannelz().served_open >= 40; }));
  // Half of them by a reset each, the others with their connection.
  for (std::size_t i = 1; i < calls.size(); i += 2) calls[i]->stream().Cancel("reset");
  for (const auto& connection : server_->acceptor().Connections())
    server_->acceptor().Cut(connection.id);
  for (const auto& call : calls) ASSERT_TRUE(call->WaitClosed());
  blocked_ = false;
  EXPECT_TRUE(Eventually([] {
    const ChannelzCounts counts = CountChannelz();
    return counts.served_open == 0 && counts.made_open == 0 && counts.accepted == 0;
  })) << CountChannelz().served_open
      << " served, " << CountChannelz().accepted << " connections";
}

}  // namespace
}  // namespace peermesh::link
