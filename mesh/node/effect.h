// Wishes: everything a node can ask for. They may fail; the failure comes back as a fact.
#ifndef PEERMESH_MESH_NODE_EFFECT_H_
#define PEERMESH_MESH_NODE_EFFECT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "mesh/base/id.h"
#include "mesh/base/time.h"
#include "mesh/flow/run.h"
#include "mesh/membership/members.h"
#include "mesh/node/frame.h"

namespace peermesh::node {

// Write one control frame. At most one outstanding per link, see SendDone.
struct SendControl {
  LinkId link;
  ControlFrame frame;
};

// Write one data frame. At most one outstanding per link, see SendDone.
struct SendData {
  LinkId link;
  DataFrame frame;
};

// Grants exactly one more DataIn on this link.
struct ReadNext {
  LinkId link;
};

// Close the link, after what was sent before. LinkDown follows.
struct Close {
  LinkId link;
};

// Dial this address; `expected` is unset for seeds, whose identity the handshake reveals.
struct Dial {
  DialId dial;
  std::string address;  // "host:port"
  std::optional<PeerId> expected;
};

// Hand these to the application, in order. At most one outstanding per session, see DeliverDone.
struct Deliver {
  SessionId session;
  std::vector<flow::Delivery> deliveries;
};

enum class Refusal : std::uint8_t {
  kNone = 0,
  kDraining,
  kRateLimited,
  kUnknownPeer,      // the target matches no peer
  kAmbiguousPeer,    // the target matches several peers
  kPeerUnreachable,  // the target is known and cannot be reached
  kNoSubscribers,    // the target holds no matching subscription
  kTooManySubscriptions,
  kTooManyLeadingWildcards,
  kDuplicateSubscription,  // the id is in use in this session
  kTooManySessions,
  kSlowConsumer,    // closes a session whose on_overflow is CLOSE
  kUnknownSession,  // the request raced with the end of its session
  kTooManyMatches,  // closes a session that a message matched kMaxMatchesPerMessage times and more
  kNoAnswer,        // the peer did not answer a ping in time
};

// One run of numbers given to a publish.
struct NumberRange {
  std::uint32_t channel = 0;
  std::uint64_t first = 0;
  std::uint64_t last = 0;
};

// Answers one Publish, or a Subscribe that is refused.
struct Answer {
  RequestId request;
  SessionId session;
  Refusal refusal = Refusal::kNone;
  const char* limit = "";  // with kRateLimited and the kTooMany...: which limit
  Duration retry_after{};  // with kRateLimited; Duration::max(): it is more than ever fits
  std::vector<NumberRange> numbers;
  std::uint32_t interested_peers = 0;
  std::vector<PeerId> unreachable;  // at most kMaxUnreachableNamed
};
inline constexpr std::size_t kMaxUnreachableNamed = 16;  // enough to act on

// Answers one Subscribe.
struct Subscribed {
  RequestId request;
  SessionId session;
  std::vector<std::uint32_t> ids;
  std::vector<PeerId> unconfirmed;
};

// End the session with this reason. SessionClosed follows.
struct CloseSession {
  SessionId session;
  Refusal reason = Refusal::kNone;
};

// Sign our description: RecordSigned answers. Fields other than these are the driver's to fill.
struct SignRecord {
  std::uint64_t incarnation = 0;
  std::uint64_t channels = 0;
  std::vector<std::uint64_t> observers;
  std::uint64_t published = 0;
};

// Sign this, whose signature is empty: PieceSigned answers.
struct SignPiece {
  broadcast::Piece piece;
};

// Sign this, whose `encoded` is empty: StatementSigned answers.
struct SignStatement {
  membership::Statement statement;
};

// Remember this record for the next start.
struct Persist {
  membership::RecordRef record;  // not null
};

// Forget what was remembered of this peer.
struct Forget {
  PeerId peer;
};

// A row of the table changed, or left it.
struct PeerChanged {
  membership::PeerView peer;
  bool removed = false;
};

enum class NoteKind : std::uint8_t {
  kPeerAlive,
  kPeerSuspect,
  kPeerDead,
  kPeerLeft,
  kPeerUnreachable,
  kLinkReplaced,
  kDuplicateLinkClosed,
  kDialFailed,
  kSessionSlow,     // a subscriber began to lose messages
  kLinkSlow,        // a link began to lose messages
  kMessagesLost,    // count: numbers announced as a gap
  kInterestResync,  // a copy of interest differed
  kPeerMisbehaved,
};

// What was decided, for logs and watchers: a typed reason and its subject, no text.
struct Note {
  NoteKind kind;
  PeerId peer{};
  SessionId session{};
  LinkId link{};
  // The enum that belongs to the kind: StateReason, DialFailure, LossReason.
  std::uint8_t reason = 0;
  std::uint64_t count = 0;
};

// Answers one PingAsked.
struct Pinged {
  RequestId request;
  Refusal refusal = Refusal::kNone;
  PeerId peer{};           // unless the target names none
  Duration round_trip{};   // with kNone; 0: this peer itself
  Duration retry_after{};  // with kRateLimited
};

// The drain is complete: stop.
struct Drained {};

using Effect = std::variant<SendControl, SendData, ReadNext, Close, Dial, Deliver, Answer,
                            Subscribed, CloseSession, SignRecord, Persist, Forget, PeerChanged,
                            Note, Drained, Pinged, SignPiece, SignStatement>;
using Effects = std::vector<Effect>;  // owned by the driver, cleared and reused every turn

}  // namespace peermesh::node

#endif  // PEERMESH_MESH_NODE_EFFECT_H_
