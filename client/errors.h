// What went wrong, for programs: the reason and the time to wait that a peer attaches to its
// errors.
//
// Every error of this library is an absl::Status. A peer's details (google.rpc.ErrorInfo,
// RetryInfo, QuotaFailure, BadRequest) travel as payloads of that status under their type URLs;
// errors made on this side carry an ErrorInfo too, so `ReasonOf` is all a caller needs to tell them
// apart. Messages are for people and never parsed.
//
// Reasons made on this side: NOT_CONNECTED (the peer cannot be reached), CONNECTION_LOST (the
// stream broke before the answer: the batch may or may not have been accepted), INVALID_SUBJECT,
// INVALID_PATTERN, MALFORMED_MESSAGE, MESSAGE_TOO_LARGE, WINDOW_FULL, SESSION_CLOSED, BAD_IDENTITY,
// BAD_OPTIONS, BAD_FRAME.
#ifndef PEERMESH_CLIENT_ERRORS_H_
#define PEERMESH_CLIENT_ERRORS_H_

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "mesh/base/time.h"

namespace grpc {
class Status;
}
namespace google::rpc {
class Status;
}

namespace peermesh::client {

// The ErrorInfo reason, such as "RATE_LIMITED"; empty if there is none.
std::string ReasonOf(const absl::Status& status);

// What a peer that says "never" means: no wait of a program is longer.
inline constexpr std::chrono::seconds kLongestRetry = std::chrono::hours(24 * 365);

// How long to wait before trying again, 0 to kLongestRetry; nullopt: the peer did not say.
std::optional<Duration> RetryAfter(const absl::Status& status);

// An error of this side with its reason.
absl::Status MakeError(absl::StatusCode code, std::string_view reason, std::string_view message);

// What gRPC reports, details included.
absl::Status FromGrpc(const grpc::Status& status);

// The same, where a peer sends it inside a stream.
absl::Status FromProto(const google::rpc::Status& status);

// Whether the same stream may work when opened again: the peer went away or asked to wait, and did
// not refuse.
bool IsTransient(const absl::Status& status);

}  // namespace peermesh::client

#endif  // PEERMESH_CLIENT_ERRORS_H_
