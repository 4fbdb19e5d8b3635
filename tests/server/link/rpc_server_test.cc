#include "server/link/rpc_server.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/create_channel_posix.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <future>

#include "peermesh/v1/messaging.grpc.pb.h"
#include "peermesh/v1/peers.grpc.pb.h"
#include "server/net/kinds.h"
#include "tests/server/link/handlers.h"
#include "tests/server/link/harness.h"

namespace peermesh::link {
namespace {

constexpr char kExchange[] = "/peermesh.v1.MessagingService/Exchange";
constexpr char kHealth[] = "/grpc.health.v1.Health/Check";

class RpcServerTest : public testing::Test {
 protected:
  void Serve(RpcServerOptions options) {
    options.name = "test";
    if (!options.doors[0].on_call) {
      options.doors[0].on_call = [this](const auto& stream) {
        const auto recorder = std::make_shared<Recorder>(Recorder::Reading::kAlways);
        recorder->Attach(stream);
        stream->Accept(recorder);
        stream->Read();
        served_.With([&](auto& served) { served.push_back(recorder); });
      };
    }
    server_ = std::make_unique<TestServer>(std::move(options));
  }
  std::shared_ptr<grpc::Channel> NewChannel() {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return grpc::CreateCustomChannel("ipv4:" + server_->address(),
                                     grpc::InsecureChannelCredentials(), arguments);
  }
  std::shared_ptr<Recorder> Call(QueuePool& pool, const std::shared_ptr<grpc::Channel>& channel,
                                 const char* method = kExchange, std::string request = "") {
    const auto recorder = std::make_shared<Recorder>(Recorder::Reading::kByHand);
    recorder->Attach(Stream::Open(pool, pool.Next(), channel, method, {}, recorder));
    recorder->stream().Write(std::move(request));
    recorder->stream().Read();
    return recorder;
  }
  bool Served(std::size_t count) {
    return served_.Wait([count](const auto& served) { return served.size() >= count; });
  }

  std::unique_ptr<TestServer> server_;
  Watched<std::vector<std::shared_ptr<Recorder>>> served_;
};

TEST_F(RpcServerTest, ShutdownEndsStreamsThatNobodyFinishes) {
  Serve({});
  QueuePool pool("client");
  pool.AddClientQueues(1);
  std::vector<std::shared_ptr<Recorder>> calls;
  for (int i = 0; i < 5; ++i) calls.push_back(Call(pool, NewChannel()));
  ASSERT_TRUE(Served(5));
  EXPECT_EQ(server_->rpc().stats().live, 5u);
  EXPECT_EQ(server_->rpc().Table().size(), 5u);
  EXPECT_EQ(server_->rpc().Table().front().method, kExchange);
  const auto started = std::chrono::steady_clock::now();
  server_->Stop(std::chrono::milliseconds(100));
  EXPECT_LT(std::chrono::steady_clock::now() - started, kPatience);
  EXPECT_EQ(server_->rpc().stats().live, 0u);
  for (const auto& call : calls) EXPECT_TRUE(call->WaitClosed());
  served_.With([](auto& served) {
    for (const auto& stream : served) EXPECT_EQ(stream->record().closed.size(), 1u);
  });
  ASSERT_TRUE(pool.WaitUntilIdle(Queue::Clock::now() + kPatience));
  pool.Stop();
}

TEST_F(RpcServerTest, ShutdownEndsCallsOfOurOwnOnItsQueues) {
  Serve({});
  const auto call = Call(server_->rpc().pool(), NewChannel());
  ASSERT_TRUE(Served(1));
  server_->Stop();
  EXPECT_EQ(call->record().closed.size(), 1u) << "all callbacks have returned";
}

TEST_F(RpcServerTest, ADescriptorThatComesTooLateIsClosed) {
  Serve({});
  server_->Stop();
  int pair[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  server_->rpc().HandOver({pair[0], net::kConnectionFd, ledger::Scope{}});
  char byte = 0;
  EXPECT_EQ(read(pair[1], &byte, 1), 0) << "end of file";
  EXPECT_EQ(server_->rpc().stats().late_descriptors, 1u);
  close(pair[1]);
}

TEST_F(RpcServerTest, HealthSaysWhatItIsTold) {
  Serve({});
  QueuePool& pool = server_->rpc().pool();
  const auto channel = NewChannel();
  const std::string serving{"\x08\x01", 2}, not_serving{"\x08\x02", 2};  // status = 1, 2
  for (const bool on : {true, false, true}) {
    server_->rpc().SetServing(on);
    const auto call = Call(pool, channel, kHealth);
    ASSERT_TRUE(call->WaitMessages(1));
    EXPECT_EQ(call->record().messages.front(), on ? serving : not_serving);
    call->stream().HalfClose();
    EXPECT_TRUE(call->WaitClosed());
  }
}

TEST_F(RpcServerTest, HealthKnowsTheServicesThatStreamsServe) {
  RpcServerOptions options;
  options.doors[0].stream_services = {"a.Service", "b.Service"};
  Serve(std::move(options));
  QueuePool& pool = server_->rpc().pool();
  const auto channel = NewChannel();
  const auto ask = [&](const std::string& service) {
    const std::string field =
        "\x0a" + std::string(1, static_cast<char>(service.size()));  // 1: name
    const auto call = Call(pool, channel, kHealth, field + service);
    call->stream().HalfClose();
    EXPECT_TRUE(call->WaitClosed());
    const auto messages = call->record().messages;
    return messages.empty() ? "" : messages.front();
  };
  const std::string serving{"\x08\x01", 2}, not_serving{"\x08\x02", 2};  // status = 1, 2
  EXPECT_EQ(ask("a.Service"), not_serving) << "nobody has said yet that it is";
  for (const bool on : {true, false, true}) {
    server_->rpc().SetServing(on);
    for (const char* service : {"a.Service", "b.Service"})
      EXPECT_EQ(ask(service), on ? serving : not_serving) << service;
    EXPECT_EQ(ask("c.Service"), "") << "it is not here";
  }
}

// One service on gRPC's callback API, as administration uses.
class Peers final : public v1::PeersService::CallbackService {
 public:
  grpc::ServerUnaryReactor* ListPeers(grpc::CallbackServerContext* context,
                                      const v1::ListPeersRequest*,
                                      v1::ListPeersResponse* response) override {
    response->add_peers()->set_name("by callback");
    auto* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
};

TEST_F(RpcServerTest, CallbackServicesAreServedBesideStreams) {
  Peers peers;
  RpcServerOptions options;
  options.services = {&peers};
  Serve(std::move(options));
  grpc::ClientContext context;
  v1::ListPeersResponse response;
  const auto channel = NewChannel();
  ASSERT_TRUE(v1::PeersService::NewStub(channel)->ListPeers(&context, {}, &response).ok());
  ASSERT_EQ(response.peers_size(), 1);
  EXPECT_EQ(response.peers(0).name(), "by callback");
  const auto call = Call(server_->rpc().pool(), channel);
  EXPECT_TRUE(Served(1));
  server_->Stop();
}

TEST_F(RpcServerTest, RapidResetsOfOneConnectionAreReportedOnceAndItsStreamsCounted) {
  Watched<std::vector<std::string>> reported;
  RpcServerOptions options;
  options.max_streams = kMaxStreams;
  options.on_abuse = [&](const std::string& peer) {
    reported.With([&](auto& peers) { peers.push_back(peer); });
  };
  Serve(std::move(options));
  QueuePool& pool = server_->rpc().pool();
  const auto guilty = NewChannel(), innocent = NewChannel();
  const auto quiet = Call(pool, innocent);
  for (std::size_t i = 0; i <= kMaxCancels; ++i) {
    const auto call = Call(pool, guilty);
    ASSERT_TRUE(Served(i + 2));
    call->stream().Cancel("reset");
    ASSERT_TRUE(call->WaitClosed());
  }
  ASSERT_TRUE(reported.Wait([](const auto& peers) { return !peers.empty(); }));
  reported.With([&](auto& peers) {
    ASSERT_EQ(peers.size(), 1u);
    EXPECT_TRUE(server_->acceptor().FindByPeer(peers.front()).has_value());
  });
  EXPECT_EQ(server_->rpc().stats().broken, kMaxCancels + 1);
  EXPECT_EQ(server_->rpc().stats().abuses, 1u);
  EXPECT_TRUE(quiet->record().closed.empty());
}

// Two sockets look the same to gRPC but for their credentials.
TEST(RpcServerDoorsTest, ACallIsServedAndCountedByTheDoorItsConnectionCameThrough) {
  Watched<std::vector<std::string>> served;
  RpcServerOptions options;
  options.name = "doors";
  options.doors.resize(2);
  options.doors[1].kind = DoorKind::kOwnerSocket;
  for (const std::size_t i : {0u, 1u}) {
    options.doors[i].name = i == 0 ? "app" : "admin";
    options.doors[i].on_call = [&served, i](const std::shared_ptr<Stream>& stream) {
      served.With([&](auto& doors) { doors.push_back(i == 0 ? "app" : "admin"); });
      stream->Finish({});
    };
  }
  options.doors[1].stream_services = {"an.Admin"};
  auto server = *RpcServer::Start(std::move(options));
  server->SetServing(true);
  QueuePool pool("client");
  pool.AddClientQueues(1);
  const auto call = [&](std::size_t door, const char* method, std::string request) {
    int pair[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    server->HandOver({pair[0], net::kConnectionFd, ledger::Scope{}}, door);
    const auto recorder = std::make_shared<Recorder>(Recorder::Reading::kByHand);
    const auto channel = grpc::CreateInsecureChannelFromFd("here", pair[1]);
    recorder->Attach(Stream::Open(pool, pool.Next(), channel, method, {}, recorder));
    recorder->stream().Write(std::move(request));
    recorder->stream().Read();
    EXPECT_TRUE(recorder->WaitClosed());
    return recorder->record().messages.size();
  };
  for (const std::size_t door : {0u, 1u, 1u}) call(door, kExchange, "");
  served.With([](const auto& doors) {
    EXPECT_EQ(doors, (std::vector<std::string>{"app", "admin", "admin"}));
  });
  EXPECT_EQ(server->stats(0).calls, 1u);
  EXPECT_EQ(server->stats(1).calls, 2u);
  const std::string field =
      "\x0a\x08"
      "an.Admin";
  EXPECT_EQ(call(0, kHealth, field), 0u) << "it is not at this door";
  EXPECT_EQ(call(1, kHealth, field), 1u);
  EXPECT_TRUE(Eventually([&] { return server->stats(0).live + server->stats(1).live == 0; }));
  pool.WaitUntilIdle();
  pool.Stop();
  server->Shutdown(Duration::zero());
}

TEST_F(RpcServerTest, CompressedMessagesAreRefusedUnread) {
  Serve({});
  grpc::ClientContext context;
  context.set_compression_algorithm(GRPC_COMPRESS_GZIP);
  v1::PublishRequest request;
  request.add_messages()->set_payload(std::string(1 << 20, 'z'));
  v1::PublishResponse response;
  const auto stub = v1::MessagingService::NewStub(NewChannel());
  const grpc::Status status = stub->Publish(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED) << status.error_message();
}

TEST_F(RpcServerTest, AMessageAboveTheLimitEndsItsCall) {
  RpcServerOptions options;
  options.max_message_bytes = 1 << 20;
  Serve(std::move(options));
  grpc::ClientContext context;
  v1::PublishRequest request;
  request.add_messages()->set_payload(std::string(2 << 20, 'z'));
  v1::PublishResponse response;
  const auto stub = v1::MessagingService::NewStub(NewChannel());
  const grpc::Status status = stub->Publish(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED) << status.error_message();
  EXPECT_TRUE(Eventually([this] { return server_->rpc().stats().live == 0; }));
}

TEST_F(RpcServerTest, ConnectionsAndStreamsComeBackToTheBaselineAfterManyCycles) {
  Serve({});
  QueuePool& pool = server_->rpc().pool();
  const auto cycle = [&](int i) {
    const auto call = Call(pool, NewChannel());
    ASSERT_TRUE(Served(static_cast<std::size_t>(i) + 1));
    call->stream().Cancel("cycle");
    ASSERT_TRUE(call->WaitClosed());
  };
  cycle(0);
  ASSERT_TRUE(Eventually([&] { return server_->acceptor().Connections().empty(); }));
  const std::size_t before = OpenDescriptors();
  for (int i = 1; i <= 50; ++i) cycle(i);
  EXPECT_TRUE(Eventually([&] { return server_->acceptor().Connections().empty(); }));
  EXPECT_TRUE(Eventually([&] { return OpenDescriptors() <= before; }))
      << OpenDescriptors() << " descriptors, " << before << " before";
  EXPECT_TRUE(Eventually([&] { return server_->rpc().stats().live == 0; }));
}

TEST(RpcServerDeathTest, AShutdownThatCannotEndWritesDownTheStreamsAndEndsTheProcess) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  const auto stuck = [] {
    RpcServerOptions options;
    options.name = "stuck";
    options.watchdog = std::chrono::milliseconds(50);
    Watched<bool> in_callback;
    options.doors[0].on_call = [&](const auto&) {
      in_callback.With([](bool& in) { in = true; });
      std::promise<void>().get_future().wait();  // what a callback must never do
    };
    TestServer server(std::move(options));
    QueuePool pool("client");
    pool.AddClientQueues(1);
    const auto recorder = std::make_shared<Recorder>(Recorder::Reading::kByHand);
    const auto channel =
        grpc::CreateChannel("ipv4:" + server.address(), grpc::InsecureChannelCredentials());
    recorder->Attach(Stream::Open(pool, pool.Next(), channel, kExchange, {}, recorder));
    recorder->stream().Write("");
    if (!in_callback.Wait([](bool in) { return in; })) std::abort();
    server.Stop();
  };
  EXPECT_EXIT(stuck(), testing::ExitedWithCode(kStuckExitCode),
              "server 'stuck' does not stop; live streams:\n.*MessagingService/Exchange from");
}

}  // namespace
}  // namespace peermesh::link
