#include "client/errors.h"

#include <grpcpp/support/status.h>

#include <algorithm>

#include "absl/strings/cord.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace peermesh::client {
namespace {

constexpr char kErrorInfo[] = "type.googleapis.com/google.rpc.ErrorInfo";
constexpr char kRetryInfo[] = "type.googleapis.com/google.rpc.RetryInfo";

template <class Detail>
std::optional<Detail> DetailOf(const absl::Status& status, const char* type) {
  const auto payload = status.GetPayload(type);
  Detail detail;
  if (!payload || !detail.ParseFromString(std::string(*payload))) return std::nullopt;
  return detail;
}

absl::Status WithDetails(absl::Status status, const google::rpc::Status& proto) {
  for (const auto& detail : proto.details()) {
    status.SetPayload(detail.type_url(), absl::Cord(detail.value()));
  }
  return status;
}

// Codes outside the known range would make an absl::Status that prints nothing.
absl::StatusCode CodeOf(int code) {
  const bool known = code >= 0 && code <= static_cast<int>(absl::StatusCode::kUnauthenticated);
  return known ? static_cast<absl::StatusCode>(code) : absl::StatusCode::kUnknown;
}

}  // namespace

std::string ReasonOf(const absl::Status& status) {
  const auto info = DetailOf<google::rpc::ErrorInfo>(status, kErrorInfo);
  return info ? info->reason() : std::string();
}

std::optional<Duration> RetryAfter(const absl::Status& status) {
  const auto info = DetailOf<google::rpc::RetryInfo>(status, kRetryInfo);
  if (!info) return std::nullopt;
  // A peer may say anything; "never" is a very long time.
  const auto seconds =
      std::clamp<std::int64_t>(info->retry_delay().seconds(), 0, kLongestRetry.count());
  return std::chrono::seconds(seconds) +
         std::chrono::microseconds(std::clamp(info->retry_delay().nanos(), 0, 999'999'999) / 1000);
}

absl::Status MakeError(absl::StatusCode code, std::string_view reason, std::string_view message) {
  absl::Status status(code, {message.data(), message.size()});
  google::rpc::ErrorInfo info;
  info.set_reason(std::string(reason));
  info.set_domain("peermesh");
  status.SetPayload(kErrorInfo, absl::Cord(info.SerializeAsString()));
  return status;
}

absl::Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  absl::Status out(CodeOf(status.error_code()), status.error_message());
  google::rpc::Status proto;
  if (!proto.ParseFromString(status.error_details())) return out;
  return WithDetails(std::move(out), proto);
}

absl::Status FromProto(const google::rpc::Status& status) {
  return WithDetails(absl::Status(CodeOf(status.code()), status.message()), status);
}

bool IsTransient(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:  // a peer that drains ends its streams in good order
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kInternal:  // what gRPC makes of a connection that breaks mid-frame
    case absl::StatusCode::kUnknown: return ReasonOf(status) != "BAD_FRAME";
    case absl::StatusCode::kResourceExhausted: return RetryAfter(status).has_value();
    default: return false;
  }
}

}  // namespace peermesh::client
