// The table of reasons, in alphabetical order.
#include <algorithm>
#include <array>

#include "server/wire/errors.h"

namespace peermesh::wire {
namespace {

constexpr Reason kReasons[] = {
    {"AMBIGUOUS_PEER", Code::kInvalidArgument, "The target matches several peers.",
     "Give the peer's name or more characters of its id."},
    {"BAD_ADDRESS", Code::kInvalidArgument, "An address is not host:port.",
     "Write it as host:port, or [address]:port for IPv6."},
    {"BAD_GRACE", Code::kInvalidArgument, "The grace of a drain is out of range.",
     "Use a duration from 0 to 5 minutes."},
    {"BAD_HOST", Code::kInvalidArgument,
     "A host name or address for the certificate is not acceptable.",
     "Give at most 16 DNS names or IP addresses, none below the mesh id."},
    {"BAD_LIFETIME", Code::kInvalidArgument, "The lifetime is out of bounds.",
     "Keep to the bounds that the message names."},
    {"BAD_NAME", Code::kInvalidArgument,
     "The name is not a DNS label, or not the one the token demands.",
     "Use 1 to 63 of a-z, 0-9 and '-', or the name that the token was made for."},
    {"BAD_REQUEST_KEY", Code::kInvalidArgument,
     "The certificate request is not valid, or its key not P-256.",
     "Make a new P-256 key and request."},
    {"BAD_ROLE", Code::kInvalidArgument, "The role is neither client nor admin.",
     "Ask for one of them; peers join with a token."},
    {"BATCH_TOO_LARGE", Code::kInvalidArgument, "A batch holds more than 1,024 messages or 2 MiB.",
     "Publish it in several batches."},
    {"CERTIFICATE_REQUIRED", Code::kUnauthenticated, "The call needs a certificate of this mesh.",
     "Connect with the certificate that is to be renewed."},
    {"CERTIFICATE_TOO_OLD", Code::kUnauthenticated, "The certificate expired more than 7 days ago.",
     "Enrol again with a new token."},
    {"DRAINING", Code::kUnavailable, "The peer is leaving the mesh.",
     "Use another peer, or wait for its return."},
    {"DUPLICATE_SUBSCRIPTION", Code::kAlreadyExists,
     "The subscription id is in use in this session.",
     "Choose an id that is not in use, or remove the subscription first."},
    {"EMPTY_BATCH", Code::kInvalidArgument, "The publish holds no message.",
     "Send at least one message."},
    {"EMPTY_REQUEST", Code::kInvalidArgument, "The call carried no request.",
     "Send one request message."},
    {"HELLO_EXPECTED", Code::kInvalidArgument,
     "An Exchange began with something else than its hello.",
     "Send a frame that holds a hello and nothing else first."},
    {"INVALID_PATTERN", Code::kInvalidArgument, "A pattern has the wrong form.",
     "Use a subject in which a token may be '*' and the last one '>'."},
    {"INVALID_SUBJECT", Code::kInvalidArgument, "A subject has the wrong form.",
     "Use 1 to 16 tokens of [A-Za-z0-9_-] joined by dots, at most 256 bytes, no wildcards."},
    {"KEY_MISMATCH", Code::kInvalidArgument,
     "The request is for another key than the certificate's.",
     "Renew with the key of the certificate, or enrol anew."},
    {"MALFORMED_MESSAGE", Code::kInvalidArgument, "The bytes are not the message they should be.",
     "Build it with code generated from the .proto files, and keep to the limits written there."},
    {"MALFORMED_SUBSCRIPTION", Code::kInvalidArgument,
     "A subscription is not complete or out of range.",
     "Give it an id other than 0, a subject, and a block_timeout of at most 60 s."},
    {"MESSAGE_TOO_LARGE", Code::kResourceExhausted, "A message is larger than 1 MiB.",
     "Send it in parts, or send a reference to it."},
    {"NAME_TAKEN", Code::kAlreadyExists, "Another peer of the mesh has this name.",
     "Choose another name."},
    {"NO_ANSWER", Code::kDeadlineExceeded, "The peer did not answer a ping in 5 s.",
     "Try again; `peermesh peers show NAME` says what is known of it."},
    {"NO_SUBSCRIBERS", Code::kFailedPrecondition, "The target peer holds no matching subscription.",
     "Subscribe there first, or check the subject."},
    {"OVERLOADED", Code::kResourceExhausted, "Too many requests of this kind are waiting.",
     "Try again in a few seconds."},
    {"PEER_UNREACHABLE", Code::kUnavailable, "The target peer is known but there is no link to it.",
     "Try again, or look at `peermesh peers` for the reason."},
    {"RATE_LIMITED", Code::kResourceExhausted, "A rate limit was exceeded.",
     "Try again after the delay in RetryInfo; without one, ask for less at once or raise the "
     "limit."},
    {"RELOAD_REFUSED", Code::kFailedPrecondition,
     "The configuration or identity on disk cannot be used, so that nothing has changed.",
     "Mend what the message names, and reload again."},
    {"ROLE_REQUIRED", Code::kPermissionDenied, "The caller's role does not permit this method.",
     "Use the socket or certificate of a role that does."},
    {"SESSION_ENDED", Code::kAborted, "The session ended while the request was under way.",
     "Open a new session."},
    {"SLOW_CONSUMER", Code::kResourceExhausted,
     "The session read too slowly and asked to be closed then.",
     "Read faster, or subscribe with on_overflow GAP or BLOCK."},
    {"STORE_FAILED", Code::kInternal, "The CA cannot use its store.",
     "Look at its log; check the disk."},
    {"STREAM_LIMIT", Code::kResourceExhausted, "There are too many streams of this kind.",
     "Close some, or share one."},
    {"TOKEN_REFUSED", Code::kUnauthenticated, "The join token is not accepted.",
     "Ask for a new token; each works once and for a limited time."},
    {"TOKEN_USED", Code::kFailedPrecondition, "The token was redeemed already.",
     "There is nothing left to revoke."},
    {"TOO_MANY_LEADING_WILDCARDS", Code::kResourceExhausted,
     "The peer holds too many patterns that begin with a wildcard.",
     "Begin the pattern with a plain token."},
    {"TOO_MANY_MATCHES", Code::kResourceExhausted,
     "A message matched more than 256 subscriptions of the session.",
     "Subscribe once to what several readers want, or with patterns that overlap less."},
    {"TOO_MANY_SESSIONS", Code::kResourceExhausted, "The peer serves as many sessions as it can.",
     "Close some, or use another peer."},
    {"TOO_MANY_SUBSCRIPTIONS", Code::kResourceExhausted,
     "The session or the peer holds too many subscriptions.", "Remove some, or use wildcards."},
    {"TOO_MANY_TOKENS", Code::kResourceExhausted, "The CA holds as many unused tokens as it can.",
     "Revoke some, or wait until they expire."},
    {"UNEXPECTED_HELLO", Code::kInvalidArgument, "A session had a second hello.",
     "Open a new stream instead."},
    {"UNKNOWN_METHOD", Code::kUnimplemented, "There is no such method here.",
     "Check the service, the socket, and that client and peer are of the same version."},
    {"UNKNOWN_PEER", Code::kNotFound, "No peer has this name or id.", "Look at `peermesh peers`."},
    {"UNKNOWN_TOKEN", Code::kNotFound, "No token has this id.", "Look at `peermesh token ls`."},
};

}  // namespace

std::span<const Reason> Reasons() { return kReasons; }

const Reason* FindReason(std::string_view name) {
  const auto it = std::lower_bound(
      std::begin(kReasons), std::end(kReasons), name,
      [](const Reason& row, std::string_view wanted) { return row.name < wanted; });
  return it != std::end(kReasons) && it->name == name ? it : nullptr;
}

}  // namespace peermesh::wire
