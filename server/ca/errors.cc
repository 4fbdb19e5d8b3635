#include "server/ca/errors.h"

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace peermesh::ca {

grpc::Status MakeError(grpc::StatusCode code, const std::string& reason, const std::string& message,
                       Duration retry) {
  google::rpc::Status details;
  details.set_code(code);
  details.set_message(message);
  google::rpc::ErrorInfo info;
  info.set_reason(reason);
  info.set_domain("peermesh");
  details.add_details()->PackFrom(info);
  if (retry > Duration::zero()) {
    google::rpc::RetryInfo when;
    when.mutable_retry_delay()->set_seconds(retry / std::chrono::seconds(1));
    when.mutable_retry_delay()->set_nanos(
        static_cast<int>((retry % std::chrono::seconds(1)) / std::chrono::microseconds(1) * 1000));
    details.add_details()->PackFrom(when);
  }
  return grpc::Status(code, message, details.SerializeAsString());
}

std::string ReasonOf(const grpc::Status& status) {
  google::rpc::Status details;
  if (!details.ParseFromString(status.error_details())) return "";
  for (const auto& detail : details.details()) {
    google::rpc::ErrorInfo info;
    if (detail.UnpackTo(&info)) return info.reason();
  }
  return "";
}

}  // namespace peermesh::ca
