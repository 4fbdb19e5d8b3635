// What this folder books in the ledger, and how each may live.
#ifndef PEERMESH_SERVER_CA_KINDS_H_
#define PEERMESH_SERVER_CA_KINDS_H_

#include "metrics/ledger/kinds.h"

namespace peermesh::ca {

// From its arrival to its answer. Worker::kMaxWaiting before it, some milliseconds each, and the
// disk; callers give up after kCallTime. Three times that.
inline const ledger::Kind kCall =
    ledger::Ledger::Process().Register(ledger::ShortLived("ca_call", std::chrono::seconds(30)));

}  // namespace peermesh::ca

#endif  // PEERMESH_SERVER_CA_KINDS_H_
