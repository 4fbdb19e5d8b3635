#include "server/ca/enrol.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "mesh/base/check.h"
#include "peermesh/ca/v1/ca.grpc.pb.h"
#include "server/config/logging.h"
#include "server/link/calls.h"
#include "server/link/kinds.h"
#include "server/tls/credentials.h"
#include "server/tls/issue.h"

namespace peermesh::ca {
namespace {

constexpr config::Logger kLog("identity");

constexpr const char* kEnrolmentService = "/peermesh.ca.v1.EnrolmentService/";

void SetDeadline(grpc::ClientContext& context, Duration timeout) {
  context.set_deadline(std::chrono::system_clock::now() + timeout);
}

// A unary call, in the book of calls made.
grpc::Status Counted(const char* method, const std::function<grpc::Status()>& call) {
  link::CallBook& book = link::CallBook::Made();
  const std::string path = std::string(kEnrolmentService) + method;
  book.Register(path, link::CallType::kUnary);
  const link::CallCount count(book, path);
  count.Sent();
  grpc::Status status = call();
  if (status.ok()) count.Received();
  count.End(status.error_code());
  return status;
}

// Our own verifier refused the CA by the dates of its certificate, which lives days and is renewed
// hourly.
bool RefusedByDate(const grpc::Status& status) {
  for (const auto refusal : {identity::Refusal::kNotYetValid, identity::Refusal::kExpired}) {
    const std::string reason = std::string(identity::ToString(refusal)) + ": ";
    if (status.error_message().find(reason) != std::string::npos) return true;
  }
  return false;
}

absl::Status ErrorFrom(const grpc::Status& status, const std::string& address) {
  const auto code = static_cast<absl::StatusCode>(status.error_code());
  if (RefusedByDate(status))
    return tls::ClockContradicts("the certificate of the CA at " + address);
  if (status.error_code() == grpc::StatusCode::UNAVAILABLE ||
      status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
    return absl::Status(code, "The CA at " + address + " cannot be reached (" +
                                  status.error_message() +
                                  "). Check the address and that it is running.");
  }
  return absl::Status(code, status.error_message());
}

// The hosts that the CA takes, as it spells them: it refuses a request for one that it does not.
std::vector<std::string> Acceptable(const std::vector<std::string>& hosts,
                                    std::string_view mesh_id) {
  std::vector<std::string> kept;
  for (std::string host : hosts) {
    for (char& c : host) {
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    if (host.ends_with('.')) host.pop_back();  // of a complete name
    if (std::find(kept.begin(), kept.end(), host) != kept.end()) continue;
    kept.push_back(host);
    if (const absl::Status status = tls::CheckHosts(kept, mesh_id); !status.ok()) {
      kLog.Warning("host left out of the certificate",
                   {{"host", host}, {"reason", std::string(status.message())}});
      kept.pop_back();
    }
  }
  return kept;
}

absl::Status BadAnswer(const std::string& address) {
  return absl::InternalError("The CA at " + address +
                             " answered with something that does not verify. Check its log.");
}

// The root that the token pins, if the CA at its address shows it.
absl::StatusOr<identity::TrustBundle> FetchPinned(const identity::Token& token, Duration timeout) {
  const ledger::Handle booking(link::kChannel, ledger::Scope{});
  const auto stub =
      v1::EnrolmentService::NewStub(tls::DialWithoutCertificate(token.address, std::nullopt));
  grpc::ClientContext context;
  SetDeadline(context, timeout);
  v1::GetBundleResponse answer;
  const grpc::Status status = Counted(
      "GetBundle", [&] { return stub->GetBundle(&context, v1::GetBundleRequest(), &answer); });
  if (!status.ok()) return ErrorFrom(status, token.address);
  for (const std::string& der : answer.roots()) {
    const auto root = identity::Certificate::Parse(der);
    if (!root || identity::PinOf(root->spki()) != token.ca_pin) continue;
    return identity::TrustBundle::Create({der}, answer.mesh_id());
  }
  return absl::FailedPreconditionError("The CA at " + token.address +
                                       " is not the one that the token names; nothing secret was "
                                       "sent. Check the address, or ask for "
                                       "a new token.");
}

}  // namespace

absl::StatusOr<Enrolment> Enrol(const identity::Token& token, const tls::PrivateKey& key,
                                const EnrolOptions& options) {
  const auto pinned = FetchPinned(token, options.timeout);
  if (!pinned.ok()) return pinned.status();
  const ledger::Handle booking(link::kChannel, ledger::Scope{});
  const auto stub =
      v1::EnrolmentService::NewStub(tls::DialWithoutCertificate(token.address, *pinned));
  grpc::ClientContext context;
  SetDeadline(context, options.timeout);
  v1::JoinRequest request;
  request.set_token_id(token.id);
  request.set_token_secret(token.secret);
  request.set_certificate_request(key.MakeRequest());
  request.set_name(options.name);
  for (const std::string& host : Acceptable(options.hosts, pinned->mesh_id()))
    request.add_hosts(host);
  v1::JoinResponse answer;
  const grpc::Status status =
      Counted("Join", [&] { return stub->Join(&context, request, &answer); });
  if (!status.ok()) return ErrorFrom(status, token.address);

  auto bundle = identity::TrustBundle::Create({answer.roots().begin(), answer.roots().end()},
                                              pinned->mesh_id());
  const auto certificate = identity::Certificate::Parse(answer.certificate());
  if (!bundle.ok() || !certificate || answer.mesh_id() != pinned->mesh_id()) {
    return BadAnswer(token.address);
  }
  // At a moment of its own: a clock that is wrong here is told apart later, where it can be named.
  const auto verdict =
      identity::Verify(*certificate, *bundle, certificate->not_after(), {.expected = key.id()});
  if (!verdict.ok()) return BadAnswer(token.address);
  return Enrolment{{key, *certificate, *std::move(bundle), token.address},
                   {answer.seeds().begin(), answer.seeds().end()}};
}

absl::StatusOr<identity::Certificate> Renew(const tls::Material& material,
                                            const std::vector<std::string>& hosts,
                                            Duration timeout) {
  const auto claims = material.certificate.Claims();
  if (!claims || material.ca_address.empty()) {
    return absl::FailedPreconditionError(
        "This identity does not know its CA's address. Join again with a token.");
  }
  const ledger::Handle booking(link::kChannel, ledger::Scope{});
  const auto stub = v1::EnrolmentService::NewStub(
      tls::DialToRenew(material.ca_address, material.key, material.certificate, material.bundle));
  grpc::ClientContext context;
  SetDeadline(context, timeout);
  v1::RenewRequest request;
  request.set_certificate_request(material.key.MakeRequest());
  for (const std::string& host : Acceptable(hosts, claims->mesh_id)) request.add_hosts(host);
  v1::RenewResponse answer;
  const grpc::Status status =
      Counted("Renew", [&] { return stub->Renew(&context, request, &answer); });
  if (!status.ok()) return ErrorFrom(status, material.ca_address);
  auto certificate = identity::Certificate::Parse(answer.certificate());
  if (!certificate) return BadAnswer(material.ca_address);
  const auto verdict = identity::Verify(*certificate, material.bundle, certificate->not_after(),
                                        {.expected = material.key.id(), .roles = {claims->role}});
  if (!verdict.ok() || verdict.identity().name != claims->name) {
    return BadAnswer(material.ca_address);
  }
  return *std::move(certificate);
}

WallTime RenewalTime(const identity::Certificate& certificate, std::uint64_t random) {
  // The back-dated part is no life: it was over when the certificate was issued.
  const WallTime issued = certificate.not_before() + tls::kBackDate;
  const Duration life = certificate.not_after() - issued;
  constexpr std::uint64_t kSteps = 3001;  // of a ten-thousandth each: 50.00 to 80.00 %
  const auto share = static_cast<std::int64_t>(5000 + random % kSteps);
  return issued + Duration(life.count() / 10'000 * share);
}

}  // namespace peermesh::ca
