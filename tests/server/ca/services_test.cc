#include <sys/stat.h>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "server/ca/authority.h"
#include "server/ca/call_limiter.h"
#include "server/ca/enrolment_service.h"
#include "server/ca/errors.h"
#include "tests/server/ca/ca_fixture.h"

namespace peermesh::ca {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

class ServicesTest : public CaTest {
 protected:
  template <class Request, class Response>
  std::string Reason(grpc::Status (v1::TokenService::Stub::*method)(grpc::ClientContext*,
                                                                    const Request&, Response*),
                     const Request& request) {
    Response response;
    const grpc::Status status = operator_side().Call(method, request, &response);
    return status.ok() ? "ok" : ReasonOf(status);
  }
  std::string ReasonOfCreate(const v1::CreateTokenRequest& request) {
    return Reason(&v1::TokenService::Stub::CreateToken, request);
  }
  v1::IssueClientRequest ClientRequest(const std::string& name, v1::Role role,
                                       const tls::PrivateKey& key) {
    v1::IssueClientRequest request;
    request.set_name(name);
    request.set_role(role);
    request.set_certificate_request(key.MakeRequest());
    return request;
  }
  std::string ReasonOfIssue(const v1::IssueClientRequest& request) {
    return Reason(&v1::TokenService::Stub::IssueClient, request);
  }
  // Join as a raw call, so that anything can be said.
  grpc::Status RawJoin(v1::EnrolmentService::Stub& stub, const v1::JoinRequest& request) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + seconds(10));
    v1::JoinResponse response;
    return stub.Join(&context, request, &response);
  }
  std::unique_ptr<v1::EnrolmentService::Stub> Public() {
    return v1::EnrolmentService::NewStub(
        tls::DialWithoutCertificate(ca_->address(), ca_->bundle()));
  }
};

TEST_F(ServicesTest, TheSocketIsTheOperatorsAlone) {
  struct stat info {};
  ASSERT_EQ(stat(ca_->socket().c_str(), &info), 0);
  EXPECT_TRUE(S_ISSOCK(info.st_mode));
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(ServicesTest, EachPortServesItsOwnMethodsOnly) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + seconds(10));
  v1::CreateTokenResponse token;
  const grpc::Status over_network =
      v1::TokenService::NewStub(tls::DialWithoutCertificate(ca_->address(), ca_->bundle()))
          ->CreateToken(&context, v1::CreateTokenRequest(), &token);
  EXPECT_EQ(over_network.error_code(), grpc::StatusCode::UNIMPLEMENTED);
  grpc::ClientContext other;
  other.set_deadline(std::chrono::system_clock::now() + seconds(10));
  v1::JoinResponse joined;
  const grpc::Status over_socket = v1::EnrolmentService::NewStub(tls::DialSocket(ca_->socket()))
                                       ->Join(&other, v1::JoinRequest(), &joined);
  EXPECT_EQ(over_socket.error_code(), grpc::StatusCode::UNIMPLEMENTED);
}

TEST_F(ServicesTest, ATokenCarriesThePinAndTheAddress) {
  const auto response = operator_side().Create();
  const auto token = identity::ParseToken(response.token());
  ASSERT_TRUE(token.ok()) << token.status();
  const auto root = identity::Certificate::Parse(ca_->bundle().roots().front());
  EXPECT_EQ(token->ca_pin, identity::PinOf(root->spki()));
  EXPECT_EQ(token->address, ca_->address());
  EXPECT_EQ(token->id, response.info().id());
  EXPECT_EQ(response.info().state(), v1::TOKEN_STATE_ISSUED);
  EXPECT_EQ(response.info().expires().seconds() - response.info().created().seconds(), 3600);
  v1::CreateTokenRequest elsewhere;
  elsewhere.set_ca_address("ca.example:99");
  EXPECT_EQ(operator_side().Token(elsewhere).address, "ca.example:99");
}

TEST_F(ServicesTest, ABadTokenRequestIsRefusedWithItsReason) {
  v1::CreateTokenRequest request;
  request.set_name("Not A Name");
  EXPECT_EQ(ReasonOfCreate(request), "BAD_NAME");
  request.set_name(std::string(kCaName));
  EXPECT_EQ(ReasonOfCreate(request), "BAD_NAME");
  request.clear_name();
  request.add_seeds("no port");
  EXPECT_EQ(ReasonOfCreate(request), "BAD_ADDRESS");
  request.clear_seeds();
  request.set_ca_address("x");
  EXPECT_EQ(ReasonOfCreate(request), "BAD_ADDRESS");
  request.clear_ca_address();
  for (const std::int64_t bad : {std::int64_t{-1}, std::int64_t{0}, std::int64_t{7 * 86400 + 1},
                                 std::numeric_limits<std::int64_t>::max()}) {
    request.mutable_lifetime()->set_seconds(bad);
    EXPECT_EQ(ReasonOfCreate(request), "BAD_LIFETIME") << bad;
  }
  request.mutable_lifetime()->set_seconds(7 * 86400);
  EXPECT_EQ(ReasonOfCreate(request), "ok");
}

TEST_F(ServicesTest, RevokingHasItsReasons) {
  v1::RevokeTokenRequest request;
  request.set_id("aaaaaaaaaa");
  EXPECT_EQ(Reason(&v1::TokenService::Stub::RevokeToken, request), "UNKNOWN_TOKEN");
  const auto token = operator_side().Token();
  ASSERT_TRUE(Join(token, "beta", tls::PrivateKey::Make()).ok());
  request.set_id(token.id);
  EXPECT_EQ(Reason(&v1::TokenService::Stub::RevokeToken, request), "TOKEN_USED");
}

TEST_F(ServicesTest, ClientsGetTheirRoleAndNameAndRenewAsTheyAre) {
  for (const auto& [name, role, expected] :
       {std::tuple{"app", v1::ROLE_CLIENT, identity::Role::kClient},
        std::tuple{"boss", v1::ROLE_ADMIN, identity::Role::kAdmin}}) {
    const auto key = tls::PrivateKey::Make();
    v1::IssueClientResponse response;
    const grpc::Status status = operator_side().Call(&v1::TokenService::Stub::IssueClient,
                                                     ClientRequest(name, role, key), &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(response.mesh_id(), ca_->mesh_id());
    const auto verdict = identity::Verify(response.certificate(), ca_->bundle(), RealNow(),
                                          {.expected = key.id(), .roles = {expected}});
    ASSERT_TRUE(verdict.ok()) << identity::ToString(verdict.refusal());
    EXPECT_EQ(verdict.identity().name, name);
    const auto renewed = Renew(
        {key, *identity::Certificate::Parse(response.certificate()), ca_->bundle(), ca_->address()},
        {});
    ASSERT_TRUE(renewed.ok()) << renewed.status();
    EXPECT_EQ(renewed->Claims()->role, expected);
    EXPECT_GT(renewed->not_after(), RealNow() + hours(24 * 89)) << "as long as it was asked for";
  }
}

TEST_F(ServicesTest, ABadClientRequestIsRefusedWithItsReason) {
  const auto key = tls::PrivateKey::Make();
  EXPECT_EQ(ReasonOfIssue(ClientRequest("app", v1::ROLE_PEER, key)), "BAD_ROLE");
  EXPECT_EQ(ReasonOfIssue(ClientRequest("a b", v1::ROLE_CLIENT, key)), "BAD_NAME");
  auto request = ClientRequest("app", v1::ROLE_CLIENT, key);
  request.mutable_lifetime()->set_seconds(366 * 86400);
  EXPECT_EQ(ReasonOfIssue(request), "BAD_LIFETIME");
  request.clear_lifetime();
  request.set_certificate_request("x");
  EXPECT_EQ(ReasonOfIssue(request), "BAD_REQUEST_KEY");
  EXPECT_EQ(ReasonOfIssue(ClientRequest("app", v1::ROLE_CLIENT, key)), "ok");
  EXPECT_EQ(ReasonOfIssue(ClientRequest("app", v1::ROLE_CLIENT, tls::PrivateKey::Make())),
            "NAME_TAKEN");
}

TEST_F(ServicesTest, JoinsNameTheirFaults) {
  const auto stub = Public();
  v1::JoinRequest request;
  EXPECT_EQ(ReasonOf(RawJoin(*stub, request)), "BAD_NAME");
  request.set_name("beta");
  EXPECT_EQ(ReasonOf(RawJoin(*stub, request)), "BAD_REQUEST_KEY");
  request.set_certificate_request(tls::PrivateKey::Make().MakeRequest());
  request.add_hosts("a b");
  EXPECT_EQ(ReasonOf(RawJoin(*stub, request)), "BAD_HOST");
  request.clear_hosts();
  EXPECT_EQ(ReasonOf(RawJoin(*stub, request)), "TOKEN_REFUSED");
  request.set_token_secret(std::string(kMaxCaMessageBytes, 'a'));
  EXPECT_EQ(RawJoin(*stub, request).error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED)
      << "longer than a message may be";
}

TEST_F(ServicesTest, JoinsAreRationedForEachAddressWithATimeToRetry) {
  const auto stub = Public();
  v1::JoinRequest request;
  request.set_name("beta");
  grpc::Status status;
  for (int i = 0; i < 2 * kJoinBurst && ReasonOf(status) != "RATE_LIMITED"; ++i) {
    status = RawJoin(*stub, request);
  }
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  ASSERT_EQ(ReasonOf(status), "RATE_LIMITED");
  google::rpc::Status details;
  ASSERT_TRUE(details.ParseFromString(status.error_details()));
  ASSERT_EQ(details.details_size(), 2);
  google::rpc::ErrorInfo info;
  ASSERT_TRUE(details.details(0).UnpackTo(&info));
  EXPECT_EQ(info.domain(), "peermesh");
  google::rpc::RetryInfo retry;
  ASSERT_TRUE(details.details(1).UnpackTo(&retry));
  EXPECT_LE(retry.retry_delay().seconds(), 1);
  EXPECT_GT(retry.retry_delay().seconds() * 1'000'000'000 + retry.retry_delay().nanos(), 0);
}

class AuthorityTest : public testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove_all(directory_); }
  absl::StatusOr<Authority> Open(Authority::Missing missing) {
    return Authority::Open(directory_, missing, WallTime(seconds(1'800'000'000)));
  }
  std::string directory_ = MakeDirectory();
};

TEST_F(AuthorityTest, IsMadeOnceAndOnlyOnRequest) {
  EXPECT_EQ(Open(Authority::Missing::kRefuse).status().code(), absl::StatusCode::kNotFound);
  const auto made = Open(Authority::Missing::kCreate);
  ASSERT_TRUE(made.ok()) << made.status();
  const auto again = Open(Authority::Missing::kCreate);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->root().der(), made->root().der());
  EXPECT_EQ(Open(Authority::Missing::kRefuse)->mesh_id(), made->mesh_id());
}

TEST_F(AuthorityTest, ALostKeyIsNeverReplaced) {
  ASSERT_TRUE(Open(Authority::Missing::kCreate).ok());
  std::filesystem::remove(directory_ + "/root-key.pem");
  EXPECT_EQ(Open(Authority::Missing::kCreate).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(AuthorityTest, ACrashBetweenKeyAndRootIsMended) {
  const auto made = Open(Authority::Missing::kCreate);
  ASSERT_TRUE(made.ok());
  std::filesystem::remove(directory_ + "/root.pem");
  const auto again = Open(Authority::Missing::kCreate);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->mesh_id(), made->mesh_id());
}

TEST_F(AuthorityTest, AnOpenKeyOrAForeignRootIsRefused) {
  ASSERT_TRUE(Open(Authority::Missing::kCreate).ok());
  const auto other = tls::MakeRoot(tls::PrivateKey::Make(), WallTime(seconds(1'800'000'000)));
  ASSERT_TRUE(tls::WritePrivateFile(directory_ + "/root.pem", other.ToPem()).ok());
  EXPECT_EQ(Open(Authority::Missing::kCreate).status().code(),
            absl::StatusCode::kFailedPrecondition);
  ASSERT_EQ(chmod((directory_ + "/root-key.pem").c_str(), 0640), 0);
  EXPECT_EQ(Open(Authority::Missing::kCreate).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST(AddressKey, HoldsNoPortAndOnlyTheNetworkOfAnIpv6Address) {
  EXPECT_EQ(AddressKey("ipv4:192.0.2.1:5000"), AddressKey("ipv4:192.0.2.1:6000"));
  EXPECT_NE(AddressKey("ipv4:192.0.2.1:5000"), AddressKey("ipv4:192.0.2.2:5000"));
  const std::string one = AddressKey("ipv6:%5B2001:db8:1:2::1%5D:5000");
  EXPECT_EQ(one, AddressKey("ipv6:%5B2001:db8:1:2:3:4:5:6%5D:6000"));
  EXPECT_NE(one, AddressKey("ipv6:%5B2001:db8:1:3::1%5D:5000"));
  EXPECT_EQ(AddressKey("ipv6:%5Bfe80::1%25eth0%5D:5000"),
            AddressKey("ipv6:%5Bfe80::2%25eth0%5D:1"));
}

TEST(CallLimiter, KeysDoNotDisturbEachOtherAndIdleOnesAreForgotten) {
  CallLimiter limiter(limits::Rate::PerSecond(1, 2));
  Instant now{};
  EXPECT_EQ(limiter.TryTake("a", now), std::nullopt);
  EXPECT_EQ(limiter.TryTake("a", now), std::nullopt);
  EXPECT_EQ(limiter.TryTake("a", now), seconds(1));
  EXPECT_EQ(limiter.TryTake("b", now), std::nullopt);
  for (std::size_t i = limiter.size(); i < CallLimiter::kMaxKeys; ++i) {
    ASSERT_EQ(limiter.TryTake(std::to_string(i), now), std::nullopt);
  }
  EXPECT_NE(limiter.TryTake("one too many", now), std::nullopt);
  EXPECT_EQ(limiter.size(), CallLimiter::kMaxKeys);
  now += seconds(10);
  EXPECT_EQ(limiter.TryTake("one too many", now), std::nullopt);
  EXPECT_EQ(limiter.size(), 1u);
}

}  // namespace
}  // namespace peermesh::ca
