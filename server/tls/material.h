// An identity on disk: a private directory with
//
//   key.pem      private key, PKCS#8
//   cert.pem     certificate
//   ca.pem       roots to trust
//   ca-address   where certificates are renewed, "host:port"; absent for clients made by hand
//
// The mesh id is read from the certificate, which must verify under ca.pem, so no file can
// contradict another. The same layout serves peers and the directories made by `peermesh client
// add`.
//
// A key is written before its certificate is asked for: a crash in between, or a lost answer,
// leads to the same identity at the next try.
#ifndef PEERMESH_SERVER_TLS_MATERIAL_H_
#define PEERMESH_SERVER_TLS_MATERIAL_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "mesh/identity/certificate.h"
#include "server/tls/key.h"

namespace peermesh::tls {

struct Material {
  PrivateKey key;
  identity::Certificate certificate;
  identity::TrustBundle bundle;
  std::string ca_address;
};

// The key of the directory; made, and the directory with it, if there is none.
absl::StatusOr<PrivateKey> EnsureKey(const std::string& directory);

// Whether the directory holds a certificate, so an enrolment has succeeded before.
bool HasCertificate(const std::string& directory);

// NOT_FOUND without key or certificate; FAILED_PRECONDITION if the files do not fit together.
// Dates are not checked: an expired certificate may still be renewed.
absl::StatusOr<Material> LoadMaterial(const std::string& directory);

// Writes everything but the key, the certificate last: its presence says that all is there.
absl::Status SaveMaterial(const std::string& directory, const Material& material);

}  // namespace peermesh::tls

#endif  // PEERMESH_SERVER_TLS_MATERIAL_H_
