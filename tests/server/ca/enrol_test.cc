#include "server/ca/enrol.h"

#include "mesh/identity/certificate_impl.h"
#include "server/ca/authority.h"
#include "server/ca/enrolment_service.h"
#include "server/ca/errors.h"
#include "tests/server/ca/ca_fixture.h"

namespace peermesh::ca {
namespace {

using std::chrono::hours;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;

using EnrolTest = CaTest;

TEST_F(EnrolTest, ATokenGivesAnIdentity) {
  v1::CreateTokenRequest request;
  request.add_seeds("alpha.example:7443");
  const auto key = tls::PrivateKey::Make();
  const auto enrolment = Join(operator_side().Token(request), "beta", key);
  ASSERT_TRUE(enrolment.ok()) << enrolment.status();
  EXPECT_EQ(enrolment->seeds, std::vector<std::string>{"alpha.example:7443"});
  EXPECT_EQ(enrolment->material.ca_address, ca_->address());
  EXPECT_EQ(enrolment->material.bundle.mesh_id(), ca_->mesh_id());
  const auto verdict = identity::Verify(enrolment->material.certificate, ca_->bundle(), RealNow(),
                                        {.expected = key.id()});
  ASSERT_TRUE(verdict.ok());
  EXPECT_EQ(verdict.identity().name, "beta");
  EXPECT_LE(verdict.identity().not_after, RealNow() + kDefaultCertificateLifetime);
  ASSERT_TRUE(tls::EnsurePrivateDirectory(directory_ + "/peer").ok());
  ASSERT_TRUE(tls::WritePrivateFile(directory_ + "/peer/key.pem", key.ToPem()).ok());
  ASSERT_TRUE(tls::SaveMaterial(directory_ + "/peer", enrolment->material).ok());
  EXPECT_TRUE(tls::LoadMaterial(directory_ + "/peer").ok());
}

TEST_F(EnrolTest, TheSameKeyMayAskAgainEvenAfterARestart) {
  auto token = operator_side().Token();
  const auto key = tls::PrivateKey::Make();
  const auto first = Join(token, "beta", key);
  ASSERT_TRUE(first.ok()) << first.status();
  Start();
  token.address = ca_->address();  // another port by now
  const auto second = Join(token, "beta", key);
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(second->material.certificate.der(), first->material.certificate.der());
}

TEST_F(EnrolTest, AnotherKeyIsRefusedAndShown) {
  const auto token = operator_side().Token();
  ASSERT_TRUE(Join(token, "beta", tls::PrivateKey::Make()).ok());
  EXPECT_EQ(Join(token, "mallory", tls::PrivateKey::Make()).status().code(),
            absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(operator_side().Describe(token.id).state(), v1::TOKEN_STATE_ABUSED);
  EXPECT_EQ(operator_side().Describe(token.id).name(), "beta");
}

TEST_F(EnrolTest, ExpiredRevokedUnknownAndWrongSoundTheSame) {
  const auto key = tls::PrivateKey::Make();
  auto unknown = operator_side().Token();
  unknown.id = "aaaaaaaaaa";
  const absl::Status refused = Join(unknown, "beta", key).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kUnauthenticated);

  auto wrong = operator_side().Token();
  wrong.secret = std::string(identity::kTokenSecretChars, 'a');
  EXPECT_EQ(Join(wrong, "beta", key).status(), refused);

  const auto revoked = operator_side().Token();
  v1::RevokeTokenRequest request;
  request.set_id(revoked.id);
  v1::RevokeTokenResponse response;
  ASSERT_TRUE(operator_side().Call(&v1::TokenService::Stub::RevokeToken, request, &response).ok());
  EXPECT_EQ(response.token().state(), v1::TOKEN_STATE_REVOKED);
  EXPECT_EQ(Join(revoked, "beta", key).status(), refused);

  const auto expired = operator_side().Token();
  offset_ = hours(1) + seconds(1);
  EXPECT_EQ(Join(expired, "beta", key).status(), refused);
  EXPECT_EQ(operator_side().Describe(expired.id).state(), v1::TOKEN_STATE_EXPIRED);
}

TEST_F(EnrolTest, NamesAreCheckedDemandedAndUnique) {
  const auto key = tls::PrivateKey::Make();
  for (const std::string& bad : {std::string("Not A Name"), std::string(kCaName), std::string()}) {
    EXPECT_EQ(Join(operator_side().Token(), bad, key).status().code(),
              absl::StatusCode::kInvalidArgument)
        << bad;
  }
  v1::CreateTokenRequest request;
  request.set_name("beta");
  const auto token = operator_side().Token(request);
  EXPECT_THAT(std::string(Join(token, "gamma", key).status().message()), HasSubstr("--name beta"));
  ASSERT_TRUE(Join(token, "beta", key).ok());
  const auto other = operator_side().Token();
  EXPECT_EQ(Join(other, "beta", tls::PrivateKey::Make()).status().code(),
            absl::StatusCode::kAlreadyExists);
  EXPECT_TRUE(Join(other, "gamma", tls::PrivateKey::Make()).ok()) << "the token was not spent";
}

// Its DNS names and addresses, as OpenSSL prints them.
std::string SubjectNames(const identity::Certificate& certificate) {
  const auto bio = identity::BioPtr(BIO_new(BIO_s_mem()));
  X509* x509 = certificate.impl().x509.get();
  const int at = X509_get_ext_by_NID(x509, NID_subject_alt_name, -1);
  PM_CHECK(X509V3_EXT_print(bio.get(), X509_get_ext(x509, at), 0, 0) == 1);
  return identity::BytesOf(bio.get());
}

TEST_F(EnrolTest, HostsThatNoCertificateCanHoldCostNoIdentity) {
  std::vector<std::string> hosts = {"Alpha.Example.ORG", "alpha.example.org.", "::1",
                                    "fe80::1%eth0",      "my_container",       ""};
  hosts.push_back(identity::DnsNameOf("gamma", ca_->mesh_id()));
  for (int i = 0; i < 20; ++i) hosts.push_back("many" + std::to_string(i));
  const auto enrolment =
      Enrol(operator_side().Token(), tls::PrivateKey::Make(), {.name = "beta", .hosts = hosts});
  ASSERT_TRUE(enrolment.ok()) << enrolment.status();
  const auto renewed = Renew(enrolment->material, hosts);
  ASSERT_TRUE(renewed.ok()) << renewed.status();
  for (const auto& certificate : {enrolment->material.certificate, *renewed}) {
    const std::string names = SubjectNames(certificate);
    EXPECT_THAT(names, HasSubstr("DNS:alpha.example.org, IP Address:0:0:0:0:0:0:0:1, DNS:many0"));
    EXPECT_THAT(names, HasSubstr("DNS:many13"));
    EXPECT_THAT(names, Not(HasSubstr("many14"))) << "sixteen at most";
    EXPECT_THAT(names, Not(HasSubstr("gamma")));
  }
}

TEST_F(EnrolTest, ACaThatIsNotThereIsUnavailable) {
  auto token = operator_side().Token();
  ca_.reset();
  EXPECT_EQ(Join(token, "beta", tls::PrivateKey::Make()).status().code(),
            absl::StatusCode::kUnavailable);
}

// Stands in between: answers GetBundle as it is told and remembers what it hears.
class Eavesdropper final : public v1::EnrolmentService::CallbackService {
 public:
  explicit Eavesdropper(std::string shown_root, std::string mesh_id, tls::Credentials& credentials)
      : root_(std::move(shown_root)), mesh_id_(std::move(mesh_id)) {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", credentials.ForServer({.certificate_optional = true}),
                             &port);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
    PM_CHECK(server_ != nullptr);
    address_ = "127.0.0.1:" + std::to_string(port);
  }
  ~Eavesdropper() override { server_->Shutdown(std::chrono::system_clock::now()); }

  grpc::ServerUnaryReactor* GetBundle(grpc::CallbackServerContext* context,
                                      const v1::GetBundleRequest*,
                                      v1::GetBundleResponse* response) override {
    ++bundles;
    response->set_mesh_id(mesh_id_);
    response->add_roots(root_);
    auto* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
  grpc::ServerUnaryReactor* Join(grpc::CallbackServerContext* context, const v1::JoinRequest*,
                                 v1::JoinResponse*) override {
    ++joins;
    auto* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
  const std::string& address() const { return address_; }

  std::atomic<int> bundles{0};
  std::atomic<int> joins{0};

 private:
  const std::string root_;
  const std::string mesh_id_;
  std::string address_;
  std::unique_ptr<grpc::Server> server_;
};

class EavesdroppedTest : public CaTest {
 protected:
  // A CA of somebody else's, as the one in between has.
  void SetUp() override {
    CaTest::SetUp();
    auto authority = Authority::Open(directory_ + "/other", Authority::Missing::kCreate, RealNow());
    ASSERT_TRUE(authority.ok()) << authority.status();
    const auto key = tls::PrivateKey::Make();
    const auto certificate = authority->Issue(key.spki(),
                                              {.role = identity::Role::kCa,
                                               .name = std::string(kCaName),
                                               .mesh_id = {},
                                               .hosts = {},
                                               .lifetime = hours(1)},
                                              RealNow());
    ASSERT_TRUE(certificate.ok());
    auto credentials = tls::Credentials::Create(key, *certificate, authority->bundle(), {});
    ASSERT_TRUE(credentials.ok()) << credentials.status();
    credentials_ = *std::move(credentials);
    token_ = operator_side().Token();
  }
  std::unique_ptr<tls::Credentials> credentials_ = nullptr;
  identity::Token token_;

 private:
  const bool made_ = tls::EnsurePrivateDirectory(directory_ + "/other").ok();
};

TEST_F(EavesdroppedTest, AnotherRootIsNoticedBeforeTheSecretIsSaid) {
  Eavesdropper between(credentials_->bundle().roots().front(), credentials_->bundle().mesh_id(),
                       *credentials_);
  token_.address = between.address();
  const auto status = Join(token_, "beta", tls::PrivateKey::Make()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("nothing secret was sent"));
  EXPECT_THAT(std::string(status.message()), Not(HasSubstr(token_.secret)));
  EXPECT_EQ(between.bundles, 1);
  EXPECT_EQ(between.joins, 0);
}

TEST_F(EavesdroppedTest, TheRightRootInWrongHandsDoesNotGetTheSecretEither) {
  Eavesdropper between(ca_->bundle().roots().front(), ca_->mesh_id(), *credentials_);
  token_.address = between.address();
  EXPECT_EQ(Join(token_, "beta", tls::PrivateKey::Make()).status().code(),
            absl::StatusCode::kUnavailable);
  EXPECT_EQ(between.bundles, 1);
  EXPECT_EQ(between.joins, 0);
}

class RenewTest : public CaTest {
 protected:
  void SetUp() override {
    CaTest::SetUp();
    const auto enrolment = Join(operator_side().Token(), "beta", key_);
    ASSERT_TRUE(enrolment.ok()) << enrolment.status();
    material_ = enrolment->material;
  }
  // As if the certificate had been issued so long ago.
  tls::Material Aged(Duration age) {
    auto authority = Authority::Open(directory_, Authority::Missing::kRefuse, RealNow());
    EXPECT_TRUE(authority.ok()) << authority.status();
    const auto old = authority->Issue(key_.spki(),
                                      {.role = identity::Role::kPeer,
                                       .name = "beta",
                                       .mesh_id = {},
                                       .hosts = {},
                                       .lifetime = kDefaultCertificateLifetime},
                                      RealNow() - age);
    EXPECT_TRUE(old.ok()) << old.status();
    tls::Material aged = *material_;
    aged.certificate = *old;
    return aged;
  }
  // Renew as a caller with this certificate, for a request of that key.
  std::string ReasonFor(const std::shared_ptr<grpc::Channel>& channel,
                        const tls::PrivateKey& requested) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + seconds(10));
    v1::RenewRequest request;
    request.set_certificate_request(requested.MakeRequest());
    v1::RenewResponse response;
    const grpc::Status status =
        v1::EnrolmentService::NewStub(channel)->Renew(&context, request, &response);
    EXPECT_FALSE(status.ok());
    return ReasonOf(status);
  }

  const tls::PrivateKey key_ = tls::PrivateKey::Make();
  std::optional<tls::Material> material_;
};

TEST_F(RenewTest, GivesAFreshCertificateForTheSameKeyNameAndRole) {
  const auto renewed = Renew(*material_, {"localhost"});
  ASSERT_TRUE(renewed.ok()) << renewed.status();
  EXPECT_NE(renewed->der(), material_->certificate.der());
  EXPECT_EQ(renewed->spki(), material_->certificate.spki());
  EXPECT_EQ(renewed->Claims()->name, "beta");
  auto credentials = tls::Credentials::Create(key_, material_->certificate, material_->bundle, {});
  ASSERT_TRUE(credentials.ok());
  EXPECT_TRUE((*credentials)->Rotate(*renewed).ok());
}

TEST_F(RenewTest, MayBeAWeekLate) {
  const auto renewed = Renew(Aged(hours(24 * 14 - 1)), {});
  ASSERT_TRUE(renewed.ok()) << renewed.status();
  EXPECT_GT(renewed->not_after(), RealNow() + hours(24));
}

TEST_F(RenewTest, TooLateNeedsAToken) {
  const auto status = Renew(Aged(hours(24 * 14 + 1)), {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnauthenticated);
  EXPECT_THAT(std::string(status.message()), HasSubstr("Join again with a token"));
}

TEST_F(RenewTest, NeedsACertificate) {
  EXPECT_EQ(ReasonFor(tls::DialWithoutCertificate(ca_->address(), ca_->bundle()), key_),
            "CERTIFICATE_REQUIRED");
}

TEST_F(RenewTest, IsForTheSameKeyOnly) {
  EXPECT_EQ(ReasonFor(tls::DialToRenew(ca_->address(), key_, material_->certificate, ca_->bundle()),
                      tls::PrivateKey::Make()),
            "KEY_MISMATCH");
}

TEST_F(RenewTest, AForeignCertificateDoesNotConnect) {
  const auto root_key = tls::PrivateKey::Make();
  const auto root = tls::MakeRoot(root_key, RealNow());
  const auto forged = tls::IssueCertificate(root_key, root, key_.spki(),
                                            {.role = identity::Role::kPeer,
                                             .name = "beta",
                                             .mesh_id = ca_->mesh_id(),
                                             .hosts = {},
                                             .lifetime = hours(1)},
                                            RealNow());
  ASSERT_TRUE(forged.ok());
  tls::Material material = *material_;
  material.certificate = *forged;
  EXPECT_EQ(Renew(material, {}).status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(RenewTest, IsRationedForEachIdentity) {
  const auto channel =
      tls::DialToRenew(ca_->address(), key_, material_->certificate, ca_->bundle());
  std::string reason;
  for (int i = 0; i < 2 * kRenewalBurst && reason != "RATE_LIMITED"; ++i) {
    reason = ReasonFor(channel, tls::PrivateKey::Make());
  }
  EXPECT_EQ(reason, "RATE_LIMITED");
}

TEST_F(RenewTest, OwnCertificateOfTheCaIsKeptFresh) { EXPECT_TRUE(ca_->Refresh().ok()); }

TEST(RenewalTime, LiesBetweenFiftyAndEightyPercent) {
  const auto key = tls::PrivateKey::Make();
  const WallTime now{seconds(1'800'000'000)};
  const auto root = tls::MakeRoot(key, now);
  const auto certificate = tls::IssueCertificate(key, root, key.spki(),
                                                 {.role = identity::Role::kPeer,
                                                  .name = "a",
                                                  .mesh_id = identity::MeshIdOf(key.spki()),
                                                  .hosts = {},
                                                  .lifetime = hours(100)},
                                                 now);
  ASSERT_TRUE(certificate.ok());
  EXPECT_EQ(RenewalTime(*certificate, 0), now + hours(50));
  EXPECT_EQ(RenewalTime(*certificate, 3000), now + hours(80));
  EXPECT_EQ(RenewalTime(*certificate, 3001), now + hours(50));
  EXPECT_EQ(RenewalTime(*certificate, 1000), now + hours(60));
}

}  // namespace
}  // namespace peermesh::ca
