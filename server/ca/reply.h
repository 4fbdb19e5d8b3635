// How the CA's services answer: from the worker, and with which error.
#ifndef PEERMESH_SERVER_CA_REPLY_H_
#define PEERMESH_SERVER_CA_REPLY_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <functional>

#include "absl/status/status.h"
#include "metrics/ledger/site.h"
#include "server/process/worker.h"

namespace peermesh::ca {

// Ends the call with what `answer` returns on the worker, or with RESOURCE_EXHAUSTED (OVERLOADED)
// if too many wait. Booked in the ledger as born in the method that asks.
grpc::ServerUnaryReactor* ReplyFrom(Worker& worker, grpc::CallbackServerContext& context,
                                    std::function<grpc::Status()> answer,
                                    ledger::Site birth = ledger::Site::Here());

// The reason for each code that the store returns on purpose. All others are faults of ours or of
// the disk: logged, and INTERNAL (STORE_FAILED) without details to the caller.
struct Reasons {
  const char* unauthenticated = nullptr;
  const char* invalid_argument = nullptr;
  const char* already_exists = nullptr;
  const char* not_found = nullptr;
  const char* failed_precondition = nullptr;
  const char* resource_exhausted = nullptr;
};
grpc::Status ErrorOf(const absl::Status& status, const Reasons& reasons);

}  // namespace peermesh::ca

#endif  // PEERMESH_SERVER_CA_REPLY_H_
