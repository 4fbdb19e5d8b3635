// The resource ledger for operators: what AdminService answers about it. Serialised responses.
#ifndef PEERMESH_SERVER_API_RESOURCES_H_
#define PEERMESH_SERVER_API_RESOURCES_H_

#include <string>

#include "absl/status/statusor.h"
#include "metrics/ledger/auditor.h"

namespace peermesh::api {

std::string LeakReport(const ledger::Ledger& ledger, const ledger::Auditor& auditor);
// `request`: a serialised ListResourcesRequest. INVALID_ARGUMENT says what is wrong with it.
absl::StatusOr<std::string> ListResources(const ledger::Ledger& ledger, const std::string& request);
// `request`: a serialised SetLedgerLevelRequest.
absl::StatusOr<std::string> SetLedgerLevel(ledger::Ledger& ledger, const std::string& request);

}  // namespace peermesh::api

#endif  // PEERMESH_SERVER_API_RESOURCES_H_
