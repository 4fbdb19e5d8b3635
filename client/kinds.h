// What the library books in the ledger of its process, and how each may live: for applications that
// look for leaks of their own. Internal to client/.
#ifndef PEERMESH_CLIENT_KINDS_H_
#define PEERMESH_CLIENT_KINDS_H_

#include "metrics/ledger/kinds.h"

namespace peermesh::client {

// A connection to a peer, kept by a Client and everything made from it. gRPC has the socket.
inline const ledger::Kind kChannel = ledger::Ledger::Process().Register(
    ledger::StandsFor("fd_socket", ledger::Owned("client_channel")));
// Of a session or a watch, in the scope of that: its thread, and each of its attempts.
inline const ledger::Kind kThread =
    ledger::Ledger::Process().Register(ledger::Owned("client_thread"));
inline const ledger::Kind kStream =
    ledger::Ledger::Process().Register(ledger::Owned("client_stream"));

}  // namespace peermesh::client

#endif  // PEERMESH_CLIENT_KINDS_H_
