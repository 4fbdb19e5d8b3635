// The acceptor in front of a real gRPC server.
#include <grpcpp/grpcpp.h>

#include <cstdlib>
#include <filesystem>

#include "peermesh/v1/peers.grpc.pb.h"
#include "tests/server/net/net_testing.h"

namespace peermesh::net {
namespace {

// Answers with the caller's address in the place of an id; a watch stays open until the caller is
// gone.
class Echo final : public v1::PeersService::CallbackService {
 public:
  grpc::ServerUnaryReactor* ListPeers(grpc::CallbackServerContext* context,
                                      const v1::ListPeersRequest*,
                                      v1::ListPeersResponse* response) override {
    response->add_peers()->set_id(context->peer());
    auto* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
};

class GrpcAcceptorTest : public ::testing::Test {
 protected:
  GrpcAcceptorTest() {
    grpc::ServerBuilder builder;
    builder.RegisterService(&echo_);
    external_ = builder.experimental().AddExternalConnectionAcceptor(
        grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD,
        grpc::InsecureServerCredentials());
    server_ = builder.BuildAndStart();
  }
  ~GrpcAcceptorTest() override {
    acceptor_->StopListening();
    server_->Shutdown(std::chrono::system_clock::now());
  }
  std::string Listen(const std::string& address) {
    auto bound =
        acceptor_->Listen({"test", address, Caps::Local(), 0600}, [this](Accepted accepted) {
          {
            const std::lock_guard<std::mutex> lock(mutex_);
            accepted_.push_back({{}, accepted.id, accepted.peer});
          }
          grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters parameters;
          parameters.listener_fd = -1;
          parameters.fd = accepted.fd.Release();
          external_->HandleNewConnection(&parameters);
        });
    EXPECT_TRUE(bound.ok()) << bound.status();
    acceptor_->Start();
    return *bound;
  }
  static std::shared_ptr<grpc::Channel> Dial(const std::string& target) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    return grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments);
  }
  static std::string PeerSeenByGrpc(const std::shared_ptr<grpc::Channel>& channel) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kPatience);
    v1::ListPeersResponse response;
    const auto status = v1::PeersService::NewStub(channel)->ListPeers(&context, {}, &response);
    return status.ok() && response.peers_size() == 1 ? response.peers(0).id()
                                                     : status.error_message();
  }
  // True if a call over `channel` shows the address that the acceptor told last.
  bool Agree(const std::shared_ptr<grpc::Channel>& channel) {
    const std::string seen = PeerSeenByGrpc(channel);
    EXPECT_EQ(seen, Last().peer);
    return seen == Last().peer;
  }
  // Its descriptor is gRPC's.
  Accepted Last() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (accepted_.empty()) return {};
    return {{}, accepted_.back().id, accepted_.back().peer};
  }

  Echo echo_;
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> external_;
  std::unique_ptr<grpc::Server> server_;
  std::mutex mutex_;
  std::vector<Accepted> accepted_;
  std::unique_ptr<Acceptor> acceptor_ = *Acceptor::Create();
};

TEST_F(GrpcAcceptorTest, PeerTextIsWhatGrpcShowsForIPv4) {
  const std::string address = Listen("127.0.0.1:0");
  EXPECT_TRUE(Agree(Dial("ipv4:" + address)));
}

TEST_F(GrpcAcceptorTest, PeerTextIsWhatGrpcShowsForIPv6) {
  const std::string address = Listen("[::1]:0");
  EXPECT_TRUE(Agree(Dial("ipv6:" + address)));
}

TEST_F(GrpcAcceptorTest, PeerTextIsWhatGrpcShowsForIPv4OnADualStackSocket) {
  const std::string address = Listen("[::]:0");
  const std::string port = std::to_string(ParseHostPort(address)->port);
  EXPECT_TRUE(Agree(Dial("ipv4:127.0.0.1:" + port)));
}

TEST_F(GrpcAcceptorTest, PeerTextIsWhatGrpcShowsForUnix) {
  std::string pattern = std::filesystem::temp_directory_path() / "peermesh-net-XXXXXX";
  const std::string directory = mkdtemp(pattern.data());
  const std::string address = Listen("unix:" + directory + "/app.sock");
  EXPECT_TRUE(Agree(Dial(address)));
  acceptor_->StopListening();
  std::filesystem::remove_all(directory);
}

TEST_F(GrpcAcceptorTest, CutEndsAnOpenStream) {
  const std::string address = Listen("127.0.0.1:0");
  const auto channel = Dial("ipv4:" + address);
  ASSERT_TRUE(Agree(channel));
  EXPECT_TRUE(acceptor_->Cut(Last().id));
  EXPECT_TRUE(Eventually([&] { return channel->GetState(false) != GRPC_CHANNEL_READY; }));
  EXPECT_TRUE(Eventually([&] { return acceptor_->Connections().empty(); }));
}

TEST_F(GrpcAcceptorTest, AClientThatLeavesIsForgottenBeforeAnyTimeout) {
  const std::string address = Listen("127.0.0.1:0");
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(Agree(Dial("ipv4:" + address)));
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_TRUE(Eventually([&] { return acceptor_->Connections().empty(); }));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(3));
}

}  // namespace
}  // namespace peermesh::net
