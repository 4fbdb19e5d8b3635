// What the CA remembers: tokens, names and the certificates it has issued.
//
// Rules and why:
//   - Only the SHA-256 of a token's secret is kept: who reads the database cannot join.
//   - A redemption is one durable transaction: token, name and certificate change together or not
//     at all. The same token with the same key gives the same certificate until the token expires,
//     so a lost answer does no harm; with another key it is refused and marked as abused, because
//     then two hold it.
//   - All faults of a token give one and the same error, and secrets are compared in constant
//     time.
//   - A name belongs to one key until the last certificate with it can no longer be renewed. Peers
//     and clients share the names: a person reading one must not have to ask which is meant.
//   - What is past is deleted: tokens kTokenMemory after their expiry, log entries kLogMemory
//     after theirs.
//
// Blocking I/O. One thread at a time. Time is an argument.
#ifndef PEERMESH_SERVER_STORE_CA_STORE_H_
#define PEERMESH_SERVER_STORE_CA_STORE_H_

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "mesh/base/id.h"
#include "mesh/base/time.h"
#include "mesh/identity/certificate.h"
#include "server/store/sqlite.h"

namespace peermesh::store {

// Redeemable at once; a mesh has at most 4,096 peers.
inline constexpr std::size_t kMaxTokens = 10'000;
inline constexpr std::size_t kMaxListedTokens = 10'000;
// For people who ask what happened.
inline constexpr Duration kTokenMemory = std::chrono::hours(24 * 30);
inline constexpr Duration kLogMemory = std::chrono::hours(24 * 365);
// How long after its expiry a certificate may be renewed, and its name is kept for it.
inline constexpr Duration kRenewalAllowance = std::chrono::hours(24 * 7);

// Numbers are those of peermesh.ca.v1.TokenState.
enum class TokenState : std::uint8_t {
  kIssued = 1,
  kRedeemed = 2,
  kRevoked = 3,
  kExpired = 4,
  kAbused = 5
};

// Why a token was refused: for the CA's own log, never for the caller.
enum class TokenFault : std::uint8_t { kNone, kUnknownOrWrongSecret, kExpired, kRevoked, kAbused };
const char* ToString(TokenFault fault);

struct NewToken {
  std::string id;
  std::string secret;
  WallTime created;
  WallTime expires;
  std::string name;                // demanded; may be empty
  std::vector<std::string> seeds;  // "host:port"
};

struct TokenRecord {
  std::string id;
  TokenState state = TokenState::kIssued;
  WallTime created;
  WallTime expires;
  std::string name;              // demanded, or redeemed for
  std::optional<PeerId> holder;  // who redeemed it
};

struct Redemption {
  std::string token_id;
  std::string token_secret;
  PeerId key_id;
  std::string name;  // wanted; a valid name
};

struct Redeemed {
  identity::Certificate certificate;
  std::vector<std::string> seeds;
  bool again = false;  // the certificate of an earlier answer
};

class CaStore {
 public:
  // Makes the certificate once the name is settled. Runs within the transaction.
  using Issue = std::function<absl::StatusOr<identity::Certificate>(const std::string& name)>;

  static absl::StatusOr<std::unique_ptr<CaStore>> Open(const std::string& path);

  // RESOURCE_EXHAUSTED at kMaxTokens.
  absl::Status AddToken(const NewToken& token);
  // Newest first.
  absl::StatusOr<std::vector<TokenRecord>> ListTokens(WallTime now);
  // NOT_FOUND; FAILED_PRECONDITION if it was redeemed.
  absl::StatusOr<TokenRecord> RevokeToken(std::string_view id, WallTime now);

  // UNAUTHENTICATED for every fault of the token; INVALID_ARGUMENT if it demands another name;
  // ALREADY_EXISTS if the name is somebody else's.
  absl::StatusOr<Redeemed> Redeem(const Redemption& redemption, WallTime now, const Issue& issue);
  // Of the last Redeem.
  TokenFault last_fault() const { return last_fault_; }
  // For renewals, and for clients that an operator adds. ALREADY_EXISTS as above.
  absl::StatusOr<identity::Certificate> IssueFor(const PeerId& key_id, const std::string& name,
                                                 WallTime now, const Issue& issue);

  // Certificates issued and still remembered.
  absl::StatusOr<std::int64_t> CountCertificates();

 private:
  explicit CaStore(std::unique_ptr<Database> database) : database_(std::move(database)) {}

  absl::Status Forget(WallTime now);
  absl::Status CheckName(const std::string& name, const PeerId& key_id, WallTime now);
  // Names, certificate and log; the caller's transaction.
  absl::StatusOr<identity::Certificate> IssueNamed(const PeerId& key_id, const std::string& name,
                                                   WallTime now, const Issue& issue);

  absl::Status RefuseToken(TokenFault fault);

  std::unique_ptr<Database> database_;
  TokenFault last_fault_ = TokenFault::kNone;
};

}  // namespace peermesh::store

#endif  // PEERMESH_SERVER_STORE_CA_STORE_H_
