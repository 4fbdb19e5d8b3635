#include "client/cli/exit_code.h"

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "client/errors.h"

namespace peermesh::cli {
namespace {

constexpr char kSignal[] = "peermesh.signal";
constexpr char kExit[] = "peermesh.exit";

int NumberIn(const absl::Status& status, const char* payload) {
  const auto text = status.GetPayload(payload);
  int number = 0;
  return text && absl::SimpleAtoi(std::string(*text), &number) ? number : 0;
}

}  // namespace

int ExitCodeOf(const absl::Status& status) {
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
    case absl::StatusCode::kCancelled: {
      if (const int code = NumberIn(status, kExit); code != 0) return code;
      const int signal = NumberIn(status, kSignal);
      return signal != 0 ? kSignalled + signal : kError;
    }
    default: return kError;
  }
}

absl::Status UsageError(std::string_view message) {
  return client::MakeError(absl::StatusCode::kInvalidArgument, "USAGE", message);
}

absl::Status EndWith(ExitCode code) {
  absl::Status status = absl::CancelledError("The output says why.");
  status.SetPayload(kExit, absl::Cord(std::to_string(code)));
  return status;
}

bool IsSaid(const absl::Status& status) { return NumberIn(status, kExit) != 0; }

absl::Status Interrupted(int signal) {
  absl::Status status = absl::CancelledError("A signal ended it.");
  status.SetPayload(kSignal, absl::Cord(std::to_string(signal)));
  return status;
}

}  // namespace peermesh::cli
