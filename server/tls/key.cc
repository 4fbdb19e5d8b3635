#include "server/tls/key.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include <utility>

#include "absl/status/status.h"
#include "mesh/base/check.h"
#include "mesh/identity/identity.h"
#include "mesh/identity/openssl.h"

namespace peermesh::tls {
namespace {

using identity::BioPtr;
using identity::BytesOf;
using identity::DerOf;
using identity::RequestPtr;

std::shared_ptr<EVP_PKEY> Share(EVP_PKEY* key) { return {key, EVP_PKEY_free}; }

}  // namespace

PrivateKey::PrivateKey(std::shared_ptr<evp_pkey_st> key)
    : key_(std::move(key)), spki_(DerOf(key_.get(), i2d_PUBKEY)), id_(identity::PeerIdOf(spki_)) {
  PM_CHECK(identity::IsP256Spki(spki_));
}

PrivateKey PrivateKey::Make() {
  EVP_PKEY* key = EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256");
  PM_CHECK(key != nullptr);
  return PrivateKey(Share(key));
}

absl::StatusOr<PrivateKey> PrivateKey::FromPem(std::string_view pem) {
  const BioPtr bio = identity::ReadOnlyBio(pem);
  // Without this callback OpenSSL would ask the terminal for the password of an encrypted key.
  const auto no_password = [](char*, int, int, void*) { return -1; };
  auto key = Share(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_password, nullptr));
  const bool good = key && identity::IsP256Spki(DerOf(key.get(), i2d_PUBKEY));
  ERR_clear_error();
  if (!good) {
    return absl::InvalidArgumentError(
        "The private key is not an unencrypted P-256 key in PEM. Restore the file, or remove the "
        "directory and join again.");
  }
  return PrivateKey(std::move(key));
}

std::string PrivateKey::ToPem() const {
  // BIO_s_secmem wipes its buffer when it is freed.
  const BioPtr bio(BIO_new(BIO_s_secmem()));
  PM_CHECK(bio != nullptr);
  PM_CHECK(PEM_write_bio_PKCS8PrivateKey(bio.get(), key_.get(), nullptr, nullptr, 0, nullptr,
                                         nullptr) == 1);
  return BytesOf(bio.get());
}

std::string PrivateKey::Sign(std::string_view domain, std::string_view bytes) const {
  const identity::DigestContextPtr context(EVP_MD_CTX_new());
  PM_CHECK(context != nullptr);
  const char separator = 0;
  std::string signature(static_cast<std::size_t>(EVP_PKEY_get_size(key_.get())), '\0');
  std::size_t size = signature.size();
  PM_CHECK(EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key_.get()) == 1);
  PM_CHECK(EVP_DigestSignUpdate(context.get(), domain.data(), domain.size()) == 1);
  PM_CHECK(EVP_DigestSignUpdate(context.get(), &separator, 1) == 1);
  PM_CHECK(EVP_DigestSignUpdate(context.get(), bytes.data(), bytes.size()) == 1);
  PM_CHECK(EVP_DigestSignFinal(context.get(), reinterpret_cast<unsigned char*>(signature.data()),
                               &size) == 1);
  signature.resize(size);
  return signature;
}

std::string PrivateKey::MakeRequest() const {
  const RequestPtr request(X509_REQ_new());
  PM_CHECK(request != nullptr);
  PM_CHECK(X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) == 1);
  PM_CHECK(X509_REQ_set_pubkey(request.get(), key_.get()) == 1);
  PM_CHECK(X509_REQ_sign(request.get(), key_.get(), EVP_sha256()) > 0);
  return DerOf(request.get(), i2d_X509_REQ);
}

}  // namespace peermesh::tls
