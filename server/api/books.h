// What is counted twice: by the node, which keeps count for reasons of its own, and by the ledger.
//
// The node knows no ledger. What it holds on behalf of applications and peers is booked by those
// who tell it of their coming and going; if one of them forgets to tell it, or to book, the two
// counts part for good.
//
// Thread-safe.
#ifndef PEERMESH_SERVER_API_BOOKS_H_
#define PEERMESH_SERVER_API_BOOKS_H_

#include <vector>

#include "mesh/node/node.h"
#include "metrics/ledger/auditor.h"

namespace peermesh::api {

// Links, sessions and subscriptions, for ledger::Sources::rpcs. Of one node in the process.
std::vector<ledger::RpcCounts> CountedTwice(const node::Census& census);

}  // namespace peermesh::api

#endif  // PEERMESH_SERVER_API_BOOKS_H_
