// Facts: everything that can happen to a node. Past tense, already true.
#ifndef PEERMESH_MESH_NODE_INPUT_H_
#define PEERMESH_MESH_NODE_INPUT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "mesh/base/batch.h"
#include "mesh/base/id.h"
#include "mesh/base/loss.h"
#include "mesh/base/time.h"
#include "mesh/limits/gcra.h"
#include "mesh/node/frame.h"

namespace peermesh::node {

struct Limits {
  // Default: unlimited.
  limits::Rate application_messages{};
  limits::Rate application_bytes{};
  limits::Rate peer_messages{};
  limits::Rate peer_bytes{};
  limits::Rate subscribes{};
  friend bool operator==(const Limits&, const Limits&) = default;
};

enum class Direction : std::uint8_t { kInbound = 1, kOutbound = 2 };
enum class Lane : std::uint8_t { kControl, kData };

// A link shook hands: both streams are open and the other side is in this mesh. The peer is who TLS
// says. The driver reads control frames from now on by itself; data frames by ReadNext only.
struct LinkUp {
  LinkId link;
  PeerId peer;
  DialId dial;  // {} when inbound
  Direction direction = Direction::kInbound;
  // Which dial of the dialler made it: inbound, what its hello says; outbound, `dial.value`. Both
  // ends need the same to agree which of two links is the newer.
  std::uint64_t dial_count = 0;
  std::string name;  // from the certificate
  std::uint64_t epoch = 0;
  std::string software;
  WallTime certificate_expiry{};  // the remote certificate's
  Instant expires = kNever;       // when the first of both certificates shown on this link runs out
};

enum class DownReason : std::uint8_t {
  kClosedByPeer = 1,  // orderly end of a stream
  kTransport,         // reset, end of file, TLS error
  kClosedByUs,        // answers our Close
  kProtocol,          // an undecodable or forbidden frame
  kStalled,           // a write did not finish in time
};

// The link is gone; nothing more comes for it. Exactly one per LinkUp.
struct LinkDown {
  LinkId link;
  DownReason why = DownReason::kTransport;
};

// A control frame arrived.
struct ControlIn {
  LinkId link;
  ControlFrame frame;
};

// A data frame arrived: answers one ReadNext.
struct DataIn {
  LinkId link;
  DataFrame frame;
};

// The previous Send on this lane left the process: one more is allowed.
struct SendDone {
  LinkId link;
  Lane lane = Lane::kControl;
};

enum class DialFailure : std::uint8_t {
  kRefused = 1,  // nobody listens there
  kUnreachable,  // no route, name not resolved
  kTimeout,      // no answer in kDialTimeout
  kRejected,     // TLS or hello refused by either side
  kWrongPeer,    // somebody else answered
  kSelf,         // we dialled ourselves
  kTransport,    // broke during the handshake
};

// A Dial came to nothing. Exactly one of LinkUp and DialFailed answers each Dial.
struct DialFailed {
  DialId dial;
  DialFailure why = DialFailure::kTransport;
};

// An application stream opened. One stream is one session; unary calls are sessions too.
struct SessionOpened {
  SessionId session;
  PrincipalId principal;
};

struct SessionClosed {
  SessionId session;
};

// An application handed over a batch. Answered by exactly one Answer; a session has at most one
// unanswered.
struct Publish {
  RequestId request;
  SessionId session;
  BatchRef batch;
  WallTime now{};      // becomes the publish time
  std::string target;  // empty: everybody; else a name, id or unique id prefix
};

struct Subscription {
  std::uint32_t id = 0;  // unique in the session
  std::string pattern;
  OnOverflow on_overflow = OnOverflow::kGap;
  Duration block_timeout = kDefaultBlockTimeout;
};

// Answered by Subscribed or by an Answer with an error.
struct Subscribe {
  RequestId request;
  SessionId session;
  std::vector<Subscription> subscriptions;
};

struct Unsubscribe {
  SessionId session;
  std::vector<std::uint32_t> ids;
};

// The previous Deliver left the process: one more is allowed.
struct DeliverDone {
  SessionId session;
};

// The driver signed our own record: answers SignRecord.
struct RecordSigned {
  PeerRecord record;
};

// The driver signed what we broadcast: answers SignPiece.
struct PieceSigned {
  broadcast::PieceRef piece;
};

// The driver signed what we say of another peer: answers SignStatement.
struct StatementSigned {
  membership::StatementRef statement;
};

// Our certificate was renewed. Links are replaced one by one, make before break.
struct CredentialsRenewed {};

// The operator wants this peer to leave. Ends with Drained, at `deadline` at the latest.
struct DrainRequested {
  Instant deadline;
};

// Somebody wants to know how long a peer takes to answer. Answered by exactly one Pinged, within
// kPingTimeout.
struct PingAsked {
  RequestId request;
  std::string target;  // a name, id or unique id prefix
};

// The operator changed the configuration. All of it that a node has is here, whether it changed or
// not. Links stay: a seed that is dropped is no longer sought, and that is all.
struct Reconfigured {
  Limits limits;
  std::vector<std::string> seeds;  // at most kMaxSeeds
};

using Input = std::variant<LinkUp, LinkDown, ControlIn, DataIn, SendDone, DialFailed, SessionOpened,
                           SessionClosed, Publish, Subscribe, Unsubscribe, DeliverDone,
                           RecordSigned, CredentialsRenewed, DrainRequested, PingAsked,
                           Reconfigured, PieceSigned, StatementSigned>;

}  // namespace peermesh::node

#endif  // PEERMESH_MESH_NODE_INPUT_H_
