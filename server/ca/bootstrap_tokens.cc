#include "server/ca/bootstrap_tokens.h"

#include <fmt/format.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <filesystem>
#include <memory>
#include <set>

#include "mesh/identity/identity.h"
#include "peermesh/ca/v1/ca.grpc.pb.h"
#include "server/config/logging.h"
#include "server/tls/credentials.h"
#include "server/tls/files.h"

namespace peermesh {
namespace {

constexpr config::Logger kLog("ca");
constexpr std::chrono::seconds kCallTime(10);  // a commit on a busy disk

class Tokens {
 public:
  explicit Tokens(const std::string& socket)
      : stub_(ca::v1::TokenService::NewStub(tls::DialSocket(socket))) {}

  // Revokes what is unused of these names; says which of them have joined.
  absl::StatusOr<std::set<std::string>> Retire(const std::set<std::string>& names) {
    const auto listed = Call(&ca::v1::TokenService::Stub::ListTokens, ca::v1::ListTokensRequest());
    if (!listed.ok()) return listed.status();
    std::set<std::string> joined;
    for (const ca::v1::Token& token : listed->tokens()) {
      if (!names.contains(token.name())) continue;
      if (token.state() == ca::v1::TOKEN_STATE_REDEEMED) joined.insert(token.name());
      if (token.state() != ca::v1::TOKEN_STATE_ISSUED) continue;
      ca::v1::RevokeTokenRequest request;
      request.set_id(token.id());
      if (const auto revoked = Call(&ca::v1::TokenService::Stub::RevokeToken, request);
          !revoked.ok()) {
        return revoked.status();
      }
    }
    return joined;
  }

  absl::StatusOr<std::string> Make(const std::string& name) {
    ca::v1::CreateTokenRequest request;
    request.set_name(name);
    request.mutable_lifetime()->set_seconds(std::chrono::seconds(kBootstrapTokenLifetime).count());
    auto made = Call(&ca::v1::TokenService::Stub::CreateToken, request);
    if (!made.ok()) return made.status();
    return std::move(*made->mutable_token());
  }

 private:
  template <class Request, class Response>
  absl::StatusOr<Response> Call(grpc::Status (ca::v1::TokenService::Stub::*method)(
                                    grpc::ClientContext*, const Request&, Response*),
                                const Request& request) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kCallTime);
    Response response;
    const grpc::Status status = ((*stub_).*method)(&context, request, &response);
    if (!status.ok())
      return absl::UnavailableError("the CA gave no token: " + status.error_message());
    return response;
  }

  const std::unique_ptr<ca::v1::TokenService::Stub> stub_;
};

}  // namespace

absl::Status WriteBootstrapTokens(const std::string& ca_socket, const std::string& directory,
                                  const std::vector<std::string>& names) {
  const std::set<std::string> wanted(names.begin(), names.end());
  if (wanted.size() > kMaxBootstrapPeers) {
    return absl::InvalidArgumentError(fmt::format(
        "{} peers are more than {} at once. Make the rest of the tokens with `peermesh token`.",
        wanted.size(), kMaxBootstrapPeers));
  }
  for (const std::string& name : wanted) {
    if (!identity::IsName(name)) {
      return absl::InvalidArgumentError(fmt::format(
          "\"{}\" is no name of a peer. Use 1 to 63 characters of a-z, 0-9 and '-'.", name));
    }
  }
  if (absl::Status status = tls::EnsurePrivateDirectory(directory); !status.ok()) return status;
  Tokens tokens(ca_socket);
  const auto joined = tokens.Retire(wanted);
  if (!joined.ok()) return joined.status();
  for (const std::string& name : wanted) {
    const std::string path = directory + "/" + name + ".token";
    if (joined->contains(name)) {
      std::error_code ignored;
      std::filesystem::remove(path, ignored);
      continue;
    }
    const auto token = tokens.Make(name);
    if (!token.ok()) return token.status();
    if (absl::Status status = tls::WritePrivateFile(path, *token + "\n"); !status.ok())
      return absl::FailedPreconditionError(status.message());
    kLog.Info("token written", {{"name", name}, {"file", path}});
  }
  return absl::OkStatus();
}

}  // namespace peermesh
