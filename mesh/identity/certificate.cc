#include "mesh/identity/certificate.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <chrono>
#include <ctime>
#include <utility>

#include "mesh/base/check.h"
#include "mesh/identity/certificate_impl.h"

namespace peermesh::identity {
namespace {

using NamesPtr = std::unique_ptr<GENERAL_NAMES, OpenSslDeleter<GENERAL_NAMES, GENERAL_NAMES_free>>;

constexpr std::string_view kPemMark = "-----BEGIN ";
// Base64 and the lines around it.
constexpr std::size_t kMaxPemBytes = kMaxCertificateBytes * 3 / 2;

// Calendar arithmetic without the C library's time zone.
std::optional<WallTime> ToWallTime(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return std::nullopt;
  const auto day = std::chrono::year(parts.tm_year + 1900) /
                   std::chrono::month(static_cast<unsigned>(parts.tm_mon + 1)) /
                   std::chrono::day(static_cast<unsigned>(parts.tm_mday));
  if (!day.ok()) return std::nullopt;
  return WallTime(std::chrono::sys_days(day) + std::chrono::hours(parts.tm_hour) +
                  std::chrono::minutes(parts.tm_min) + std::chrono::seconds(parts.tm_sec));
}

X509Ptr ParseX509(std::string_view bytes) {
  if (bytes.substr(0, kPemMark.size()) == kPemMark) {
    if (bytes.size() > kMaxPemBytes * kMaxRoots) return nullptr;
    const BioPtr bio = ReadOnlyBio(bytes);
    return X509Ptr(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  }
  if (bytes.size() > kMaxCertificateBytes) return nullptr;
  const auto* cursor = reinterpret_cast<const unsigned char*>(bytes.data());
  X509Ptr x509(d2i_X509(nullptr, &cursor, static_cast<long>(bytes.size())));
  const auto used = cursor - reinterpret_cast<const unsigned char*>(bytes.data());
  // Bytes after the end would give one certificate many spellings.
  if (x509 && static_cast<std::size_t>(used) != bytes.size()) return nullptr;
  return x509;
}

std::string_view View(const ASN1_STRING* text) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
          static_cast<std::size_t>(ASN1_STRING_length(text))};
}

}  // namespace

std::optional<Certificate> Certificate::Parse(std::string_view der_or_pem) {
  auto impl = std::make_shared<Impl>();
  impl->x509 = ParseX509(der_or_pem);
  ERR_clear_error();
  if (!impl->x509) return std::nullopt;
  X509* x509 = impl->x509.get();
  impl->der = DerOf(x509, i2d_X509);
  impl->spki = DerOf(X509_get_X509_PUBKEY(x509), i2d_X509_PUBKEY);
  if (impl->der.size() > kMaxCertificateBytes || !IsP256Spki(impl->spki)) return std::nullopt;
  impl->key.reset(X509_get_pubkey(x509));  // also checks that the point lies on the curve
  const auto from = ToWallTime(X509_get0_notBefore(x509));
  const auto until = ToWallTime(X509_get0_notAfter(x509));
  ERR_clear_error();
  if (!impl->key || !from || !until) return std::nullopt;
  impl->key_id = PeerIdOf(impl->spki);
  impl->not_before = *from;
  impl->not_after = *until;
  return Certificate(std::move(impl));
}

const std::string& Certificate::der() const { return impl_->der; }
const std::string& Certificate::spki() const { return impl_->spki; }
const PeerId& Certificate::key_id() const { return impl_->key_id; }
WallTime Certificate::not_before() const { return impl_->not_before; }
WallTime Certificate::not_after() const { return impl_->not_after; }

std::string Certificate::ToPem() const {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  PM_CHECK(bio != nullptr);
  PM_CHECK(PEM_write_bio_X509(bio.get(), impl_->x509.get()) == 1);
  return BytesOf(bio.get());
}

std::optional<Identity> Certificate::Claims() const {
  int critical = -1;
  const NamesPtr names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(impl_->x509.get(), NID_subject_alt_name, &critical, nullptr)));
  ERR_clear_error();
  if (!names) return std::nullopt;  // absent, twice, or malformed
  std::optional<std::string_view> uri;
  std::vector<std::string_view> dns_names;
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type == GEN_URI) {
      if (uri) return std::nullopt;
      uri = View(name->d.uniformResourceIdentifier);
    } else if (name->type == GEN_DNS) {
      dns_names.push_back(View(name->d.dNSName));
    } else if (name->type != GEN_IPADD) {
      return std::nullopt;
    }
  }
  const auto parts = uri ? ParseUri(*uri) : std::nullopt;
  if (!parts) return std::nullopt;
  const std::string suffix = "." + parts->mesh_id;
  std::optional<std::string_view> own;
  for (const std::string_view dns : dns_names) {
    if (!dns.ends_with(suffix)) continue;
    if (own) return std::nullopt;
    own = dns.substr(0, dns.size() - suffix.size());
  }
  if (!own || !IsName(*own)) return std::nullopt;
  return Identity{parts->id,      parts->role,       std::string(*own),
                  parts->mesh_id, impl_->not_before, impl_->not_after};
}

bool Certificate::VerifySignature(std::string_view domain, std::string_view bytes,
                                  std::string_view signature) const {
  const DigestContextPtr context(EVP_MD_CTX_new());
  PM_CHECK(context != nullptr);
  const char separator = 0;
  const bool good =
      EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, impl_->key.get()) == 1 &&
      EVP_DigestVerifyUpdate(context.get(), domain.data(), domain.size()) == 1 &&
      EVP_DigestVerifyUpdate(context.get(), &separator, 1) == 1 &&
      EVP_DigestVerifyUpdate(context.get(), bytes.data(), bytes.size()) == 1 &&
      EVP_DigestVerifyFinal(context.get(), reinterpret_cast<const unsigned char*>(signature.data()),
                            signature.size()) == 1;
  ERR_clear_error();
  return good;
}

}  // namespace peermesh::identity
