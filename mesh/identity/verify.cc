#include <openssl/err.h>
#include <openssl/pem.h>

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "mesh/base/check.h"
#include "mesh/identity/certificate.h"
#include "mesh/identity/certificate_impl.h"

namespace peermesh::identity {
namespace {

using StoreContextPtr =
    std::unique_ptr<X509_STORE_CTX, OpenSslDeleter<X509_STORE_CTX, X509_STORE_CTX_free>>;

// A link of the chain below a root: at least as strong as P-256 (OpenSSL's level 3, 128 bits).
constexpr int kSecurityLevel = 3;

bool IsRoot(const Certificate& certificate) {
  X509* x509 = certificate.impl().x509.get();
  const auto flags = X509_get_extension_flags(x509);
  const bool marked = (flags & EXFLAG_BCONS) != 0 && (flags & EXFLAG_CA) != 0 &&
                      (flags & (EXFLAG_INVALID | EXFLAG_CRITICAL)) == 0;
  const bool may_sign =
      (flags & EXFLAG_KUSAGE) != 0 && (X509_get_key_usage(x509) & KU_KEY_CERT_SIGN) != 0;
  const bool self_signed = X509_self_signed(x509, /*verify_signature=*/1) == 1;
  ERR_clear_error();
  return marked && may_sign && self_signed;
}

// Rule 1, beyond what parsing checks.
bool HasOurShape(const Certificate& certificate) {
  X509* x509 = certificate.impl().x509.get();
  const auto flags = X509_get_extension_flags(x509);
  return X509_get_version(x509) == X509_VERSION_3 && (flags & EXFLAG_BCONS) != 0 &&
         (flags & (EXFLAG_CA | EXFLAG_INVALID | EXFLAG_CRITICAL)) == 0 &&
         (flags & EXFLAG_KUSAGE) != 0 && (X509_get_key_usage(x509) & KU_DIGITAL_SIGNATURE) != 0;
}

// The root that signed it, as an index into the bundle.
std::optional<std::size_t> SigningRoot(const Certificate& certificate, const TrustBundle& bundle) {
  const StoreContextPtr context(X509_STORE_CTX_new());
  PM_CHECK(context != nullptr);
  if (X509_STORE_CTX_init(context.get(), bundle.impl().store.get(), certificate.impl().x509.get(),
                          nullptr) != 1) {
    return std::nullopt;
  }
  X509_VERIFY_PARAM* rules = X509_STORE_CTX_get0_param(context.get());
  // Dates are ours: they need a typed answer and an allowance for renewals.
  X509_VERIFY_PARAM_set_flags(rules, X509_V_FLAG_NO_CHECK_TIME | X509_V_FLAG_X509_STRICT);
  X509_VERIFY_PARAM_set_depth(rules, 0);  // nothing between a root and a leaf
  X509_VERIFY_PARAM_set_auth_level(rules, kSecurityLevel);
  const bool good = X509_verify_cert(context.get()) == 1;
  ERR_clear_error();
  if (!good) return std::nullopt;
  const STACK_OF(X509)* chain = X509_STORE_CTX_get0_chain(context.get());
  if (sk_X509_num(chain) != 2) return std::nullopt;  // a root shown as a leaf
  const auto& roots = bundle.impl().roots;
  for (std::size_t i = 0; i < roots.size(); ++i) {
    if (X509_cmp(roots[i].impl().x509.get(), sk_X509_value(chain, 1)) == 0) return i;
  }
  return std::nullopt;
}

// The usages a role needs. A client's certificate must not pass for a server.
bool FitsRole(const Certificate& certificate, Role role) {
  X509* x509 = certificate.impl().x509.get();
  if ((X509_get_extension_flags(x509) & EXFLAG_XKUSAGE) == 0) return false;
  const auto usage = X509_get_extended_key_usage(x509) & (XKU_SSL_SERVER | XKU_SSL_CLIENT);
  switch (role) {
    case Role::kPeer: return usage == (XKU_SSL_SERVER | XKU_SSL_CLIENT);
    case Role::kClient:
    case Role::kAdmin: return usage == XKU_SSL_CLIENT;
    case Role::kCa: return usage == XKU_SSL_SERVER;
  }
  return false;
}

std::optional<Refusal> CheckDates(const Certificate& certificate, WallTime now, Duration late) {
  if (now < certificate.not_before()) return Refusal::kNotYetValid;
  if (now - late > certificate.not_after()) return Refusal::kExpired;
  return std::nullopt;
}

absl::Status BadRoot(const char* what) {
  return absl::InvalidArgumentError(std::string(what) +
                                    ". Use the ca.pem that the mesh's CA gave out, unchanged.");
}

}  // namespace

const char* ToString(Refusal refusal) {
  switch (refusal) {
    case Refusal::kNoCertificate: return "no_certificate";
    case Refusal::kMalformed: return "malformed";
    case Refusal::kWrongCa: return "wrong_ca";
    case Refusal::kExpired: return "expired";
    case Refusal::kNotYetValid: return "not_yet_valid";
    case Refusal::kBadIdentity: return "bad_identity";
    case Refusal::kKeyMismatch: return "key_mismatch";
    case Refusal::kWrongPeer: return "wrong_peer";
    case Refusal::kWrongRole: return "wrong_role";
  }
  return "unknown";
}

const char* Explain(Refusal refusal) {
  switch (refusal) {
    case Refusal::kNoCertificate:
      return "the other side shows no certificate. Let it join this mesh, or use a client "
             "directory.";
    case Refusal::kMalformed:
      return "the other side's certificate is not one that PeerMesh issues. Let it join this mesh.";
    case Refusal::kWrongCa:
      return "the other side's certificate comes from another CA. Check that both are in one mesh.";
    case Refusal::kExpired:
      return "the other side's certificate has expired. Check its clock and that it reaches the "
             "CA.";
    case Refusal::kNotYetValid:
      return "the other side's certificate is not valid yet. Compare the clocks of both hosts.";
    case Refusal::kBadIdentity:
      return "the other side's certificate names no identity in this mesh. Let it join this mesh.";
    case Refusal::kKeyMismatch:
      return "the other side's id does not belong to its key. Let it join this mesh again.";
    case Refusal::kWrongPeer:
      return "another peer than the dialled one answers. Check the address.";
    case Refusal::kWrongRole:
      return "the other side's role is not admitted here. Check which port or certificate it uses.";
  }
  return "unknown";
}

const Identity& Verdict::identity() const {
  PM_CHECK(ok());
  return std::get<Identity>(value_);
}

Refusal Verdict::refusal() const {
  PM_CHECK(!ok());
  return std::get<Refusal>(value_);
}

absl::StatusOr<TrustBundle> TrustBundle::Create(const std::vector<std::string>& roots,
                                                std::string mesh_id) {
  if (roots.empty()) return BadRoot("There is no root certificate");
  if (roots.size() > kMaxRoots) return BadRoot("There are too many root certificates");
  if (!IsMeshId(mesh_id)) return BadRoot("The mesh id is not 16 characters of base32");
  auto impl = std::make_shared<Impl>();
  impl->mesh_id = std::move(mesh_id);
  impl->store.reset(X509_STORE_new());
  PM_CHECK(impl->store != nullptr);
  for (const std::string& text : roots) {
    auto root = Certificate::Parse(text);
    if (!root) return BadRoot("A root is not an X.509 certificate with a P-256 key");
    if (!IsRoot(*root)) return BadRoot("A root is not a self-signed CA certificate");
    const auto& known = impl->ders;
    if (std::find(known.begin(), known.end(), root->der()) != known.end()) continue;
    PM_CHECK(X509_STORE_add_cert(impl->store.get(), root->impl().x509.get()) == 1);
    impl->ders.push_back(root->der());
    impl->roots.push_back(*std::move(root));
  }
  return TrustBundle(std::move(impl));
}

absl::StatusOr<TrustBundle> TrustBundle::FromPem(std::string_view pem, std::string mesh_id) {
  constexpr std::string_view kBegin = "-----BEGIN CERTIFICATE-----";
  std::vector<std::string> roots;
  for (auto at = pem.find(kBegin); at != std::string_view::npos;) {
    const auto next = pem.find(kBegin, at + kBegin.size());
    if (roots.size() > kMaxRoots) break;
    roots.emplace_back(pem.substr(at, next == std::string_view::npos ? next : next - at));
    at = next;
  }
  return Create(roots, std::move(mesh_id));
}

const std::string& TrustBundle::mesh_id() const { return impl_->mesh_id; }
const std::vector<std::string>& TrustBundle::roots() const { return impl_->ders; }

std::string TrustBundle::ToPem() const {
  std::string pem;
  for (const Certificate& root : impl_->roots) pem += root.ToPem();
  return pem;
}

Verdict Verify(const Certificate& certificate, const TrustBundle& bundle, WallTime now,
               const VerifyOptions& options) {
  PM_CHECK(options.late >= Duration::zero());
  if (!HasOurShape(certificate)) return Refusal::kMalformed;
  const auto root = SigningRoot(certificate, bundle);
  if (!root) return Refusal::kWrongCa;
  auto claims = certificate.Claims();
  if (!claims || claims->mesh_id != bundle.mesh_id()) return Refusal::kBadIdentity;
  if (!FitsRole(certificate, claims->role)) return Refusal::kBadIdentity;
  if (claims->id != certificate.key_id()) return Refusal::kKeyMismatch;
  if (const auto fault = CheckDates(certificate, now, options.late)) return *fault;
  if (const auto fault = CheckDates(bundle.impl().roots[*root], now, Duration::zero())) {
    return *fault;
  }
  if (!options.roles.Contains(claims->role)) return Refusal::kWrongRole;
  if (options.expected && *options.expected != claims->id) return Refusal::kWrongPeer;
  return *std::move(claims);
}

Verdict Verify(std::string_view der_or_pem, const TrustBundle& bundle, WallTime now,
               const VerifyOptions& options) {
  if (der_or_pem.empty()) return Refusal::kNoCertificate;
  const auto certificate = Certificate::Parse(der_or_pem);
  if (!certificate) return Refusal::kMalformed;
  return Verify(*certificate, bundle, now, options);
}

}  // namespace peermesh::identity
