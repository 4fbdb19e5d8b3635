// Errors as the CA's callers get them: a gRPC status with google.rpc details.
#ifndef PEERMESH_SERVER_CA_ERRORS_H_
#define PEERMESH_SERVER_CA_ERRORS_H_

#include <grpcpp/support/status.h>

#include <string>
#include <string_view>

#include "mesh/base/time.h"

namespace peermesh::ca {

// `reason` is the ErrorInfo.reason that ca.proto names, domain "peermesh". With `retry` above zero
// RetryInfo says when trying again makes sense.
grpc::Status MakeError(grpc::StatusCode code, const std::string& reason, const std::string& message,
                       Duration retry = Duration::zero());

// The reason of an error made so; empty if there is none.
std::string ReasonOf(const grpc::Status& status);

}  // namespace peermesh::ca

#endif  // PEERMESH_SERVER_CA_ERRORS_H_
