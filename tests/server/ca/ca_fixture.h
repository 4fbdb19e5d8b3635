// A real CA in a directory of its own, and the small change of enrolling with it.
#ifndef PEERMESH_TESTS_SERVER_CA_CA_FIXTURE_H_
#define PEERMESH_TESTS_SERVER_CA_CA_FIXTURE_H_

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <memory>
#include <string>

#include "mesh/base/check.h"
#include "mesh/identity/token.h"
#include "peermesh/ca/v1/ca.grpc.pb.h"
#include "server/ca/ca_server.h"
#include "server/ca/enrol.h"
#include "server/tls/credentials.h"
#include "server/tls/files.h"
#include "server/tls/process.h"

namespace peermesh::ca {

inline std::string MakeDirectory() {
  std::string pattern = testing::TempDir() + "peermesh-ca-XXXXXX";
  PM_CHECK(mkdtemp(pattern.data()) != nullptr);
  return pattern;
}

inline void PrepareProcess() {
  static const bool ready = [] {
    const bool good = tls::InitProcess(tls::Signals::kLeave).ok();
    tls::SetGrpcLogSink([](tls::GrpcSeverity, std::string_view, int, std::string_view) {});
    return good;
  }();
  ASSERT_TRUE(ready);
}

// Speaks to the token socket of a CA, wherever it runs.
class Operator {
 public:
  explicit Operator(const std::string& socket)
      : stub_(v1::TokenService::NewStub(tls::DialSocket(socket))) {}

  template <class Request, class Response>
  grpc::Status Call(grpc::Status (v1::TokenService::Stub::*method)(grpc::ClientContext*,
                                                                   const Request&, Response*),
                    const Request& request, Response* response) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
    context.set_wait_for_ready(true);
    return (stub_.get()->*method)(&context, request, response);
  }
  v1::CreateTokenResponse Create(const v1::CreateTokenRequest& request = {}) {
    v1::CreateTokenResponse response;
    const grpc::Status status = Call(&v1::TokenService::Stub::CreateToken, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }
  identity::Token Token(const v1::CreateTokenRequest& request = {}) {
    const auto token = identity::ParseToken(Create(request).token());
    PM_CHECK(token.ok());
    return *token;
  }
  v1::Token Describe(const std::string& id) {
    v1::ListTokensResponse response;
    const grpc::Status status =
        Call(&v1::TokenService::Stub::ListTokens, v1::ListTokensRequest(), &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    for (const v1::Token& token : response.tokens()) {
      if (token.id() == id) return token;
    }
    ADD_FAILURE() << "no token " << id;
    return {};
  }

 private:
  std::unique_ptr<v1::TokenService::Stub> stub_;
};

class CaTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { PrepareProcess(); }
  void SetUp() override { Start(); }
  void TearDown() override {
    ca_.reset();
    std::filesystem::remove_all(directory_);
  }
  void Start() {
    ca_.reset();
    auto ca = CaServer::Open({.directory = directory_,
                              .create = true,
                              .listen = "127.0.0.1:0",
                              .advertise = "",
                              .certificate_lifetime = kDefaultCertificateLifetime,
                              .now = [this] { return RealNow() + offset_.load(); }});
    ASSERT_TRUE(ca.ok()) << ca.status();
    ca_ = *std::move(ca);
    const absl::Status status = ca_->Listen();
    ASSERT_TRUE(status.ok()) << status;
  }
  static WallTime RealNow() {
    return std::chrono::time_point_cast<std::chrono::microseconds>(
        std::chrono::system_clock::now());
  }

  Operator operator_side() const { return Operator(ca_->socket()); }
  absl::StatusOr<Enrolment> Join(const identity::Token& token, const std::string& name,
                                 const tls::PrivateKey& key) {
    return Enrol(token, key, {.name = name, .hosts = {"localhost", "127.0.0.1"}});
  }

  std::string directory_ = MakeDirectory();
  std::atomic<Duration> offset_{Duration::zero()};  // how far the CA's clock is ahead
  std::unique_ptr<CaServer> ca_;
};

}  // namespace peermesh::ca

#endif  // PEERMESH_TESTS_SERVER_CA_CA_FIXTURE_H_
