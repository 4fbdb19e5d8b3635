// Signed statements on other peers: bytes to plain data and back.
//
// A statement names its observer and carries its signature; whoever receives one has the signature
// checked under the observer's key (server/link) before the node sees it. An attacker with a valid
// certificate has one voice, its own; mesh/membership/quorum.h counts them.
//
// Thread-safe.
#ifndef PEERMESH_SERVER_WIRE_STATEMENT_H_
#define PEERMESH_SERVER_WIRE_STATEMENT_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "mesh/membership/statement.h"

namespace peermesh::wire {

// What statements are signed under; see identity::Certificate::VerifySignature.
inline constexpr std::string_view kStatementDomain = "peermesh/statement/v1";
// Two ids, four numbers and their tags are 110; the rest is for a later version.
inline constexpr std::size_t kMaxStatementBytes = 256;
// ECDSA P-256 in DER takes 72 at most; the rest is for another algorithm.
inline constexpr std::size_t kMaxSignatureBytes = 128;

struct SignedStatement {
  membership::Statement statement;
  std::string body;  // what is signed
  std::string signature;
};

// `encoded` is a serialised SignedStatement. Nothing if it is malformed, too large, or claims what
// this version does not know. The signature is not checked.
std::optional<SignedStatement> DecodeStatement(std::string_view encoded);

// A serialised Statement: what is to be signed under kStatementDomain.
std::string EncodeStatementBody(const membership::Statement& statement);
// A serialised SignedStatement.
std::string EncodeSignedStatement(std::string_view body, std::string_view signature);

}  // namespace peermesh::wire

#endif  // PEERMESH_SERVER_WIRE_STATEMENT_H_
