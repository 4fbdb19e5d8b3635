// What this folder books in the ledger, and how each may live: in the scope of the stream that
// asked for it.
#ifndef PEERMESH_SERVER_API_KINDS_H_
#define PEERMESH_SERVER_API_KINDS_H_

#include "mesh/base/limits.h"
#include "metrics/ledger/kinds.h"
#include "server/api/peers_service.h"

namespace peermesh::api {

// From the node's first word of it to its last. It carries a deadline while a publish of it waits
// for the answer.
inline const ledger::Kind kSession =
    ledger::Ledger::Process().Register(ledger::AtMost(kMaxSessions, ledger::Leased("session")));
// As asked for by the application; the node may have fewer for a moment, never more.
inline const ledger::Kind kSubscription = ledger::Ledger::Process().Register(
    ledger::AtMost(kMaxSubscriptions, ledger::Owned("subscription")));
inline const ledger::Kind kWatch =
    ledger::Ledger::Process().Register(ledger::AtMost(kMaxWatchers, ledger::Owned("peer_watch")));

}  // namespace peermesh::api

#endif  // PEERMESH_SERVER_API_KINDS_H_
