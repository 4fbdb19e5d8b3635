#include "server/tls/credentials.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>

#include "peermesh/link/v1/link.grpc.pb.h"
#include "server/tls/process.h"
#include "tests/mesh/identity/forge.h"
#include "tests/server/tls/mesh_fixture.h"

namespace peermesh::tls {
namespace {

using identity::Identity;
using identity::Refusal;
using identity::Role;
using link::v1::DataRequest;
using link::v1::DataResponse;
using testing::HasSubstr;

constexpr auto kPatience = std::chrono::seconds(10);

// Data answers every frame; it tells the caller's name in place of a token.
class Echo final : public link::v1::LinkService::CallbackService {
  grpc::ServerBidiReactor<DataRequest, DataResponse>* Data(
      grpc::CallbackServerContext* context) override {
    class Reactor final : public grpc::ServerBidiReactor<DataRequest, DataResponse> {
     public:
      explicit Reactor(absl::StatusOr<Identity> caller) : caller_(std::move(caller)) {
        StartRead(&in_);
      }
      void OnReadDone(bool ok) override {
        if (!ok) return Finish(grpc::Status::OK);
        out_.mutable_frame()->mutable_hello()->set_link_token(caller_.ok() ? caller_->name : "?");
        StartWrite(&out_);
      }
      void OnWriteDone(bool ok) override {
        if (ok) return StartRead(&in_);
        Finish(grpc::Status::OK);
      }
      void OnDone() override { delete this; }

     private:
      absl::StatusOr<Identity> caller_;
      DataRequest in_;
      DataResponse out_;
    };
    return new Reactor(RemoteIdentity(*context->auth_context()));
  }
};

class Refusals {
 public:
  std::function<void(Refusal, Direction)> Hook() {
    return [this](Refusal refusal, Direction direction) {
      const std::lock_guard lock(mutex_);
      ++counts_[{refusal, direction}];
      changed_.notify_all();
    };
  }
  // The server learns of a failed handshake on its own thread.
  bool WaitFor(Refusal refusal, Direction direction) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [&] {
      return counts_.count({refusal, direction}) > 0;
    });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::pair<Refusal, Direction>, int> counts_;
};

class Server {
 public:
  Server(Credentials& credentials, const InboundRules& rules) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", credentials.ForServer(rules), &port_);
    builder.RegisterService(&echo_);
    ApplyServerLimits(builder, 64, 1 << 20);
    server_ = builder.BuildAndStart();
    PM_CHECK(server_ != nullptr);
  }
  ~Server() { server_->Shutdown(std::chrono::system_clock::now()); }
  int port() const { return port_; }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

 private:
  int port_ = 0;
  Echo echo_;
  std::unique_ptr<grpc::Server> server_;
};

// A stream over a channel of its own.
class Stream {
 public:
  explicit Stream(const std::shared_ptr<grpc::Channel>& channel)
      : stub_(link::v1::LinkService::NewStub(channel)) {
    context_.set_deadline(std::chrono::system_clock::now() + kPatience);
    stream_ = stub_->Data(&context_);
  }
  ~Stream() {
    context_.TryCancel();
    if (!finished_) stream_->Finish();
  }
  // The name by which the server knows us; empty if it does not answer.
  std::string Ping() {
    DataResponse answer;
    if (!stream_->Write(DataRequest()) || !stream_->Read(&answer)) return "";
    return answer.frame().hello().link_token();
  }
  grpc::Status Finish() {
    finished_ = true;
    return stream_->Finish();
  }
  absl::StatusOr<identity::Certificate> remote() {
    return RemoteCertificate(*context_.auth_context());
  }

 private:
  std::unique_ptr<link::v1::LinkService::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<DataRequest, DataResponse>> stream_;
  bool finished_ = false;
};

class CredentialsTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    ASSERT_TRUE(InitProcess(Signals::kLeave).ok());
    SetGrpcLogSink([](GrpcSeverity, std::string_view, int, std::string_view) {});
  }

  // What a dial of the server with a certificate of somebody's making comes to.
  std::string DialWith(const PrivateKey& key, const identity::Certificate& certificate) {
    namespace ge = grpc::experimental;
    ge::TlsChannelCredentialsOptions options;
    options.set_certificate_provider(std::make_shared<ge::StaticDataCertificateProvider>(
        mesh_.root.ToPem(),
        std::vector<ge::IdentityKeyCertPair>{{key.ToPem(), certificate.ToPem()}}));
    options.watch_root_certs();
    options.watch_identity_key_cert_pairs();
    options.set_verify_server_certs(false);
    options.set_check_call_host(false);
    options.set_certificate_verifier(std::make_shared<ge::NoOpCertificateVerifier>());
    return Stream(grpc::CreateChannel(server_.address(), ge::TlsCredentials(options))).Ping();
  }

  TestMesh mesh_;
  Refusals refusals_;
  std::unique_ptr<Credentials> alpha_ =
      mesh_.Enrolled("alpha", Role::kPeer, {.on_refused = refusals_.Hook()});
  Server server_{*alpha_, {}};
};

TEST_F(CredentialsTest, BothSidesKnowEachOther) {
  const auto beta = mesh_.Enrolled("beta");
  Stream stream(beta->Dial(server_.address(), {.expected = alpha_->key().id()}));
  EXPECT_EQ(stream.Ping(), "beta");
  const auto remote = stream.remote();
  ASSERT_TRUE(remote.ok()) << remote.status();
  EXPECT_EQ(remote->der(), alpha_->certificate().der());
}

TEST_F(CredentialsTest, ADialWithoutAnExpectedIdTakesAnyPeerOfTheMesh) {
  EXPECT_EQ(Stream(mesh_.Enrolled("beta")->Dial(server_.address(), {})).Ping(), "beta");
}

TEST_F(CredentialsTest, ADialOutlivesItsFactory) {
  const auto channel = mesh_.Enrolled("beta")->Dial(server_.address(), {});
  EXPECT_EQ(Stream(channel).Ping(), "beta");
}

TEST_F(CredentialsTest, AnotherPeerThanTheDialledIsRefused) {
  Refusals refusals;
  const auto beta = mesh_.Enrolled("beta", Role::kPeer, {.on_refused = refusals.Hook()});
  Stream stream(beta->Dial(server_.address(), {.expected = beta->key().id()}));
  EXPECT_EQ(stream.Ping(), "");
  EXPECT_THAT(stream.Finish().error_message(), HasSubstr("wrong_peer"));
  EXPECT_TRUE(refusals.WaitFor(Refusal::kWrongPeer, Direction::kOutbound));
}

TEST_F(CredentialsTest, AServerThatIsNoPeerIsRefused) {
  Refusals refusals;
  const auto beta = mesh_.Enrolled("beta", Role::kPeer, {.on_refused = refusals.Hook()});
  EXPECT_EQ(Stream(beta->Dial(server_.address(), {.roles = {Role::kCa}})).Ping(), "");
  EXPECT_TRUE(refusals.WaitFor(Refusal::kWrongRole, Direction::kOutbound));
}

TEST_F(CredentialsTest, AServerOfAnotherMeshIsRefused) {
  const TestMesh other;
  Refusals refusals;
  const auto beta = other.Enrolled("beta", Role::kPeer, {.on_refused = refusals.Hook()});
  Stream stream(beta->Dial(server_.address(), {}));
  EXPECT_EQ(stream.Ping(), "");
  EXPECT_TRUE(refusals.WaitFor(Refusal::kWrongCa, Direction::kOutbound));
}

TEST_F(CredentialsTest, AClientOfAnotherMeshIsRefusedAndCounted) {
  const TestMesh other;
  const auto key = PrivateKey::Make();
  EXPECT_EQ(DialWith(key, other.Issue(key)), "");
  EXPECT_TRUE(refusals_.WaitFor(Refusal::kWrongCa, Direction::kInbound));
}

TEST_F(CredentialsTest, ASelfSignedClientIsRefusedAndCounted) {
  const auto key = PrivateKey::Make();
  const identity::ForgedMesh names;
  identity::Forgery forgery = names.Leaf(key.native());
  forgery.alternative_names =
      "URI:" + identity::UriOf(mesh_.mesh_id, Role::kPeer, key.id()) + ",DNS:beta." + mesh_.mesh_id;
  forgery.signer = nullptr;
  forgery.issuer = forgery.subject;
  EXPECT_EQ(DialWith(key, *identity::Certificate::Parse(identity::Forge(forgery))), "");
  EXPECT_TRUE(refusals_.WaitFor(Refusal::kWrongCa, Direction::kInbound));
}

TEST_F(CredentialsTest, AnExpiredClientIsRefusedAndCounted) {
  const auto key = PrivateKey::Make();
  EXPECT_EQ(DialWith(key, mesh_.Issue(key, "beta", Role::kPeer, WallNow() - std::chrono::hours(2))),
            "");
  EXPECT_TRUE(refusals_.WaitFor(Refusal::kExpired, Direction::kInbound));
}

TEST_F(CredentialsTest, AClientOfTomorrowIsRefusedAndCounted) {
  const auto key = PrivateKey::Make();
  EXPECT_EQ(
      DialWith(key, mesh_.Issue(key, "beta", Role::kPeer, WallNow() + std::chrono::hours(24))), "");
  EXPECT_TRUE(refusals_.WaitFor(Refusal::kNotYetValid, Direction::kInbound));
}

TEST_F(CredentialsTest, AClientWithAnotherPeersIdIsRefusedAndCounted) {
  const auto key = PrivateKey::Make();
  // Signed by the right root: only the hash of the key gives it away.
  identity::Forgery forgery;
  forgery.key = key.native();
  forgery.signer = mesh_.root_key.native();
  forgery.issuer = "PeerMesh CA " + mesh_.mesh_id;
  forgery.from = WallNow() - std::chrono::minutes(1);
  forgery.until = WallNow() + std::chrono::hours(1);
  forgery.alternative_names =
      "URI:" + identity::UriOf(mesh_.mesh_id, Role::kPeer, alpha_->key().id()) + ",DNS:alpha." +
      mesh_.mesh_id;
  EXPECT_EQ(DialWith(key, *identity::Certificate::Parse(identity::Forge(forgery))), "");
  EXPECT_TRUE(refusals_.WaitFor(Refusal::kKeyMismatch, Direction::kInbound));
}

TEST_F(CredentialsTest, AClientWithoutACertificateIsRefusedAndCounted) {
  EXPECT_EQ(Stream(DialWithoutCertificate(server_.address(), std::nullopt)).Ping(), "");
  EXPECT_TRUE(refusals_.WaitFor(Refusal::kNoCertificate, Direction::kInbound));
}

TEST_F(CredentialsTest, OnlyAdmittedRolesConnect) {
  Server peers_only(*alpha_, {.roles = {Role::kPeer}});
  const auto app = mesh_.Enrolled("app", Role::kClient);
  EXPECT_EQ(Stream(app->Dial(server_.address(), {})).Ping(), "app");
  EXPECT_EQ(Stream(app->Dial(peers_only.address(), {})).Ping(), "");
  EXPECT_TRUE(refusals_.WaitFor(Refusal::kWrongRole, Direction::kInbound));
}

TEST_F(CredentialsTest, EnrolmentAdmitsNoCertificateButNoWrongOne) {
  Server open(*alpha_, {.certificate_optional = true, .late = std::chrono::hours(168)});
  EXPECT_EQ(Stream(DialWithoutCertificate(open.address(), std::nullopt)).Ping(), "?");
  const TestMesh other;
  const auto key = PrivateKey::Make();
  EXPECT_EQ(Stream(other.Enrolled("beta")->Dial(open.address(), {})).Ping(), "");
  EXPECT_EQ(Stream(mesh_.Enrolled("beta")->Dial(open.address(), {})).Ping(), "beta");
}

TEST_F(CredentialsTest, TheCaIsBelievedOnlyUnderItsRoot) {
  const auto ca = mesh_.Enrolled("ca", Role::kCa);
  Server server(*ca, {.certificate_optional = true});
  EXPECT_EQ(Stream(DialWithoutCertificate(server.address(), mesh_.bundle())).Ping(), "?");
  EXPECT_EQ(Stream(DialWithoutCertificate(server.address(), TestMesh().bundle())).Ping(), "");
  Server peer(*alpha_, {.certificate_optional = true});
  EXPECT_EQ(Stream(DialWithoutCertificate(peer.address(), mesh_.bundle())).Ping(), "")
      << "a peer is not the CA";
}

TEST_F(CredentialsTest, RotationLeavesStreamsAloneAndReachesNewOnes) {
  const auto beta = mesh_.Enrolled("beta");
  Stream before(beta->Dial(server_.address(), {.expected = alpha_->key().id()}));
  ASSERT_EQ(before.Ping(), "beta");

  const auto fresh = mesh_.Issue(alpha_->key(), "alpha");
  ASSERT_TRUE(alpha_->Rotate(fresh).ok());
  EXPECT_EQ(alpha_->certificate().der(), fresh.der());
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  bool seen = false;
  while (!seen && std::chrono::steady_clock::now() < deadline) {
    Stream after(beta->Dial(server_.address(), {.expected = alpha_->key().id()}));
    ASSERT_EQ(after.Ping(), "beta") << "no dial fails meanwhile";
    seen = after.remote()->der() == fresh.der();
  }
  EXPECT_TRUE(seen);
  EXPECT_EQ(before.Ping(), "beta");
}

TEST_F(CredentialsTest, RotationReachesNewDialsAtOnce) {
  const auto beta = mesh_.Enrolled("beta");
  ASSERT_TRUE(beta->Rotate(mesh_.Issue(beta->key(), "renamed")).ok());
  EXPECT_EQ(Stream(beta->Dial(server_.address(), {})).Ping(), "renamed");
  EXPECT_EQ(beta->self().name, "renamed");
}

TEST_F(CredentialsTest, ABadRotationChangesNothing) {
  const auto beta = mesh_.Enrolled("beta");
  const auto& key = beta->key();
  EXPECT_FALSE(beta->Rotate(mesh_.Issue(PrivateKey::Make(), "beta")).ok()) << "another key";
  EXPECT_FALSE(beta->Rotate(TestMesh().Issue(key, "beta")).ok()) << "another CA";
  EXPECT_FALSE(beta->Rotate(mesh_.Issue(key, "beta", Role::kAdmin)).ok()) << "another role";
  EXPECT_FALSE(
      beta->Rotate(mesh_.Issue(key, "beta", Role::kPeer, WallNow() - std::chrono::hours(2))).ok())
      << "expired";
  EXPECT_EQ(Stream(beta->Dial(server_.address(), {})).Ping(), "beta");
}

TEST_F(CredentialsTest, ACertificateThatIsNotValidNowIsAMatterOfTheClock) {
  const auto beta = mesh_.Enrolled("beta");
  for (const auto when : {WallNow() - std::chrono::hours(3), WallNow() + std::chrono::hours(3)}) {
    const auto certificate = mesh_.Issue(beta->key(), "beta", Role::kPeer, when);
    const absl::Status rotated = beta->Rotate(certificate);
    EXPECT_EQ(rotated.code(), absl::StatusCode::kOutOfRange) << rotated;
    const auto created = Credentials::Create(beta->key(), certificate, mesh_.bundle(), {});
    EXPECT_EQ(created.status(), rotated) << "said in the same words";
  }
}

TEST_F(CredentialsTest, ARotationWithoutADescriptorChangesNothingAndMayBeRepeated) {
  const auto fresh = mesh_.Issue(alpha_->key(), "fresh");
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(DescriptorLimit(), before.rlim_cur);
  EXPECT_EQ(before.rlim_cur, std::min<rlim_t>(before.rlim_max, kWantedDescriptors));
  const rlimit none{0, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  const absl::Status refused = alpha_->Rotate(fresh);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted) << refused;
  EXPECT_NE(alpha_->certificate().der(), fresh.der());
  EXPECT_EQ(alpha_->self().name, "alpha");
  EXPECT_TRUE(alpha_->Rotate(fresh).ok());
  EXPECT_EQ(alpha_->self().name, "fresh");
}

TEST_F(CredentialsTest, ACertificateOfAnotherKeyMakesNoCredentials) {
  EXPECT_EQ(Credentials::Create(PrivateKey::Make(), alpha_->certificate(), mesh_.bundle(), {})
                .status()
                .code(),
            absl::StatusCode::kInvalidArgument);
}

int ConnectTo(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  return fd;
}

// The version that a handshake with the server ends in; empty if it fails. `highest` is all the
// client offers.
std::string Handshake(int port, int highest) {
  const std::unique_ptr<SSL_CTX, identity::OpenSslDeleter<SSL_CTX, SSL_CTX_free>> context(
      SSL_CTX_new(TLS_client_method()));
  SSL_CTX_clear_options(context.get(), SSL_OP_NO_TLSv1_2 | SSL_OP_NO_TLSv1_3);
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_max_proto_version(context.get(), highest);
  const int fd = ConnectTo(port);
  const std::unique_ptr<SSL, identity::OpenSslDeleter<SSL, SSL_free>> ssl(SSL_new(context.get()));
  SSL_set_fd(ssl.get(), fd);
  const unsigned char http2[] = "\x02h2";
  SSL_set_alpn_protos(ssl.get(), http2, sizeof http2 - 1);
  const std::string version = SSL_connect(ssl.get()) == 1 ? SSL_get_version(ssl.get()) : "";
  ERR_clear_error();
  close(fd);
  return version;
}

TEST_F(CredentialsTest, Tls12IsNotSpoken) {
  EXPECT_EQ(Handshake(server_.port(), TLS1_2_VERSION), "");
  EXPECT_EQ(Handshake(server_.port(), TLS1_3_VERSION), "TLSv1.3");
}

TEST_F(CredentialsTest, WhatIsNotTlsIsCutOff) {
  const std::string http2 = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + std::string(9, '\0');
  std::string noise;
  std::uint32_t state = 1;
  for (int i = 0; i < 4096; ++i) {
    state = state * 1664525u + 1013904223u;  // the same noise in every run
    noise.push_back(static_cast<char>(state >> 24));
  }
  for (const std::string& bytes : {http2, noise}) {
    const int fd = ConnectTo(server_.port());
    ASSERT_EQ(send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
    // At most an alert comes back, then the end.
    std::size_t answered = 0;
    char buffer[256];
    for (ssize_t got = 0; (got = recv(fd, buffer, sizeof buffer, 0)) > 0;) {
      answered += static_cast<std::size_t>(got);
    }
    EXPECT_LE(answered, 7u);
    close(fd);
  }
  EXPECT_EQ(Stream(mesh_.Enrolled("beta")->Dial(server_.address(), {})).Ping(), "beta")
      << "the server is unharmed";
}

}  // namespace
}  // namespace peermesh::tls
