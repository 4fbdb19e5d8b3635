// What this folder books in the ledger, and how each may live. Statements are not booked: SQLite
// itself refuses to close a database that has one left, and that stops the process.
#ifndef PEERMESH_SERVER_STORE_KINDS_H_
#define PEERMESH_SERVER_STORE_KINDS_H_

#include "metrics/ledger/kinds.h"

namespace peermesh::store {

inline const ledger::Kind kDatabase =
    ledger::Ledger::Process().Register(ledger::ForProcess("database"));
// It keeps all other writers out, who give up after 5 s. Some statements and a wait for the disk;
// several times that for a disk in trouble: guess.
inline const ledger::Kind kTransaction =
    ledger::Ledger::Process().Register(ledger::ShortLived("transaction", std::chrono::seconds(30)));

}  // namespace peermesh::store

#endif  // PEERMESH_SERVER_STORE_KINDS_H_
