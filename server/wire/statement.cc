#include "server/wire/statement.h"

#include <utility>

#include "mesh/base/check.h"
#include "peermesh/link/v1/link.pb.h"

namespace peermesh::wire {
namespace {

namespace pb = link::v1;
using membership::Claim;
using membership::StateReason;

// Both enums count alike; a number that one of them gives away to something else is seen here.
static_assert(static_cast<int>(StateReason::kLinkUp) == pb::STATEMENT_REASON_LINK_UP);
static_assert(static_cast<int>(StateReason::kHeardOf) == pb::STATEMENT_REASON_HEARD_OF);
static_assert(static_cast<int>(StateReason::kRemembered) == pb::STATEMENT_REASON_REMEMBERED);
static_assert(static_cast<int>(StateReason::kLinkClosed) == pb::STATEMENT_REASON_LINK_CLOSED);
static_assert(static_cast<int>(StateReason::kLinkBroken) == pb::STATEMENT_REASON_LINK_BROKEN);
static_assert(static_cast<int>(StateReason::kHeartbeatTimeout) ==
              pb::STATEMENT_REASON_HEARTBEAT_TIMEOUT);
static_assert(static_cast<int>(StateReason::kConnectionRefused) ==
              pb::STATEMENT_REASON_CONNECTION_REFUSED);
static_assert(static_cast<int>(StateReason::kDialTimeout) == pb::STATEMENT_REASON_DIAL_TIMEOUT);
static_assert(static_cast<int>(StateReason::kDialUnreachable) ==
              pb::STATEMENT_REASON_DIAL_UNREACHABLE);
static_assert(static_cast<int>(StateReason::kDialRejected) == pb::STATEMENT_REASON_DIAL_REJECTED);
static_assert(static_cast<int>(StateReason::kGoodbye) == pb::STATEMENT_REASON_GOODBYE);
static_assert(static_cast<int>(StateReason::kStalled) == pb::STATEMENT_REASON_STALLED);
static_assert(static_cast<int>(StateReason::kProtocolError) == pb::STATEMENT_REASON_PROTOCOL_ERROR);
static_assert(static_cast<int>(Claim::kGone) == pb::CLAIM_GONE);
static_assert(static_cast<int>(Claim::kBack) == pb::CLAIM_BACK);
static_assert(static_cast<int>(Claim::kLeft) == pb::CLAIM_LEFT);

}  // namespace

std::optional<SignedStatement> DecodeStatement(std::string_view encoded) {
  pb::SignedStatement envelope;
  pb::Statement body;
  if (encoded.size() > kMaxStatementBytes + kMaxSignatureBytes + 64 ||
      !envelope.ParseFromArray(encoded.data(), static_cast<int>(encoded.size())) ||
      envelope.statement().size() > kMaxStatementBytes || envelope.signature().empty() ||
      envelope.signature().size() > kMaxSignatureBytes ||
      !body.ParseFromString(envelope.statement())) {
    return std::nullopt;
  }
  const auto observer = PeerId::FromBytes(body.observer());
  const auto subject = PeerId::FromBytes(body.subject());
  if (!observer || !subject) return std::nullopt;
  if (body.claim() < pb::CLAIM_GONE || body.claim() > pb::CLAIM_LEFT) return std::nullopt;
  SignedStatement out;
  out.statement.observer = *observer;
  out.statement.subject = *subject;
  out.statement.incarnation = body.incarnation();
  out.statement.number = body.number();
  out.statement.claim = static_cast<Claim>(body.claim());
  if (pb::StatementReason_IsValid(body.reason())) {
    out.statement.reason = static_cast<StateReason>(body.reason());
  }
  out.statement.encoded = encoded;
  out.body = std::move(*envelope.mutable_statement());
  out.signature = std::move(*envelope.mutable_signature());
  return out;
}

std::string EncodeStatementBody(const membership::Statement& statement) {
  pb::Statement body;
  body.set_observer(statement.observer.ToBytes());
  body.set_subject(statement.subject.ToBytes());
  body.set_incarnation(statement.incarnation);
  body.set_number(statement.number);
  body.set_claim(static_cast<pb::Claim>(statement.claim));
  // A reason of ours that the wire has no number for is sent as none.
  const auto reason = static_cast<int>(statement.reason);
  if (pb::StatementReason_IsValid(reason)) {
    body.set_reason(static_cast<pb::StatementReason>(reason));
  }
  return body.SerializeAsString();
}

std::string EncodeSignedStatement(std::string_view body, std::string_view signature) {
  pb::SignedStatement envelope;
  envelope.set_statement(body.data(), body.size());
  envelope.set_signature(signature.data(), signature.size());
  return envelope.SerializeAsString();
}

}  // namespace peermesh::wire
