#include "tests/server/link/test_peer.h"

#include <utility>

#include "mesh/routing/subject.h"
#include "peermesh/link/v1/link.pb.h"
#include "peermesh/v1/message.pb.h"
#include "server/wire/data.h"

namespace peermesh::link {
TestPeer::TestPeer(const TestMesh& mesh, Options options) : options_(std::move(options)) {
  const auto key = tls::PrivateKey::Make();
  const auto certificate =
      mesh.Issue(key, options_.name, identity::Role::kPeer, WallNow() - options_.age);
  credentials_ = *tls::Credentials::Create(key, certificate, mesh.bundle(), {});
  RpcServerOptions server;
  server.name = options_.name;
  server.queues = options_.queues;
  server.doors[0].kind = DoorKind::kTls;
  server.doors[0].credentials = credentials_->ForServer({});
  // Others may call as soon as the server listens.
  const std::lock_guard lock(starting_);
  server.doors[0].on_call = [this](const std::shared_ptr<Stream>& stream) {
    const std::lock_guard lock(starting_);
    if (Links::Serves(stream->info().method)) links_->Serve(stream);
  };
  server_ = std::make_unique<TestServer>(std::move(server), options_.listen);
  LinksConfig config;
  config.epoch = options_.epoch;
  config.software = "test/" + options_.name;
  config.now = [] {
    return Instant(
        std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch()));
  };
  config.wall = WallNow;
  config.linger = std::chrono::milliseconds(20);           // nobody here reads to the end unasked
  config.dial_limit = config.handshake_limit = kPatience;  // for slow machines
  if (options_.adjust) options_.adjust(config);
  links_ = std::make_unique<Links>(std::move(config), *credentials_, server_->rpc().pool(),
                                   [this](node::Input fact) {
                                     if (options_.on_fact) options_.on_fact(*this, fact);
                                     facts_.With([&](auto& facts) { facts.push_back(fact); });
                                   });
}

TestPeer::~TestPeer() { Stop(); }

void TestPeer::Stop() {
  if (std::exchange(stopped_, true)) return;
  links_->Shutdown(std::chrono::milliseconds(200));
  server_->Stop();
}

void TestPeer::Die() {
  for (const auto& connection : server_->acceptor().Connections()) {
    server_->acceptor().Cut(connection.id);
  }
}

DialId TestPeer::Dial(const std::string& address, std::optional<PeerId> expected) {
  const DialId dial{++last_dial_};
  links_->Perform(node::Dial{dial, address, expected});
  return dial;
}

std::optional<TestPeer::Pair> TestPeer::Connect(TestPeer& other) {
  const std::size_t ours = CountOf<node::LinkUp>(), theirs = other.CountOf<node::LinkUp>();
  Dial(other.address(), other.id());
  const auto up = WaitFor<node::LinkUp>(ours + 1);
  const auto up_there = other.WaitFor<node::LinkUp>(theirs + 1);
  if (!up || !up_there) return std::nullopt;
  return Pair{*up, *up_there};
}

node::DataFrame FrameOf(const std::string& subject, const std::vector<std::string>& payloads,
                        std::uint64_t first) {
  ::peermesh::link::v1::DataRequest request;
  auto* batch = request.mutable_frame()->add_batches();
  batch->set_channel(routing::ChannelOf(subject));
  batch->set_first_sequence(first);
  for (const std::string& payload : payloads) {
    auto* message = batch->add_messages();
    message->set_subject(subject);
    message->set_payload(payload);
  }
  auto decoded = wire::DecodeData(std::make_shared<std::string>(request.SerializeAsString()));
  EXPECT_TRUE(decoded.ok());
  return decoded->frame;
}

std::vector<std::string> PayloadsOf(const node::DataFrame& frame) {
  std::vector<std::string> payloads;
  ::peermesh::link::v1::DataRequest request;
  EXPECT_TRUE(request.ParseFromString(wire::EncodeData(frame).Flat()));
  for (const auto& batch : request.frame().batches()) {
    for (const auto& message : batch.messages()) payloads.push_back(message.payload());
  }
  return payloads;
}

}  // namespace peermesh::link
