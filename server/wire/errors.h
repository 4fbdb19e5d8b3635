// Errors as callers see them: a gRPC code, a sentence or two, and google.rpc details.
//
// Every error carries exactly one ErrorInfo{reason, domain "peermesh"}; programs act on the reason,
// people read the message. Limits that time heals carry RetryInfo and the pushback that gRPC's own
// retry obeys; limits that it does not heal carry neither, so nobody retries in vain.
//
// Thread-safe.
#ifndef PEERMESH_SERVER_WIRE_ERRORS_H_
#define PEERMESH_SERVER_WIRE_ERRORS_H_

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "mesh/base/time.h"
#include "mesh/node/effect.h"
#include "server/wire/rules.h"

namespace peermesh::wire {

// gRPC's numbers, those in use.
enum class Code : std::uint8_t {
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kUnauthenticated = 16,
};
// "INVALID_ARGUMENT".
const char* ToString(Code code);

struct RpcError {
  int code = 0;
  std::string message;
  std::string details;  // a serialised google.rpc.Status
  std::optional<std::chrono::milliseconds> retry_pushback;
};

// One row of the table of everything that can go wrong.
struct Reason {
  const char* name;  // "RATE_LIMITED"
  Code code;
  const char* meaning;  // what happened
  const char* action;   // what to do
};
// All reasons of peers and of the CA, by name.
std::span<const Reason> Reasons();
const Reason* FindReason(std::string_view name);

// What an error may carry besides its reason.
struct Extras {
  std::map<std::string, std::string> metadata;  // of ErrorInfo; keys in camelCase
  std::string field, description;               // BadRequest, if either is set
  std::string quota_subject, quota_limit;       // QuotaFailure, if a limit is set
  std::optional<Duration> retry_after;  // RetryInfo and pushback, rounded up to milliseconds
};
// `what` is one clause without a full stop; the table's advice for the reason is added to it.
RpcError MakeError(Code code, const std::string& reason, const std::string& what,
                   const Extras& extras = {});

// INVALID_ARGUMENT: `field` (may be empty) is wrong, and `what` would be right.
RpcError Invalid(const std::string& reason, const std::string& field, const std::string& what);
// RESOURCE_EXHAUSTED by a limit that waiting does not lift.
RpcError Exhausted(const std::string& reason, const std::string& limit, const std::string& what);
// UNIMPLEMENTED: no such method here.
RpcError UnknownMethod(const std::string& method);
// PERMISSION_DENIED: `role` may not call `method`.
RpcError Denied(const std::string& method, const std::string& role);
// What the node refused. `subject` is who hit the limit, such as "application:local".
RpcError Refused(node::Refusal refusal, const char* limit = "", Duration retry_after = {},
                 const std::string& subject = "application");
// A frame from an application that broke a rule.
RpcError Malformed(const WireError& error);

}  // namespace peermesh::wire

#endif  // PEERMESH_SERVER_WIRE_ERRORS_H_
