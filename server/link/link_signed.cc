// What crosses the boundary signed: checked when it comes, signed when it is ours.
#include <utility>

#include "mesh/base/check.h"
#include "server/link/link_context.h"
#include "server/tls/credentials.h"
#include "server/wire/relayed.h"
#include "server/wire/signed_record.h"
#include "server/wire/statement.h"

namespace peermesh::link {

const char* ToString(SignedRefusal refusal) {
  switch (refusal) {
    case SignedRefusal::kCameBack: return "came_back";
    case SignedRefusal::kUnverifiable: return "unverifiable";
    case SignedRefusal::kForged: return "forged";
    case SignedRefusal::kMalformed: return "malformed";
  }
  return "unknown";
}

LinkContext::Verification LinkContext::Verify(std::vector<std::string> encoded) {
  const WallTime now = config_.wall();
  Verification result;
  for (const std::string& bytes : encoded) {
    if (auto known = signatures_.FindRecord(bytes, now)) {
      result.good.records.push_back(*std::move(known));
      continue;
    }
    ++result.checked;
    wire::RecordVerdict verdict = wire::DecodeSignedRecord(bytes, credentials_.bundle(), now);
    if (!verdict.ok()) {
      Count([](LinkStats& stats) { ++stats.records_dropped; });
      continue;
    }
    membership::RecordRef record(std::move(verdict.record()));
    signatures_.Learn(record, verdict.spki());
    result.good.records.push_back(std::move(record));
  }
  return result;
}

std::optional<SignedRefusal> LinkContext::Judge(const Signatures::Check& check) {
  const bool looked = check.outcome != Signatures::Outcome::kUnverifiable;
  Count([&](LinkStats& stats) {
    if (looked) ++(check.computed ? stats.signatures_checked : stats.signatures_remembered);
  });
  switch (check.outcome) {
    case Signatures::Outcome::kHolds: return std::nullopt;
    case Signatures::Outcome::kForged: return SignedRefusal::kForged;
    case Signatures::Outcome::kUnverifiable: break;
  }
  return SignedRefusal::kUnverifiable;
}

LinkContext::StatementsVerification LinkContext::VerifyStatements(
    const wire::EncodedStatements& encoded) {
  const WallTime now = config_.wall();
  StatementsVerification result;
  for (const std::string& bytes : encoded.statements) {
    auto read = wire::DecodeStatement(bytes);
    std::optional<SignedRefusal> refusal;
    if (!read) {
      refusal = SignedRefusal::kMalformed;
    } else if (read->statement.observer == self_) {
      refusal = SignedRefusal::kCameBack;
    } else {
      SignedHash hash(wire::kStatementDomain);
      hash.Add(read->body);
      const Signatures::Check check =
          signatures_.Verify(read->statement.observer, hash.Finish(), read->signature, now);
      result.checked += check.computed ? 1 : 0;
      refusal = Judge(check);
    }
    Count([&](LinkStats& stats) {
      ++stats.statements_in;
      if (refusal) ++stats.statements_refused[static_cast<std::size_t>(*refusal)];
    });
    result.forged |= refusal == SignedRefusal::kForged;
    if (refusal) continue;
    read->statement.past = encoded.past;
    result.good.statements.push_back(
        std::make_shared<const membership::Statement>(std::move(read->statement)));
  }
  return result;
}

std::optional<SignedRefusal> LinkContext::Verify(const node::Relayed& relayed) {
  const broadcast::Piece& piece = *relayed.piece;
  std::optional<SignedRefusal> refusal;
  if (piece.stream.origin == self_) {
    refusal = SignedRefusal::kCameBack;
  } else {
    SignedHash hash(wire::kPieceDomain);
    wire::VisitPieceInput(credentials_.bundle().mesh_id(), piece,
                          [&](std::string_view stretch) { hash.Add(stretch); });
    refusal = Judge(
        signatures_.Verify(piece.stream.origin, hash.Finish(), piece.signature, config_.wall()));
  }
  Count([&](LinkStats& stats) {
    ++stats.relayed_in;
    stats.relayed_bytes_in += wire::RecordBytes(*piece.batch, piece.rows);
    if (refusal) ++stats.relayed_refused[static_cast<std::size_t>(*refusal)];
  });
  return refusal;
}

broadcast::PieceRef LinkContext::Sign(broadcast::Piece piece) {
  PM_CHECK(piece.stream.origin == self_ && piece.IsWellFormed());
  piece.signature = credentials_.key().Sign(
      wire::kPieceDomain, wire::PieceInput(credentials_.bundle().mesh_id(), piece));
  Count([](LinkStats& stats) { ++stats.signatures_made; });
  return std::make_shared<const broadcast::Piece>(std::move(piece));
}

membership::StatementRef LinkContext::Sign(membership::Statement statement) {
  PM_CHECK(statement.observer == self_);
  const std::string body = wire::EncodeStatementBody(statement);
  statement.encoded =
      wire::EncodeSignedStatement(body, credentials_.key().Sign(wire::kStatementDomain, body));
  Count([](LinkStats& stats) { ++stats.signatures_made; });
  return std::make_shared<const membership::Statement>(std::move(statement));
}

}  // namespace peermesh::link
