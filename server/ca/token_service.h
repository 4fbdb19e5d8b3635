// The CA's management: tokens and client certificates (peermesh.ca.v1.TokenService).
//
// Served on a unix socket of mode 0600 only: whoever can connect is the CA's operator.
// Thread-safe; outlives its server.
#ifndef PEERMESH_SERVER_CA_TOKEN_SERVICE_H_
#define PEERMESH_SERVER_CA_TOKEN_SERVICE_H_

#include <chrono>
#include <functional>
#include <string>

#include "mesh/base/time.h"
#include "peermesh/ca/v1/ca.grpc.pb.h"
#include "server/ca/authority.h"
#include "server/process/worker.h"
#include "server/store/ca_store.h"

namespace peermesh::ca {

// Long enough to walk to the other host.
inline constexpr Duration kDefaultTokenLifetime = std::chrono::hours(1);
// Beyond, nobody remembers it exists.
inline constexpr Duration kMaxTokenLifetime = std::chrono::hours(24 * 7);
inline constexpr Duration kDefaultClientLifetime = std::chrono::hours(24 * 90);
inline constexpr Duration kMaxClientLifetime = std::chrono::hours(24 * 365);

class TokenService final : public v1::TokenService::CallbackService {
 public:
  struct Options {
    const Authority* authority = nullptr;
    store::CaStore* store = nullptr;  // touched on the worker only
    Worker* worker = nullptr;
    std::function<WallTime()> now;
    std::string address;  // "host:port" of the enrolment port as joiners reach it
  };
  explicit TokenService(Options options) : options_(std::move(options)) {}

  grpc::ServerUnaryReactor* CreateToken(grpc::CallbackServerContext* context,
                                        const v1::CreateTokenRequest* request,
                                        v1::CreateTokenResponse* response) override;
  grpc::ServerUnaryReactor* ListTokens(grpc::CallbackServerContext* context,
                                       const v1::ListTokensRequest* request,
                                       v1::ListTokensResponse* response) override;
  grpc::ServerUnaryReactor* RevokeToken(grpc::CallbackServerContext* context,
                                        const v1::RevokeTokenRequest* request,
                                        v1::RevokeTokenResponse* response) override;
  grpc::ServerUnaryReactor* IssueClient(grpc::CallbackServerContext* context,
                                        const v1::IssueClientRequest* request,
                                        v1::IssueClientResponse* response) override;

 private:
  grpc::Status DoCreateToken(const v1::CreateTokenRequest& request,
                             v1::CreateTokenResponse& response);
  grpc::Status DoListTokens(v1::ListTokensResponse& response);
  grpc::Status DoRevokeToken(const v1::RevokeTokenRequest& request,
                             v1::RevokeTokenResponse& response);
  grpc::Status DoIssueClient(const v1::IssueClientRequest& request,
                             v1::IssueClientResponse& response);

  const Options options_;
};

}  // namespace peermesh::ca

#endif  // PEERMESH_SERVER_CA_TOKEN_SERVICE_H_
