#include "server/tls/issue.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <utility>

#include "mesh/base/check.h"
#include "mesh/identity/certificate_impl.h"
#include "mesh/identity/openssl.h"

namespace peermesh::tls {
namespace {

using identity::Certificate;
using identity::DerOf;
using identity::OpenSslDeleter;
using identity::PKeyPtr;
using identity::Role;
using identity::X509Ptr;

using NamesPtr = std::unique_ptr<GENERAL_NAMES, OpenSslDeleter<GENERAL_NAMES, GENERAL_NAMES_free>>;
using ExtensionPtr =
    std::unique_ptr<X509_EXTENSION, OpenSslDeleter<X509_EXTENSION, X509_EXTENSION_free>>;

constexpr std::size_t kSerialBytes = 16;       // unguessable and never repeated
constexpr std::size_t kMaxDnsNameBytes = 253;  // RFC 1035

PKeyPtr ParseSpki(std::string_view spki) {
  if (!identity::IsP256Spki(spki)) return nullptr;
  const auto* cursor = reinterpret_cast<const unsigned char*>(spki.data());
  PKeyPtr key(d2i_PUBKEY(nullptr, &cursor, static_cast<long>(spki.size())));
  ERR_clear_error();
  return key;
}

void SetTime(ASN1_TIME* field, WallTime time) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
  PM_CHECK(ASN1_TIME_set(field, seconds) != nullptr);
}

void SetSerial(X509* x509) {
  std::array<unsigned char, kSerialBytes> bytes{};
  PM_CHECK(RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) == 1);
  bytes[0] = static_cast<unsigned char>((bytes[0] & 0x7f) | 0x40);  // positive, of fixed length
  BIGNUM* number = BN_bin2bn(bytes.data(), static_cast<int>(bytes.size()), nullptr);
  PM_CHECK(number != nullptr);
  PM_CHECK(BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x509)) != nullptr);
  BN_free(number);
}

void SetCommonName(X509_NAME* name, std::string_view text) {
  PM_CHECK(X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
                                      reinterpret_cast<const unsigned char*>(text.data()),
                                      static_cast<int>(text.size()), -1, 0) == 1);
}

// `value` is one of our own literals, never a caller's text: OpenSSL's syntax would let it inject
// extensions.
void AddExtension(X509* x509, X509* issuer, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, x509, nullptr, nullptr, 0);
  const ExtensionPtr extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value));
  PM_CHECK(extension != nullptr);
  PM_CHECK(X509_add_ext(x509, extension.get(), -1) == 1);
}

void AddName(GENERAL_NAMES* names, int type, std::string_view bytes) {
  GENERAL_NAME* name = GENERAL_NAME_new();
  ASN1_STRING* text = type == GEN_IPADD ? static_cast<ASN1_STRING*>(ASN1_OCTET_STRING_new())
                                        : static_cast<ASN1_STRING*>(ASN1_IA5STRING_new());
  PM_CHECK(name != nullptr && text != nullptr);
  PM_CHECK(ASN1_STRING_set(text, bytes.data(), static_cast<int>(bytes.size())) == 1);
  GENERAL_NAME_set0_value(name, type, text);
  PM_CHECK(sk_GENERAL_NAME_push(names, name) > 0);
}

// 4 or 16 bytes if `host` is an address.
std::optional<std::string> AddressBytes(const std::string& host) {
  std::array<char, 16> bytes{};
  if (inet_pton(AF_INET, host.c_str(), bytes.data()) == 1) return std::string(bytes.data(), 4);
  if (inet_pton(AF_INET6, host.c_str(), bytes.data()) == 1) return std::string(bytes.data(), 16);
  return std::nullopt;
}

bool IsDnsName(std::string_view text) {
  if (text.empty() || text.size() > kMaxDnsNameBytes) return false;
  for (;;) {
    const auto dot = text.find('.');
    if (!identity::IsName(text.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    text.remove_prefix(dot + 1);
  }
}

const char* UsageOf(Role role) {
  switch (role) {
    case Role::kPeer: return "serverAuth,clientAuth";
    case Role::kClient:
    case Role::kAdmin: return "clientAuth";
    case Role::kCa: return "serverAuth";
  }
  return "";
}

void AddSubjectNames(X509* x509, const PeerId& id, const CertificateSpec& spec) {
  const NamesPtr names(GENERAL_NAMES_new());
  PM_CHECK(names != nullptr);
  AddName(names.get(), GEN_URI, identity::UriOf(spec.mesh_id, spec.role, id));
  AddName(names.get(), GEN_DNS, identity::DnsNameOf(spec.name, spec.mesh_id));
  // The id as a DNS name: dials carry it as their TLS server name.
  AddName(names.get(), GEN_DNS, id.ToText());
  for (const std::string& host : spec.hosts) {
    const auto address = AddressBytes(host);
    AddName(names.get(), address ? GEN_IPADD : GEN_DNS, address ? *address : host);
  }
  PM_CHECK(X509_add1_ext_i2d(x509, NID_subject_alt_name, names.get(), 0, 0) == 1);
}

absl::Status CheckSpec(const CertificateSpec& spec) {
  if (!identity::IsName(spec.name)) {
    return absl::InvalidArgumentError(
        "The name is not a DNS label. Use 1 to 63 characters of a-z, 0-9 and '-', not starting or "
        "ending with '-'.");
  }
  if (!identity::IsMeshId(spec.mesh_id)) {
    return absl::InvalidArgumentError("The mesh id is not 16 characters of base32. Use MeshIdOf.");
  }
  if (spec.lifetime <= Duration::zero()) {
    return absl::InvalidArgumentError("The lifetime is not positive. Ask for at least a second.");
  }
  return CheckHosts(spec.hosts, spec.mesh_id);
}

X509Ptr NewCertificate(EVP_PKEY* key, WallTime from, WallTime until) {
  X509Ptr x509(X509_new());
  PM_CHECK(x509 != nullptr);
  PM_CHECK(X509_set_version(x509.get(), X509_VERSION_3) == 1);
  PM_CHECK(X509_set_pubkey(x509.get(), key) == 1);
  SetSerial(x509.get());
  SetTime(X509_getm_notBefore(x509.get()), from);
  SetTime(X509_getm_notAfter(x509.get()), until);
  return x509;
}

Certificate Finish(X509* x509, const PrivateKey& signer) {
  PM_CHECK(X509_sign(x509, signer.native(), EVP_sha256()) > 0);
  auto certificate = Certificate::Parse(DerOf(x509, i2d_X509));
  PM_CHECK(certificate.has_value());
  return *std::move(certificate);
}

}  // namespace

Certificate MakeRoot(const PrivateKey& key, WallTime now) {
  const X509Ptr x509 = NewCertificate(key.native(), now - kBackDate, now + kRootLifetime);
  X509_NAME* subject = X509_get_subject_name(x509.get());
  SetCommonName(subject, "PeerMesh CA " + identity::MeshIdOf(key.spki()));
  PM_CHECK(X509_set_issuer_name(x509.get(), subject) == 1);
  AddExtension(x509.get(), x509.get(), NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
  AddExtension(x509.get(), x509.get(), NID_key_usage, "critical,keyCertSign,cRLSign");
  AddExtension(x509.get(), x509.get(), NID_subject_key_identifier, "hash");
  return Finish(x509.get(), key);
}

absl::StatusOr<std::string> KeyOfRequest(std::string_view bytes) {
  const auto fault = [](const char* what) {
    ERR_clear_error();
    return absl::InvalidArgumentError(std::string(what) +
                                      ". Send a PKCS#10 request in DER for a P-256 key.");
  };
  if (bytes.size() > kMaxRequestBytes) return fault("The certificate request is too long");
  const auto* cursor = reinterpret_cast<const unsigned char*>(bytes.data());
  const identity::RequestPtr request(
      d2i_X509_REQ(nullptr, &cursor, static_cast<long>(bytes.size())));
  if (!request || cursor != reinterpret_cast<const unsigned char*>(bytes.data()) + bytes.size()) {
    return fault("The certificate request cannot be read");
  }
  std::string spki = DerOf(X509_REQ_get_X509_PUBKEY(request.get()), i2d_X509_PUBKEY);
  const PKeyPtr key = ParseSpki(spki);
  if (!key) return fault("The certificate request does not hold a P-256 key");
  if (X509_REQ_verify(request.get(), key.get()) != 1) {
    return fault("The certificate request is not signed with the key that it names");
  }
  return spki;
}

absl::Status CheckHosts(const std::vector<std::string>& hosts, std::string_view mesh_id) {
  if (hosts.size() > kMaxHosts) {
    return absl::InvalidArgumentError(
        fmt::format("There are {} host names. Give at most {}.", hosts.size(), kMaxHosts));
  }
  std::size_t bytes = 0;
  for (const std::string& host : hosts) {
    bytes += host.size();
    if (bytes > kMaxHostBytes) {
      return absl::InvalidArgumentError(
          fmt::format("The hosts are too long. Give at most {} bytes together.", kMaxHostBytes));
    }
    if (AddressBytes(host)) continue;
    if (!IsDnsName(host)) {
      return absl::InvalidArgumentError(
          "A host is neither a DNS name in lower case nor an IP address. Correct it, or leave it "
          "out.");
    }
    if (host == mesh_id || host.ends_with("." + std::string(mesh_id)) || PeerId::FromText(host)) {
      return absl::InvalidArgumentError(
          "A host looks like the name or id of a peer. Only the CA gives those: leave it out.");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Certificate> IssueCertificate(const PrivateKey& root_key, const Certificate& root,
                                             std::string_view spki, const CertificateSpec& spec,
                                             WallTime now) {
  PM_CHECK(root_key.spki() == root.spki());
  if (const absl::Status status = CheckSpec(spec); !status.ok()) return status;
  const PKeyPtr key = ParseSpki(spki);
  if (!key)
    return absl::InvalidArgumentError("The key is not a P-256 key. Make one with PrivateKey.");
  X509* issuer = root.impl().x509.get();
  const WallTime until = std::min(now + spec.lifetime, root.not_after());
  const X509Ptr x509 = NewCertificate(key.get(), now - kBackDate, until);
  SetCommonName(X509_get_subject_name(x509.get()), spec.name);
  PM_CHECK(X509_set_issuer_name(x509.get(), X509_get_subject_name(issuer)) == 1);
  AddExtension(x509.get(), issuer, NID_basic_constraints, "critical,CA:FALSE");
  AddExtension(x509.get(), issuer, NID_key_usage, "critical,digitalSignature");
  AddExtension(x509.get(), issuer, NID_ext_key_usage, UsageOf(spec.role));
  AddExtension(x509.get(), issuer, NID_subject_key_identifier, "hash");
  AddExtension(x509.get(), issuer, NID_authority_key_identifier, "keyid");
  AddSubjectNames(x509.get(), identity::PeerIdOf(spki), spec);
  return Finish(x509.get(), root_key);
}

}  // namespace peermesh::tls
