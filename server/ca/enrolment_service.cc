#include "server/ca/enrolment_service.h"

#include <grpcpp/security/auth_context.h>

#include <chrono>
#include <utility>
#include <vector>

#include "server/ca/errors.h"
#include "server/ca/reply.h"
#include "server/config/logging.h"
#include "server/tls/credentials.h"

namespace peermesh::ca {
namespace {

using grpc::StatusCode;

constexpr config::Logger kLog("ca");

Instant SteadyNow() {
  return Instant(
      std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch()));
}

grpc::Status RateLimited(Duration wait) {
  return MakeError(StatusCode::RESOURCE_EXHAUSTED, "RATE_LIMITED",
                   "Too many requests come from there. Try again a little later.", wait);
}

grpc::Status BadName() {
  return MakeError(StatusCode::INVALID_ARGUMENT, "BAD_NAME",
                   "The name is not a free DNS label. Use 1 to 63 characters of a-z, 0-9 and '-', "
                   "not starting or ending with '-'.");
}

grpc::Status Invalid(const char* reason, const absl::Status& status) {
  return MakeError(StatusCode::INVALID_ARGUMENT, reason, std::string(status.message()));
}

grpc::Status NoCertificate() {
  return MakeError(StatusCode::UNAUTHENTICATED, "CERTIFICATE_REQUIRED",
                   "Renewal needs the certificate that is to be renewed. Connect with it, or join "
                   "with a token.");
}

template <class Response>
void AddRoots(const Authority& authority, Response& response) {
  for (const std::string& root : authority.bundle().roots()) response.add_roots(root);
}

}  // namespace

EnrolmentService::EnrolmentService(Options options)
    : options_(std::move(options)),
      joins_(limits::Rate::PerSecond(kJoinsPerSecond, kJoinBurst)),
      renewals_(limits::Rate::PerSecond(kRenewalsPerSecond, kRenewalBurst)) {}

grpc::ServerUnaryReactor* EnrolmentService::GetBundle(grpc::CallbackServerContext* context,
                                                      const v1::GetBundleRequest*,
                                                      v1::GetBundleResponse* response) {
  options_.on_call(context->peer());
  response->set_mesh_id(options_.authority->mesh_id());
  AddRoots(*options_.authority, *response);
  auto* reactor = context->DefaultReactor();
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

grpc::ServerUnaryReactor* EnrolmentService::Join(grpc::CallbackServerContext* context,
                                                 const v1::JoinRequest* request,
                                                 v1::JoinResponse* response) {
  options_.on_call(context->peer());
  return ReplyFrom(*options_.worker, *context, [this, context, request, response] {
    return DoJoin(context->peer(), *request, *response);
  });
}

grpc::ServerUnaryReactor* EnrolmentService::Renew(grpc::CallbackServerContext* context,
                                                  const v1::RenewRequest* request,
                                                  v1::RenewResponse* response) {
  options_.on_call(context->peer());
  return ReplyFrom(*options_.worker, *context, [this, context, request, response] {
    return DoRenew(*context->auth_context(), *request, *response);
  });
}

grpc::Status EnrolmentService::DoJoin(const std::string& peer, const v1::JoinRequest& request,
                                      v1::JoinResponse& response) {
  if (const auto wait = joins_.TryTake(AddressKey(peer), SteadyNow())) return RateLimited(*wait);
  const Authority& authority = *options_.authority;
  if (!identity::IsName(request.name()) || request.name() == kCaName) return BadName();
  const auto spki = tls::KeyOfRequest(request.certificate_request());
  if (!spki.ok()) return Invalid("BAD_REQUEST_KEY", spki.status());
  const std::vector<std::string> hosts(request.hosts().begin(), request.hosts().end());
  if (const auto status = tls::CheckHosts(hosts, authority.mesh_id()); !status.ok()) {
    return Invalid("BAD_HOST", status);
  }
  const WallTime now = options_.now();
  const PeerId id = identity::PeerIdOf(*spki);
  const auto issue = [&](const std::string& name) {
    return authority.Issue(*spki,
                           {.role = identity::Role::kPeer,
                            .name = name,
                            .mesh_id = {},
                            .hosts = hosts,
                            .lifetime = options_.certificate_lifetime},
                           now);
  };
  const auto redeemed = options_.store->Redeem(
      {request.token_id(), request.token_secret(), id, request.name()}, now, issue);
  if (!redeemed.ok()) {
    kLog.Warning("join refused", {{"from", peer},
                                  {"peer", id.ToShortText()},
                                  {"name", request.name()},
                                  {"token_fault", ToString(options_.store->last_fault())},
                                  {"error", std::string(redeemed.status().message())}});
    return ErrorOf(redeemed.status(), {.unauthenticated = "TOKEN_REFUSED",
                                       .invalid_argument = "BAD_NAME",
                                       .already_exists = "NAME_TAKEN"});
  }
  kLog.Info("joined", {{"from", peer},
                       {"peer", id.ToShortText()},
                       {"name", request.name()},
                       {"again", redeemed->again}});
  response.set_certificate(redeemed->certificate.der());
  AddRoots(authority, response);
  response.set_mesh_id(authority.mesh_id());
  for (const std::string& seed : redeemed->seeds) response.add_seeds(seed);
  return grpc::Status::OK;
}

grpc::Status EnrolmentService::DoRenew(const grpc::AuthContext& caller,
                                       const v1::RenewRequest& request,
                                       v1::RenewResponse& response) {
  const auto self = tls::RemoteIdentity(caller);
  if (!self.ok() || self->role == identity::Role::kCa) return NoCertificate();
  if (const auto wait = renewals_.TryTake(self->id.ToBytes(), SteadyNow())) {
    return RateLimited(*wait);
  }
  const WallTime now = options_.now();
  if (now > self->not_after + store::kRenewalAllowance) {
    return MakeError(StatusCode::UNAUTHENTICATED, "CERTIFICATE_TOO_OLD",
                     "The certificate expired more than seven days ago. Join again with a token.");
  }
  const auto spki = tls::KeyOfRequest(request.certificate_request());
  if (!spki.ok()) return Invalid("BAD_REQUEST_KEY", spki.status());
  if (identity::PeerIdOf(*spki) != self->id) {
    return MakeError(StatusCode::INVALID_ARGUMENT, "KEY_MISMATCH",
                     "The request is for another key than the certificate's. Use the same key.");
  }
  const Authority& authority = *options_.authority;
  const std::vector<std::string> hosts(request.hosts().begin(), request.hosts().end());
  if (const auto status = tls::CheckHosts(hosts, authority.mesh_id()); !status.ok()) {
    return Invalid("BAD_HOST", status);
  }
  // Peers live by the CA's setting, clients as long as their operator once asked for.
  const Duration lifetime = self->role == identity::Role::kPeer
                                ? options_.certificate_lifetime
                                : self->not_after - self->not_before - tls::kBackDate;
  const auto certificate =
      options_.store->IssueFor(self->id, self->name, now, [&](const std::string& name) {
        return authority.Issue(
            *spki,
            {.role = self->role, .name = name, .mesh_id = {}, .hosts = hosts, .lifetime = lifetime},
            now);
      });
  if (!certificate.ok()) {
    kLog.Warning("renewal refused", {{"peer", self->id.ToShortText()},
                                     {"name", self->name},
                                     {"error", std::string(certificate.status().message())}});
    return ErrorOf(certificate.status(), {.already_exists = "NAME_TAKEN"});
  }
  kLog.Info("renewed", {{"peer", self->id.ToShortText()}, {"name", self->name}});
  response.set_certificate(certificate->der());
  AddRoots(authority, response);
  return grpc::Status::OK;
}

}  // namespace peermesh::ca
