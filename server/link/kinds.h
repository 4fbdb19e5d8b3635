// What this folder books in the ledger, and how each may live.
//
// A call is booked in a scope of its own: a caller's below its connection, ours below its link.
// Streams are owned, not active: a subscription may be silent for days, a data stream too, and
// the ping of Exchange is the caller's to send or not. What has a heartbeat is the link.
#ifndef PEERMESH_SERVER_LINK_KINDS_H_
#define PEERMESH_SERVER_LINK_KINDS_H_

#include <chrono>
#include <string>

#include "mesh/base/limits.h"
#include "mesh/identity/identity.h"
#include "metrics/ledger/kinds.h"
#include "server/link/links.h"
#include "server/link/stream.h"

namespace peermesh::link {

// A publish is held back by readers that ask for it, for kMaxBlockTimeout by each of them once; a
// second may begin when the first lets go.
inline constexpr Duration kLongestAnswer = 2 * kMaxBlockTimeout;
// What a loaded machine adds to any limit that a timer of ours keeps. Guess.
inline constexpr Duration kLate = std::chrono::seconds(5);

// A link has a connection and a stream for each of its lanes.
inline constexpr std::uint64_t kLanesOfLinks = 2 * kMaxLinks;

constexpr ledger::Duration ForLedger(Duration duration) {
  return std::chrono::ceil<ledger::Duration>(duration);
}

// A unary call: its request arrives, is answered, and the answer leaves.
inline const ledger::Kind kServerCall = ledger::Ledger::Process().Register(
    ledger::ShortLived("rpc_server_call", ForLedger(kLongestAnswer + 2 * kWriteDeadline + kLate)));
inline const ledger::Kind kServerStream =
    ledger::Ledger::Process().Register(ledger::Owned("rpc_server_stream"));
inline const ledger::Kind kClientStream = ledger::Ledger::Process().Register(
    ledger::AtMost(kLanesOfLinks, ledger::Owned("rpc_client_stream")));
// A call of either side that was cancelled and has not come back. It does when what is being
// written has left: a dead connection is noticed by TCP after 10 s, by keepalive after 30 s.
inline const ledger::Kind kCancelledCall = ledger::Ledger::Process().Register(
    ledger::ShortLived("rpc_cancelled", std::chrono::seconds(60)));
// A connection that we dial; gRPC has the socket of it.
inline const ledger::Kind kChannel = ledger::Ledger::Process().Register(
    ledger::AtMost(kLanesOfLinks, ledger::StandsFor("fd_socket", ledger::Owned("channel"))));

// A link on its way, dialled or accepted ...
inline const ledger::Kind kDial = ledger::Ledger::Process().Register(
    ledger::AtMost(kMaxLinks, ledger::ShortLived("dial", ForLedger(kDialTimeout + kLate))));
inline const ledger::Kind kHandshake = ledger::Ledger::Process().Register(
    ledger::AtMost(kMaxLinks, ledger::ShortLived("handshake", ForLedger(kHandshakeLimit + kLate))));
// ... and up: heartbeats come every kHeartbeat, and the node gives up a silent one at kDeadAfter.
inline const ledger::Kind kLink = ledger::Ledger::Process().Register(
    ledger::AtMost(kMaxLinks, ledger::Active("link", ForLedger(kDeadAfter + kLinger + kLate))));

// Its deadline is when it is due.
inline const ledger::Kind kTimer = ledger::Ledger::Process().Register(ledger::Leased("timer"));

// "beta (mfqwcyld)": who a certificate says.
inline std::string OwnerLabel(const identity::Identity& identity) {
  constexpr std::size_t kShownOfId = 8;
  return identity.name + " (" + identity.id.ToText().substr(0, kShownOfId) + ")";
}

}  // namespace peermesh::link

#endif  // PEERMESH_SERVER_LINK_KINDS_H_
