// Dials that come to nothing, and handshakes that break the rules.
#include <grpcpp/channel.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <chrono>

#include "server/link/links.h"
#include "server/wire/control.h"
#include "server/wire/data.h"
#include "server/wire/signed_record.h"
#include "tests/server/link/handlers.h"
#include "tests/server/link/test_peer.h"

namespace peermesh::link {
namespace {

using namespace std::chrono_literals;
using node::DialFailure;

constexpr char kControl[] = "/peermesh.link.v1.LinkService/Control";
constexpr char kData[] = "/peermesh.link.v1.LinkService/Data";

class HandshakeTest : public testing::Test {
 protected:
  HandshakeTest() { pool_.AddClientQueues(1); }
  ~HandshakeTest() override {
    pool_.CancelAll("the test is over");
    EXPECT_TRUE(pool_.WaitUntilIdle(Queue::Clock::now() + kPatience));
    pool_.Stop();
  }

  // A stream to a peer with any certificate, on a connection of its own.
  std::shared_ptr<Recorder> Call(tls::Credentials& credentials, const char* method) {
    return Call(credentials, method, beta_, Recorder::Reading::kByHand);
  }
  std::shared_ptr<Recorder> Call(tls::Credentials& credentials, const char* method,
                                 const TestPeer& to, Recorder::Reading reading) {
    const auto recorder = std::make_shared<Recorder>(reading);
    const auto channel = credentials.Dial("ipv4:" + to.address(), {});
    recorder->Attach(Stream::Open(pool_, pool_.Next(), channel, method, {}, recorder));
    return recorder;
  }
  wire::Hello Hello() const {
    wire::Hello hello;
    hello.mesh_id = mesh_.mesh_id;
    hello.epoch = 5;
    hello.software = "by hand";
    return hello;
  }
  // Says hello and returns beta's.
  std::optional<wire::Hello> Greet(Recorder& control) {
    control.stream().Write(wire::EncodeHello(Hello()));
    control.stream().Read();
    if (!control.WaitMessages(1)) return std::nullopt;
    const auto received = wire::DecodeControl(control.record().messages.front());
    if (!received.ok() || !std::holds_alternative<wire::Hello>(*received)) return std::nullopt;
    return std::get<wire::Hello>(*received);
  }
  void ExpectFault(HandshakeFault fault, std::uint64_t count = 1) {
    ExpectFaultAt(beta_, fault, count);
  }
  void ExpectFaultAt(TestPeer& peer, HandshakeFault fault, std::uint64_t count) {
    EXPECT_TRUE(Eventually([&] {
      return peer.links().stats().faults[static_cast<std::size_t>(fault)] == count;
    })) << ToString(fault);
    EXPECT_EQ(peer.CountOf<node::LinkUp>(), 0u);
    EXPECT_TRUE(Eventually([&] { return peer.links().Census().streams == 0; }));
    EXPECT_EQ(peer.links().Census().handshakes, 0u);
  }
  static TestPeer::Options Impatient(const char* name) {
    TestPeer::Options options;
    options.name = name;
    options.adjust = [](LinksConfig& config) {
      config.dial_limit = 300ms;
      config.handshake_limit = 300ms;
    };
    return options;
  }
  DialFailure FailureOf(TestPeer& peer, DialId dial) {
    const auto failed = peer.WaitFor<node::DialFailed>();
    EXPECT_TRUE(failed && failed->dial == dial);
    EXPECT_EQ(peer.CountOf<node::LinkUp>(), 0u);
    return failed ? failed->why : DialFailure{};
  }

  TestMesh mesh_;
  TestPeer beta_{mesh_, {.name = "beta"}};
  std::unique_ptr<tls::Credentials> mallory_ = mesh_.Enrolled("mallory");
  QueuePool pool_{"client"};
};

TEST_F(HandshakeTest, NobodyListens) {
  TestPeer alpha(mesh_, {.name = "alpha"});
  TestPeer gone(mesh_, {.name = "gone"});
  const std::string address = gone.address();
  gone.Stop();
  EXPECT_EQ(FailureOf(alpha, alpha.Dial(address)), DialFailure::kRefused);
  EXPECT_EQ(alpha.links().Census().channels, 0u);
}

TEST_F(HandshakeTest, NamesThatDoNotResolveAndAddressesThatAreNoneAreUnreachable) {
  TestPeer alpha(mesh_, {.name = "alpha"});
  alpha.Dial("nowhere.invalid:7443");
  const auto failed = alpha.WaitFor<node::DialFailed>(1);
  ASSERT_TRUE(failed);
  EXPECT_EQ(failed->why, DialFailure::kUnreachable);
  alpha.Dial("no address at all");
  const auto second = alpha.WaitFor<node::DialFailed>(2);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->why, DialFailure::kUnreachable);
}

TEST_F(HandshakeTest, ALocalNameIsResolvedAndIpv6Works) {
  TestPeer six(mesh_, {.name = "six", .listen = "[::1]:0"});
  TestPeer alpha(mesh_, {.name = "alpha"});
  ASSERT_TRUE(alpha.Connect(six));
  const std::string port = beta_.address().substr(beta_.address().rfind(':'));
  alpha.Dial("localhost" + port, beta_.id());
  EXPECT_TRUE(alpha.WaitFor<node::LinkUp>(2));
}

TEST_F(HandshakeTest, SomebodyElseAnswers) {
  TestPeer alpha(mesh_, {.name = "alpha"});
  EXPECT_EQ(FailureOf(alpha, alpha.Dial(beta_.address(), mallory_->self().id)),
            DialFailure::kWrongPeer);
}

TEST_F(HandshakeTest, WeAnswerOurselves) {
  TestPeer alpha(mesh_, {.name = "alpha"});
  EXPECT_EQ(FailureOf(alpha, alpha.Dial(alpha.address())), DialFailure::kSelf);
  EXPECT_TRUE(Eventually([&] {
    return alpha.links().stats().faults[static_cast<std::size_t>(HandshakeFault::kSelf)] == 1;
  }));
}

TEST_F(HandshakeTest, APeerOfAnotherMeshIsRejectedByTls) {
  const TestMesh other;
  TestPeer stranger(other, {.name = "stranger"});
  EXPECT_EQ(FailureOf(stranger, stranger.Dial(beta_.address())), DialFailure::kRejected);
  EXPECT_EQ(beta_.server().rpc().stats().calls, 0u) << "it never reached a stream";
}

TEST_F(HandshakeTest, WhoeverAcceptsAndSaysNothingTimesOut) {
  auto acceptor = *net::Acceptor::Create();
  Watched<std::vector<net::Accepted>> held;
  net::ListenOptions listen;
  listen.name = "mute";
  listen.address = "127.0.0.1:0";
  const auto address = acceptor->Listen(listen, [&](net::Accepted accepted) {
    held.With([&](auto& all) { all.push_back(std::move(accepted)); });
  });
  ASSERT_TRUE(address.ok());
  acceptor->Start();
  TestPeer alpha(mesh_, Impatient("alpha"));
  EXPECT_EQ(FailureOf(alpha, alpha.Dial(*address)), DialFailure::kTimeout);
  acceptor->Stop();
}

TEST_F(HandshakeTest, AHelloByHandMakesALink) {
  const auto control = Call(*mallory_, kControl);
  const auto hello = Greet(*control);
  ASSERT_TRUE(hello);
  EXPECT_EQ(hello->mesh_id, mesh_.mesh_id);
  EXPECT_EQ(hello->link_token.size(), wire::kLinkTokenBytes);
  const auto data = Call(*mallory_, kData);
  data->stream().Write(wire::EncodeDataHello(hello->link_token));
  data->stream().Read();
  ASSERT_TRUE(data->WaitMessages(1));
  EXPECT_EQ(data->record().messages.front(), wire::EncodeDataHello(""));
  const auto up = beta_.WaitFor<node::LinkUp>();
  ASSERT_TRUE(up);
  EXPECT_EQ(up->peer, mallory_->self().id);
  EXPECT_EQ(up->epoch, 5u);

  // A second hello is a frame out of place.
  control->stream().Write(wire::EncodeHello(Hello()));
  const auto down = beta_.WaitFor<node::LinkDown>();
  ASSERT_TRUE(down);
  EXPECT_EQ(down->why, node::DownReason::kProtocol);
}

TEST_F(HandshakeTest, FramesOfALaterReleaseAreSkippedAndCounted) {
  const auto control = Call(*mallory_, kControl);
  const auto hello = Greet(*control);
  ASSERT_TRUE(hello);
  const auto data = Call(*mallory_, kData);
  data->stream().Write(wire::EncodeDataHello(hello->link_token));
  ASSERT_TRUE(beta_.WaitFor<node::LinkUp>());
  // ControlRequest{frame{field 99: ""}}.
  control->stream().Write(std::string("\x0a\x03\x9a\x06\x00", 5));
  ASSERT_TRUE(control->WaitWritten(2));
  control->stream().Write(wire::EncodeControl(node::LinkReady{}));
  const auto in = beta_.WaitFor<node::ControlIn>();
  ASSERT_TRUE(in);
  EXPECT_TRUE(std::holds_alternative<node::LinkReady>(in->frame));
  EXPECT_EQ(beta_.links().stats().unknown_frames, 1u);
}

TEST_F(HandshakeTest, AFloodOfControlFramesIsReadAtARate) {
  const auto control = Call(*mallory_, kControl);
  const auto hello = Greet(*control);
  ASSERT_TRUE(hello);
  const auto data = Call(*mallory_, kData);
  data->stream().Write(wire::EncodeDataHello(hello->link_token));
  ASSERT_TRUE(beta_.WaitFor<node::LinkUp>());
  const std::string frame = wire::EncodeControl(node::LinkReady{});
  for (int i = 1; beta_.links().stats().control_delayed == 0; ++i) {
    control->stream().Write(frame);
    ASSERT_TRUE(control->WaitWritten(i + 1));
  }
  EXPECT_GE(beta_.links().stats().control.frames_in, kControlFramesBurst);
  EXPECT_EQ(beta_.CountOf<node::LinkDown>(), 0u);
}

TEST_F(HandshakeTest, RecordsToBeVerifiedCountForMoreThanTheirFrame) {
  const auto control = Call(*mallory_, kControl);
  const auto hello = Greet(*control);
  ASSERT_TRUE(hello);
  const auto data = Call(*mallory_, kData);
  data->stream().Write(wire::EncodeDataHello(hello->link_token));
  ASSERT_TRUE(beta_.WaitFor<node::LinkUp>());
  node::PeerRecord record;
  record.id = mallory_->self().id;
  for (int i = 1; beta_.links().stats().control_delayed == 0; ++i) {
    record.incarnation = static_cast<std::uint64_t>(i);  // no two are the same
    const std::string body = wire::EncodeRecordBody(record);
    record.encoded = wire::EncodeSignedRecord(body, mallory_->key().Sign("another domain", body),
                                              mallory_->certificate().der());
    control->stream().Write(wire::EncodeControl(node::PeerRecords{{record}}));
    ASSERT_TRUE(control->WaitWritten(i + 1));
    ASSERT_LE(i, 10'000);
  }
  const std::uint64_t checked = beta_.links().stats().records_dropped;
  EXPECT_GE(checked, kControlFramesBurst / (kFramesPerRecord + 1));
  EXPECT_LE(checked, 3 * kControlFramesBurst / kFramesPerRecord);
  EXPECT_EQ(beta_.CountOf<node::LinkDown>(), 0u) << "the sender may only pass on what it got";
}

TEST_F(HandshakeTest, TheFirstControlFrameMustBeAHello) {
  for (const std::string& first :
       {wire::EncodeControl(node::Heartbeat{.number = 1}), std::string("\xff\xff rubbish")}) {
    const auto control = Call(*mallory_, kControl);
    control->stream().Write(first);
    control->stream().Read();
    const auto closed = control->WaitClosed();
    ASSERT_TRUE(closed);
    EXPECT_EQ(closed->message, "link refused: not_a_hello");
  }
  ExpectFault(HandshakeFault::kNotAHello, 2);
}

TEST_F(HandshakeTest, TheMeshMustBeTheSame) {
  const auto control = Call(*mallory_, kControl);
  wire::Hello hello = Hello();
  hello.mesh_id = identity::MeshIdOf("another root");
  control->stream().Write(wire::EncodeHello(hello));
  control->stream().Read();
  ASSERT_TRUE(control->WaitClosed());
  ExpectFault(HandshakeFault::kWrongMesh);
}

TEST_F(HandshakeTest, AVersionMustBeCommon) {
  wire::Hello later = Hello(), small = Hello();
  later.version_min = later.version_max = 2;
  small.max_data_frame_bytes = 1000;
  for (const wire::Hello& hello : {later, small}) {
    const auto control = Call(*mallory_, kControl);
    control->stream().Write(wire::EncodeHello(hello));
    control->stream().Read();
    ASSERT_TRUE(control->WaitClosed());
  }
  ExpectFault(HandshakeFault::kWrongVersion, 2);
}

TEST_F(HandshakeTest, ATokenMustBeKnownAndIsGoodOnce) {
  const auto control = Call(*mallory_, kControl);
  const auto hello = Greet(*control);
  ASSERT_TRUE(hello);
  const auto guess = Call(*mallory_, kData);
  guess->stream().Write(wire::EncodeDataHello(std::string(wire::kLinkTokenBytes, 'g')));
  guess->stream().Read();
  ASSERT_TRUE(guess->WaitClosed());
  const auto data = Call(*mallory_, kData), again = Call(*mallory_, kData);
  data->stream().Write(wire::EncodeDataHello(hello->link_token));
  ASSERT_TRUE(beta_.WaitFor<node::LinkUp>());
  again->stream().Write(wire::EncodeDataHello(hello->link_token));
  again->stream().Read();
  const auto closed = again->WaitClosed();
  ASSERT_TRUE(closed);
  EXPECT_EQ(closed->message, "link refused: wrong_token");
  EXPECT_EQ(beta_.links().stats().faults[static_cast<std::size_t>(HandshakeFault::kWrongToken)],
            2u);
  EXPECT_EQ(beta_.CountOf<node::LinkDown>(), 0u) << "the link itself is well";
}

TEST_F(HandshakeTest, ADataStreamOfAnotherPeerEndsTheHandshake) {
  const auto control = Call(*mallory_, kControl);
  const auto hello = Greet(*control);
  ASSERT_TRUE(hello);
  const auto thief = mesh_.Enrolled("thief");
  const auto data = Call(*thief, kData);
  data->stream().Write(wire::EncodeDataHello(hello->link_token));
  data->stream().Read();
  const auto closed = data->WaitClosed();
  ASSERT_TRUE(closed);
  EXPECT_EQ(closed->message, "link refused: wrong_peer");
  control->stream().Read();
  EXPECT_TRUE(control->WaitClosed());
  ExpectFault(HandshakeFault::kWrongPeer);
}

TEST_F(HandshakeTest, AClientMayNotOpenALink) {
  const auto client = mesh_.Enrolled("app", identity::Role::kClient);
  for (const char* method : {kControl, kData}) {
    const auto call = Call(*client, method);
    call->stream().Write(wire::EncodeHello(Hello()));
    call->stream().Read();
    const auto closed = call->WaitClosed();
    ASSERT_TRUE(closed);
    EXPECT_EQ(closed->code, 7) << "PERMISSION_DENIED";
  }
  ExpectFault(HandshakeFault::kWrongRole, 2);
}

TEST_F(HandshakeTest, AHandshakeThatTheDiallerEndsIsBroken) {
  const auto silent = Call(*mallory_, kControl);
  silent->stream().HalfClose();
  EXPECT_TRUE(silent->WaitClosed());
  ExpectFault(HandshakeFault::kBroken);
}

TEST_F(HandshakeTest, HalfOpenHandshakesAreGivenUp) {
  TestPeer hasty(mesh_, Impatient("hasty"));
  const auto control = Call(*mallory_, kControl, hasty, Recorder::Reading::kAlways);
  control->stream().Write(wire::EncodeHello(Hello()));  // no data stream follows
  control->stream().Read();
  const auto closed = control->WaitClosed();
  ASSERT_TRUE(closed);
  EXPECT_EQ(closed->message, "link refused: half_open");
  ExpectFaultAt(hasty, HandshakeFault::kHalfOpen, 1);
}

TEST_F(HandshakeTest, OnePeerGetsOnlySoManyHandshakes) {
  std::vector<std::shared_ptr<Recorder>> controls;
  for (std::size_t i = 0; i < kMaxLinksPerPeer; ++i) {
    controls.push_back(Call(*mallory_, kControl));
    ASSERT_TRUE(Greet(*controls.back()));
  }
  const auto extra = Call(*mallory_, kControl);
  extra->stream().Write(wire::EncodeHello(Hello()));
  extra->stream().Read();
  const auto closed = extra->WaitClosed();
  ASSERT_TRUE(closed);
  EXPECT_EQ(closed->code, 8) << "RESOURCE_EXHAUSTED";
  // Another peer is not affected.
  TestPeer alpha(mesh_, {.name = "alpha"});
  EXPECT_TRUE(alpha.Connect(beta_));
}

}  // namespace
}  // namespace peermesh::link
