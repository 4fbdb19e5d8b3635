#include "server/ca/token_service.h"

#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "mesh/base/base32.h"
#include "mesh/base/check.h"
#include "mesh/base/limits.h"
#include "mesh/identity/token.h"
#include "server/ca/errors.h"
#include "server/ca/reply.h"
#include "server/config/logging.h"

namespace peermesh::ca {
namespace {

using grpc::StatusCode;

constexpr config::Logger kLog("ca");
constexpr std::size_t kSecretBytes = 16;

template <std::size_t kBytes>
std::string RandomText() {
  std::array<std::uint8_t, kBytes> bytes{};
  PM_CHECK(RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) == 1);
  return Base32Encode(bytes);
}

google::protobuf::Timestamp ToTimestamp(WallTime time) {
  const auto micros = time.time_since_epoch().count();
  google::protobuf::Timestamp stamp;
  stamp.set_seconds(micros / 1'000'000);
  stamp.set_nanos(static_cast<int>(micros % 1'000'000) * 1'000);
  return stamp;
}

void Describe(const store::TokenRecord& record, v1::Token& token) {
  token.set_id(record.id);
  token.set_state(static_cast<v1::TokenState>(record.state));
  *token.mutable_created() = ToTimestamp(record.created);
  *token.mutable_expires() = ToTimestamp(record.expires);
  token.set_name(record.name);
  if (record.holder) token.set_peer_id(record.holder->ToText());
}

// What was asked for, the default if nothing was, or nothing if it is out of bounds.
std::optional<Duration> LifetimeOf(bool asked, const google::protobuf::Duration& lifetime,
                                   Duration standard, Duration longest) {
  if (!asked) return standard;
  if (lifetime.seconds() < 0 || lifetime.nanos() < 0 ||
      lifetime.seconds() > longest / std::chrono::seconds(1)) {
    return std::nullopt;
  }
  const Duration duration = std::chrono::seconds(lifetime.seconds()) +
                            std::chrono::microseconds(lifetime.nanos() / 1'000);
  if (duration < std::chrono::seconds(1) || duration > longest) return std::nullopt;
  return duration;
}

grpc::Status Invalid(const char* reason, const std::string& message) {
  return MakeError(StatusCode::INVALID_ARGUMENT, reason, message);
}

grpc::Status BadLifetime(const char* bounds) {
  return Invalid("BAD_LIFETIME",
                 std::string("The lifetime is out of bounds. Give ") + bounds + ".");
}

bool IsFreeName(const std::string& name) { return identity::IsName(name) && name != kCaName; }

constexpr const char* kBadName =
    "The name is not a free DNS label. Use 1 to 63 characters of a-z, 0-9 and '-', not starting or "
    "ending with '-'.";

}  // namespace

grpc::ServerUnaryReactor* TokenService::CreateToken(grpc::CallbackServerContext* context,
                                                    const v1::CreateTokenRequest* request,
                                                    v1::CreateTokenResponse* response) {
  return ReplyFrom(*options_.worker, *context,
                   [this, request, response] { return DoCreateToken(*request, *response); });
}

grpc::ServerUnaryReactor* TokenService::ListTokens(grpc::CallbackServerContext* context,
                                                   const v1::ListTokensRequest*,
                                                   v1::ListTokensResponse* response) {
  return ReplyFrom(*options_.worker, *context,
                   [this, response] { return DoListTokens(*response); });
}

grpc::ServerUnaryReactor* TokenService::RevokeToken(grpc::CallbackServerContext* context,
                                                    const v1::RevokeTokenRequest* request,
                                                    v1::RevokeTokenResponse* response) {
  return ReplyFrom(*options_.worker, *context,
                   [this, request, response] { return DoRevokeToken(*request, *response); });
}

grpc::ServerUnaryReactor* TokenService::IssueClient(grpc::CallbackServerContext* context,
                                                    const v1::IssueClientRequest* request,
                                                    v1::IssueClientResponse* response) {
  return ReplyFrom(*options_.worker, *context,
                   [this, request, response] { return DoIssueClient(*request, *response); });
}

grpc::Status TokenService::DoCreateToken(const v1::CreateTokenRequest& request,
                                         v1::CreateTokenResponse& response) {
  const auto lifetime = LifetimeOf(request.has_lifetime(), request.lifetime(),
                                   kDefaultTokenLifetime, kMaxTokenLifetime);
  if (!lifetime) return BadLifetime("1 second to 7 days");
  if (!request.name().empty() && !IsFreeName(request.name())) return Invalid("BAD_NAME", kBadName);
  const std::vector<std::string> seeds(request.seeds().begin(), request.seeds().end());
  if (seeds.size() > kMaxSeeds || !std::all_of(seeds.begin(), seeds.end(), identity::IsHostPort)) {
    return Invalid("BAD_ADDRESS",
                   "A seed is not \"host:port\", or there are more than 64. Correct it.");
  }
  const std::string& address =
      request.ca_address().empty() ? options_.address : request.ca_address();
  if (!identity::IsHostPort(address)) {
    return Invalid("BAD_ADDRESS", "The CA's address is not \"host:port\". Correct it.");
  }
  identity::Token token;
  token.ca_pin = identity::PinOf(options_.authority->root().spki());
  token.id = RandomText<kSecretBytes>().substr(0, identity::kTokenIdChars);
  token.secret = RandomText<kSecretBytes>();
  token.address = address;
  const WallTime now = options_.now();
  const absl::Status status = options_.store->AddToken(
      {token.id, token.secret, now, now + *lifetime, request.name(), seeds});
  if (!status.ok()) return ErrorOf(status, {.resource_exhausted = "TOO_MANY_TOKENS"});
  kLog.Info("token created", {{"token", token.id}, {"name", request.name()}});
  response.set_token(identity::FormatToken(token));
  Describe(
      {token.id, store::TokenState::kIssued, now, now + *lifetime, request.name(), std::nullopt},
      *response.mutable_info());
  return grpc::Status::OK;
}

grpc::Status TokenService::DoListTokens(v1::ListTokensResponse& response) {
  const auto records = options_.store->ListTokens(options_.now());
  if (!records.ok()) return ErrorOf(records.status(), {});
  for (const store::TokenRecord& record : *records) Describe(record, *response.add_tokens());
  return grpc::Status::OK;
}

grpc::Status TokenService::DoRevokeToken(const v1::RevokeTokenRequest& request,
                                         v1::RevokeTokenResponse& response) {
  const auto record = options_.store->RevokeToken(request.id(), options_.now());
  if (!record.ok()) {
    return ErrorOf(record.status(),
                   {.not_found = "UNKNOWN_TOKEN", .failed_precondition = "TOKEN_USED"});
  }
  kLog.Info("token revoked", {{"token", record->id}});
  Describe(*record, *response.mutable_token());
  return grpc::Status::OK;
}

grpc::Status TokenService::DoIssueClient(const v1::IssueClientRequest& request,
                                         v1::IssueClientResponse& response) {
  if (!IsFreeName(request.name())) return Invalid("BAD_NAME", kBadName);
  if (request.role() != v1::ROLE_CLIENT && request.role() != v1::ROLE_ADMIN) {
    return Invalid("BAD_ROLE", "The role is neither client nor admin. Peers join with a token.");
  }
  const auto lifetime = LifetimeOf(request.has_lifetime(), request.lifetime(),
                                   kDefaultClientLifetime, kMaxClientLifetime);
  if (!lifetime) return BadLifetime("1 second to 1 year");
  const auto spki = tls::KeyOfRequest(request.certificate_request());
  if (!spki.ok()) return Invalid("BAD_REQUEST_KEY", std::string(spki.status().message()));
  const WallTime now = options_.now();
  const auto role =
      request.role() == v1::ROLE_ADMIN ? identity::Role::kAdmin : identity::Role::kClient;
  const auto certificate = options_.store->IssueFor(
      identity::PeerIdOf(*spki), request.name(), now, [&](const std::string& name) {
        return options_.authority->Issue(
            *spki, {.role = role, .name = name, .mesh_id = {}, .hosts = {}, .lifetime = *lifetime},
            now);
      });
  if (!certificate.ok()) return ErrorOf(certificate.status(), {.already_exists = "NAME_TAKEN"});
  kLog.Info("client certificate issued",
            {{"name", request.name()}, {"role", identity::ToString(role)}});
  response.set_certificate(certificate->der());
  for (const std::string& root : options_.authority->bundle().roots()) response.add_roots(root);
  response.set_mesh_id(options_.authority->mesh_id());
  return grpc::Status::OK;
}

}  // namespace peermesh::ca
