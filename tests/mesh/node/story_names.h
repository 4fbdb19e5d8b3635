// The words of a story for the values of enums, one table each for reading and showing.
#ifndef PEERMESH_TESTS_MESH_NODE_STORY_NAMES_H_
#define PEERMESH_TESTS_MESH_NODE_STORY_NAMES_H_

#include <array>
#include <string>

#include "mesh/base/loss.h"
#include "mesh/membership/members.h"
#include "mesh/node/effect.h"
#include "mesh/node/input.h"
#include "tests/mesh/node/story_words.h"

namespace peermesh::node {

inline constexpr std::array<Named<DownReason>, 5> kDownNames = {
    {{"closed", DownReason::kClosedByPeer},
     {"broken", DownReason::kTransport},
     {"closed-by-us", DownReason::kClosedByUs},
     {"nonsense", DownReason::kProtocol},
     {"stalled", DownReason::kStalled}}};

inline constexpr std::array<Named<DialFailure>, 7> kDialFailureNames = {
    {{"refused", DialFailure::kRefused},
     {"unreachable", DialFailure::kUnreachable},
     {"timeout", DialFailure::kTimeout},
     {"rejected", DialFailure::kRejected},
     {"wrong-peer", DialFailure::kWrongPeer},
     {"self", DialFailure::kSelf},
     {"broken", DialFailure::kTransport}}};

inline constexpr std::array<Named<GoodbyeReason>, 5> kGoodbyeNames = {
    {{"leaving", GoodbyeReason::kLeaving},
     {"duplicate", GoodbyeReason::kDuplicate},
     {"replaced", GoodbyeReason::kReplaced},
     {"misbehaved", GoodbyeReason::kMisbehaved},
     {"surplus", GoodbyeReason::kSurplus}}};

inline constexpr std::array<Named<membership::Claim>, 3> kClaimNames = {
    {{"gone", membership::Claim::kGone},
     {"back", membership::Claim::kBack},
     {"left", membership::Claim::kLeft}}};

inline constexpr std::array<Named<overlay::Urgency>, 3> kUrgencyNames = {
    {{"low", overlay::Urgency::kLow},
     {"high", overlay::Urgency::kHigh},
     {"swap", overlay::Urgency::kSwap}}};

inline constexpr std::array<Named<LossReason>, 4> kLossNames = {
    {{"slow_subscriber", LossReason::kSlowSubscriber},
     {"slow_link", LossReason::kSlowLink},
     {"link_lost", LossReason::kLinkLost},
     {"missing", LossReason::kMissing}}};

inline constexpr std::array<Named<Refusal>, 15> kRefusalNames = {
    {{"OK", Refusal::kNone},
     {"DRAINING", Refusal::kDraining},
     {"RATE_LIMITED", Refusal::kRateLimited},
     {"UNKNOWN_PEER", Refusal::kUnknownPeer},
     {"AMBIGUOUS_PEER", Refusal::kAmbiguousPeer},
     {"PEER_UNREACHABLE", Refusal::kPeerUnreachable},
     {"NO_SUBSCRIBERS", Refusal::kNoSubscribers},
     {"TOO_MANY_SUBSCRIPTIONS", Refusal::kTooManySubscriptions},
     {"TOO_MANY_LEADING_WILDCARDS", Refusal::kTooManyLeadingWildcards},
     {"DUPLICATE_SUBSCRIPTION", Refusal::kDuplicateSubscription},
     {"TOO_MANY_SESSIONS", Refusal::kTooManySessions},
     {"SLOW_CONSUMER", Refusal::kSlowConsumer},
     {"UNKNOWN_SESSION", Refusal::kUnknownSession},
     {"TOO_MANY_MATCHES", Refusal::kTooManyMatches},
     {"NO_ANSWER", Refusal::kNoAnswer}}};

inline constexpr std::array<Named<membership::State>, 5> kStateNames = {
    {{"ALIVE", membership::State::kAlive},
     {"SUSPECT", membership::State::kSuspect},
     {"DEAD", membership::State::kDead},
     {"LEFT", membership::State::kLeft},
     {"UNREACHABLE", membership::State::kUnreachable}}};

inline constexpr std::array<Named<membership::Connection>, 4> kConnectionNames = {
    {{"idle", membership::Connection::kIdle},
     {"connecting", membership::Connection::kConnecting},
     {"connected", membership::Connection::kConnected},
     {"disconnected", membership::Connection::kDisconnected}}};

inline constexpr std::array<Named<NoteKind>, 13> kNoteNames = {
    {{"PEER_ALIVE", NoteKind::kPeerAlive},
     {"PEER_SUSPECT", NoteKind::kPeerSuspect},
     {"PEER_DEAD", NoteKind::kPeerDead},
     {"PEER_LEFT", NoteKind::kPeerLeft},
     {"PEER_UNREACHABLE", NoteKind::kPeerUnreachable},
     {"LINK_REPLACED", NoteKind::kLinkReplaced},
     {"DUPLICATE_LINK_CLOSED", NoteKind::kDuplicateLinkClosed},
     {"DIAL_FAILED", NoteKind::kDialFailed},
     {"SESSION_SLOW", NoteKind::kSessionSlow},
     {"LINK_SLOW", NoteKind::kLinkSlow},
     {"MESSAGES_LOST", NoteKind::kMessagesLost},
     {"INTEREST_RESYNC", NoteKind::kInterestResync},
     {"PEER_MISBEHAVED", NoteKind::kPeerMisbehaved}}};

template <class Table, class Value>
std::string NameOf(const Table& table, Value value) {
  for (const auto& row : table) {
    if (row.value == value) return std::string(row.text);
  }
  return "?" + std::to_string(static_cast<int>(value));
}

}  // namespace peermesh::node

#endif  // PEERMESH_TESTS_MESH_NODE_STORY_NAMES_H_
