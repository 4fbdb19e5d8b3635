#include "server/ca/reply.h"

#include <chrono>
#include <memory>
#include <utility>

#include "metrics/ledger/handle.h"
#include "server/ca/errors.h"
#include "server/ca/kinds.h"
#include "server/config/logging.h"

namespace peermesh::ca {
namespace {

constexpr config::Logger kLog("ca");

}  // namespace

grpc::ServerUnaryReactor* ReplyFrom(Worker& worker, grpc::CallbackServerContext& context,
                                    std::function<grpc::Status()> answer, ledger::Site birth) {
  auto* reactor = context.DefaultReactor();
  const auto call = std::make_shared<ledger::Handle>(ledger::Handle(kCall, ledger::Scope{}, birth));
  call->Note(context.peer());
  const bool taken = worker.Post([reactor, call, job = std::move(answer)] {
    const grpc::Status status = job();
    call->End(status.ok() ? ledger::Outcome::kNormal : ledger::Outcome::kError);
    reactor->Finish(status);
  });
  if (!taken) {
    reactor->Finish(MakeError(grpc::StatusCode::RESOURCE_EXHAUSTED, "OVERLOADED",
                              "The CA has too much to do. Try again in some seconds.",
                              std::chrono::seconds(1)));
  }
  return reactor;
}

grpc::Status ErrorOf(const absl::Status& status, const Reasons& reasons) {
  const char* reason = nullptr;
  switch (status.code()) {
    case absl::StatusCode::kUnauthenticated: reason = reasons.unauthenticated; break;
    case absl::StatusCode::kInvalidArgument: reason = reasons.invalid_argument; break;
    case absl::StatusCode::kAlreadyExists: reason = reasons.already_exists; break;
    case absl::StatusCode::kNotFound: reason = reasons.not_found; break;
    case absl::StatusCode::kFailedPrecondition: reason = reasons.failed_precondition; break;
    case absl::StatusCode::kResourceExhausted: reason = reasons.resource_exhausted; break;
    default: break;
  }
  if (reason != nullptr) {
    return MakeError(static_cast<grpc::StatusCode>(status.code()), reason,
                     std::string(status.message()));
  }
  kLog.Error("store failed", {{"error", std::string(status.message())}});
  return MakeError(grpc::StatusCode::INTERNAL, "STORE_FAILED",
                   "The CA cannot use its store. Its log says why.");
}

}  // namespace peermesh::ca
