#include "server/wire/errors.h"

#include <fmt/format.h>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "mesh/base/check.h"

namespace peermesh::wire {
namespace {

constexpr const char* kDomain = "peermesh";

const char* ReasonOf(node::Refusal refusal) {
  switch (refusal) {
    case node::Refusal::kNone: break;
    case node::Refusal::kDraining: return "DRAINING";
    case node::Refusal::kRateLimited: return "RATE_LIMITED";
    case node::Refusal::kUnknownPeer: return "UNKNOWN_PEER";
    case node::Refusal::kAmbiguousPeer: return "AMBIGUOUS_PEER";
    case node::Refusal::kPeerUnreachable: return "PEER_UNREACHABLE";
    case node::Refusal::kNoSubscribers: return "NO_SUBSCRIBERS";
    case node::Refusal::kTooManySubscriptions: return "TOO_MANY_SUBSCRIPTIONS";
    case node::Refusal::kTooManyLeadingWildcards: return "TOO_MANY_LEADING_WILDCARDS";
    case node::Refusal::kDuplicateSubscription: return "DUPLICATE_SUBSCRIPTION";
    case node::Refusal::kTooManySessions: return "TOO_MANY_SESSIONS";
    case node::Refusal::kSlowConsumer: return "SLOW_CONSUMER";
    case node::Refusal::kUnknownSession: return "SESSION_ENDED";
    case node::Refusal::kTooManyMatches: return "TOO_MANY_MATCHES";
    case node::Refusal::kNoAnswer: return "NO_ANSWER";
  }
  PM_CHECK(false);
  return "";
}

std::string WithoutFullStop(std::string_view sentence) {
  if (!sentence.empty() && sentence.back() == '.') sentence.remove_suffix(1);
  return std::string(sentence);
}

}  // namespace

const char* ToString(Code code) {
  switch (code) {
    case Code::kInvalidArgument: return "INVALID_ARGUMENT";
    case Code::kDeadlineExceeded: return "DEADLINE_EXCEEDED";
    case Code::kNotFound: return "NOT_FOUND";
    case Code::kAlreadyExists: return "ALREADY_EXISTS";
    case Code::kPermissionDenied: return "PERMISSION_DENIED";
    case Code::kResourceExhausted: return "RESOURCE_EXHAUSTED";
    case Code::kFailedPrecondition: return "FAILED_PRECONDITION";
    case Code::kAborted: return "ABORTED";
    case Code::kUnimplemented: return "UNIMPLEMENTED";
    case Code::kInternal: return "INTERNAL";
    case Code::kUnavailable: return "UNAVAILABLE";
    case Code::kUnauthenticated: return "UNAUTHENTICATED";
  }
  return "UNKNOWN";
}

RpcError MakeError(Code code, const std::string& reason, const std::string& what,
                   const Extras& extras) {
  const Reason* row = FindReason(reason);
  RpcError error;
  error.code = static_cast<int>(code);
  error.message = row == nullptr ? what + "." : fmt::format("{}. {}", what, row->action);
  google::rpc::Status status;
  status.set_code(error.code);
  status.set_message(error.message);
  google::rpc::ErrorInfo info;
  info.set_reason(reason);
  info.set_domain(kDomain);
  for (const auto& [key, value] : extras.metadata) (*info.mutable_metadata())[key] = value;
  status.add_details()->PackFrom(info);
  if (!extras.field.empty() || !extras.description.empty()) {
    google::rpc::BadRequest bad;
    auto* violation = bad.add_field_violations();
    violation->set_field(extras.field);
    violation->set_description(extras.description);
    status.add_details()->PackFrom(bad);
  }
  if (!extras.quota_limit.empty()) {
    google::rpc::QuotaFailure quota;
    auto* violation = quota.add_violations();
    violation->set_subject(extras.quota_subject);
    violation->set_description(extras.quota_limit);
    status.add_details()->PackFrom(quota);
  }
  if (extras.retry_after) {
    error.retry_pushback = std::chrono::ceil<std::chrono::milliseconds>(*extras.retry_after);
    google::rpc::RetryInfo retry;
    const std::int64_t ms = error.retry_pushback->count();
    retry.mutable_retry_delay()->set_seconds(ms / 1000);
    retry.mutable_retry_delay()->set_nanos(static_cast<std::int32_t>(ms % 1000 * 1'000'000));
    status.add_details()->PackFrom(retry);
  }
  error.details = status.SerializeAsString();
  return error;
}

RpcError Invalid(const std::string& reason, const std::string& field, const std::string& what) {
  Extras extras;
  extras.field = field;
  extras.description = what;
  return MakeError(Code::kInvalidArgument, reason,
                   field.empty() ? what : fmt::format("{}: {}", field, what), extras);
}

RpcError Exhausted(const std::string& reason, const std::string& limit, const std::string& what) {
  Extras extras;
  extras.metadata["limit"] = limit;
  extras.quota_subject = "peer";
  extras.quota_limit = limit;
  return MakeError(Code::kResourceExhausted, reason, what, extras);
}

RpcError UnknownMethod(const std::string& method) {
  Extras extras;
  extras.metadata["method"] = method;
  return MakeError(Code::kUnimplemented, "UNKNOWN_METHOD",
                   fmt::format("There is no method {} here", method), extras);
}

RpcError Denied(const std::string& method, const std::string& role) {
  Extras extras;
  extras.metadata["method"] = method;
  extras.metadata["role"] = role;
  return MakeError(Code::kPermissionDenied, "ROLE_REQUIRED",
                   fmt::format("The role \"{}\" may not call {}", role, method), extras);
}

RpcError Refused(node::Refusal refusal, const char* limit, Duration retry_after,
                 const std::string& subject) {
  const Reason* row = FindReason(ReasonOf(refusal));
  PM_CHECK(row != nullptr);
  Extras extras;
  std::string what = WithoutFullStop(row->meaning);
  if (row->code == Code::kResourceExhausted) {
    extras.quota_subject = subject;
    extras.quota_limit = *limit != '\0' ? limit : row->name;
    extras.metadata["limit"] = extras.quota_limit;
    if (*limit != '\0') what += fmt::format(" ({})", limit);
  }
  const bool ever = retry_after != Duration::max();
  if (refusal == node::Refusal::kRateLimited && ever) extras.retry_after = retry_after;
  if (!ever) what += ": the request alone is more than it ever lets through at once";
  return MakeError(row->code, row->name, what, extras);
}

RpcError Malformed(const WireError& error) {
  const RuleInfo& info = Describe(error.rule);
  const Reason* row = FindReason(info.reason);
  PM_CHECK(row != nullptr);
  Extras extras;
  extras.metadata["rule"] = info.label;
  if (error.rule == Rule::kTooManyMessages) {
    extras.field = "messages";
  } else if (error.message != WireError::kNoMessage) {
    extras.field = fmt::format("messages[{}]", error.message);
  }
  if (*info.field != '\0') {
    extras.field += (extras.field.empty() ? "" : ".") + std::string(info.field);
  }
  extras.description = info.what;
  const std::string subject = extras.field.empty() ? "The frame" : extras.field;
  if (row->code == Code::kResourceExhausted) {
    extras.quota_subject = "application";
    extras.quota_limit = info.label;
  }
  return MakeError(row->code, row->name, fmt::format("{} {}", subject, info.what), extras);
}

}  // namespace peermesh::wire
