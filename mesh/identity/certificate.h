// Certificates: parsing, and the one place that decides whether to believe one.
//
// Rules of `Verify`, in the order in which they are tried; the first that fails is the answer:
//   1. It parses, is at most kMaxCertificateBytes and looks like one of ours: X.509 v3, CA:FALSE,
//      key usage digitalSignature, no unknown critical extension, P-256 key as a named curve and
//      an uncompressed point (one spelling, so that one key has one id): else kMalformed.
//   2. Signed directly by a root of the bundle; a chain may not be longer: kWrongCa.
//   3. One URI SAN of the right form and mesh, one name, extended key usage fit for the role:
//      kBadIdentity.
//   4. The hash of its key is the id in the URI, so not even the CA can give an id to another
//      key: kKeyMismatch.
//   5. Dates, of the certificate and of its root: kNotYetValid, kExpired.
//   6. The role is admitted, the id is the dialled one: kWrongRole, kWrongPeer.
//
// An attacker without a key certified by a root gains nothing here but the cost of one parse and
// at most one signature check (about 0.2 ms) for each handshake, which the accept loop rations.
//
// No clock: `now` is an argument. Immutable after construction; thread-safe.
#ifndef PEERMESH_MESH_IDENTITY_CERTIFICATE_H_
#define PEERMESH_MESH_IDENTITY_CERTIFICATE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "mesh/base/limits.h"
#include "mesh/identity/identity.h"

namespace peermesh::identity {

inline constexpr std::size_t kMaxRoots = 8;  // a rotation needs two; the rest is room

// Why a certificate was not believed.
enum class Refusal : std::uint8_t {
  kNoCertificate,
  kMalformed,
  kWrongCa,
  kExpired,
  kNotYetValid,
  kBadIdentity,
  kKeyMismatch,
  kWrongPeer,
  kWrongRole,
};
inline constexpr int kRefusalCount = 9;
// lower_snake, as in metric labels: "wrong_ca".
const char* ToString(Refusal refusal);
// One sentence what is wrong, one what to do.
const char* Explain(Refusal refusal);

// A parsed certificate; copies share it. Any P-256 certificate: being parsed proves nothing.
class Certificate {
 public:
  // From DER, or from PEM whose first block it is. Nothing for anything else.
  static std::optional<Certificate> Parse(std::string_view der_or_pem);

  const std::string& der() const;
  std::string ToPem() const;
  // SubjectPublicKeyInfo, DER, and its hash.
  const std::string& spki() const;
  const PeerId& key_id() const;
  WallTime not_before() const;
  WallTime not_after() const;
  // What it says of its holder. To be believed only where Verify has passed the certificate
  // before.
  std::optional<Identity> Claims() const;
  // ECDSA P-256 with SHA-256 over `domain`, a zero byte and `bytes`. The domain keeps a signature
  // made for one purpose from serving another.
  bool VerifySignature(std::string_view domain, std::string_view bytes,
                       std::string_view signature) const;

  struct Impl;
  const Impl& impl() const { return *impl_; }

 private:
  explicit Certificate(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<const Impl> impl_;
};

// The roots of one mesh. Copies share them.
class TrustBundle {
 public:
  // `roots` in DER or PEM, one certificate each. INVALID_ARGUMENT if there are none or too many,
  // or if one is not a self-signed P-256 CA certificate: an entry that is not a CA would be a back
  // door.
  static absl::StatusOr<TrustBundle> Create(const std::vector<std::string>& roots,
                                            std::string mesh_id);
  // All blocks of a PEM file.
  static absl::StatusOr<TrustBundle> FromPem(std::string_view pem, std::string mesh_id);

  const std::string& mesh_id() const;
  // DER.
  const std::vector<std::string>& roots() const;
  std::string ToPem() const;

  struct Impl;
  const Impl& impl() const { return *impl_; }

 private:
  explicit TrustBundle(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<const Impl> impl_;
};

struct VerifyOptions {
  std::optional<PeerId> expected = std::nullopt;  // the dialled peer
  RoleSet roles = {Role::kPeer};
  Duration late = Duration::zero();  // accepted so long after not_after: renewals only
};

// An identity, or why not.
class Verdict {
 public:
  Verdict(Identity identity) : value_(std::move(identity)) {}  // NOLINT: implicit by design
  Verdict(Refusal refusal) : value_(refusal) {}                // NOLINT: implicit by design
  bool ok() const { return std::holds_alternative<Identity>(value_); }
  // Only if ok() / only if not.
  const Identity& identity() const;
  Refusal refusal() const;

 private:
  std::variant<Identity, Refusal> value_;
};

Verdict Verify(const Certificate& certificate, const TrustBundle& bundle, WallTime now,
               const VerifyOptions& options);
// Parses first: DER or PEM.
Verdict Verify(std::string_view der_or_pem, const TrustBundle& bundle, WallTime now,
               const VerifyOptions& options);

}  // namespace peermesh::identity

#endif  // PEERMESH_MESH_IDENTITY_CERTIFICATE_H_
