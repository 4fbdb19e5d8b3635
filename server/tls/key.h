// A private key (ECDSA P-256) and what only its holder can do: sign, and ask for a certificate.
//
// The key never leaves the object except as PEM for a file of mode 0600. Copies share it.
// Thread-safe.
#ifndef PEERMESH_SERVER_TLS_KEY_H_
#define PEERMESH_SERVER_TLS_KEY_H_

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "mesh/base/id.h"

struct evp_pkey_st;

namespace peermesh::tls {

class PrivateKey {
 public:
  // From the operating system's randomness.
  static PrivateKey Make();
  // PKCS#8 PEM without a password; P-256 only.
  static absl::StatusOr<PrivateKey> FromPem(std::string_view pem);

  std::string ToPem() const;
  // SubjectPublicKeyInfo, DER, and its hash.
  const std::string& spki() const { return spki_; }
  const PeerId& id() const { return id_; }

  // ECDSA with SHA-256 over `domain`, a zero byte and `bytes`; DER. Differs at every call: never a
  // key of a map. identity::Certificate::VerifySignature is the other half.
  std::string Sign(std::string_view domain, std::string_view bytes) const;
  // PKCS#10 request, DER, signed with this key: proof of possession. Its subject is empty; whoever
  // issues decides every name.
  std::string MakeRequest() const;

  evp_pkey_st* native() const { return key_.get(); }

 private:
  explicit PrivateKey(std::shared_ptr<evp_pkey_st> key);

  std::shared_ptr<evp_pkey_st> key_;
  std::string spki_;
  PeerId id_;
};

}  // namespace peermesh::tls

#endif  // PEERMESH_SERVER_TLS_KEY_H_
