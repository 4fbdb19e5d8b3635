#include "client/cli/exit_code.h"

#include "client/errors.h"

namespace peermesh::cli {

ExitCode ExitCodeOf(const absl::Status& status) {
  const std::string reason = client::ReasonOf(status);
  switch (status.code()) {
    case absl::StatusCode::kOk: return kOk;
    case absl::StatusCode::kInvalidArgument: return kUsage;
    case absl::StatusCode::kUnavailable:
      // Errors without a reason are gRPC's own: the connection, not the peer's answer.
      if (reason.empty() || reason == "NOT_CONNECTED" || reason == "CONNECTION_LOST")
        return kUnreachable;
      return kUnavailable;
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated: return kDenied;
    case absl::StatusCode::kNotFound: return kNotFound;
    case absl::StatusCode::kDeadlineExceeded: return kTimeout;
    case absl::StatusCode::kResourceExhausted:
      return client::RetryAfter(status) || reason == "RATE_LIMITED" ? kRateLimited : kError;
    case absl::StatusCode::kCancelled: return reason == "INTERRUPTED" ? kInterrupted : kError;
    default: return kError;
  }
}

absl::Status UsageError(std::string_view message) {
  return client::MakeError(absl::StatusCode::kInvalidArgument, "USAGE", message);
}

absl::Status Interrupted() {
  return client::MakeError(absl::StatusCode::kCancelled, "INTERRUPTED", "");
}

}  // namespace peermesh::cli
