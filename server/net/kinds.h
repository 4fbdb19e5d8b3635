// What this folder books in the ledger, and how each may live. How many connections are meant to be
// there is configured: the acceptor says it.
#ifndef PEERMESH_SERVER_NET_KINDS_H_
#define PEERMESH_SERVER_NET_KINDS_H_

#include "metrics/ledger/kinds.h"

namespace peermesh::net {

inline const ledger::Kind kListenerFd =
    ledger::Ledger::Process().Register(ledger::ForProcess("fd_listener"));
// An accepted connection, in the scope of its own that names who is at the other end.
inline const ledger::Kind kConnection =
    ledger::Ledger::Process().Register(ledger::Owned("connection"));
// Our descriptors of it: the duplicate that can cut it, and the one that is held until its first
// bytes are there.
inline const ledger::Kind kConnectionFd =
    ledger::Ledger::Process().Register(ledger::Owned("fd_connection"));
// The one that was handed over, for as long as the connection is known to last: whoever has it
// (gRPC) owns it, and the kernel shows a socket that nobody claims.
inline const ledger::Kind kHandedOverFd = ledger::Ledger::Process().Register(
    ledger::StandsFor("fd_socket", ledger::Owned("fd_handed_over")));

}  // namespace peermesh::net

#endif  // PEERMESH_SERVER_NET_KINDS_H_
