#include "server/tls/material.h"

#include <unistd.h>

#include <utility>

#include "server/tls/files.h"

namespace peermesh::tls {
namespace {

constexpr const char* kKeyFile = "/key.pem";
constexpr const char* kCertificateFile = "/cert.pem";
constexpr const char* kBundleFile = "/ca.pem";
constexpr const char* kCaAddressFile = "/ca-address";

absl::Status DoesNotFit(const std::string& directory, const std::string& why) {
  return absl::FailedPreconditionError("The identity in " + directory + " is damaged: " + why +
                                       ". Restore the directory, or remove it and join again.");
}

// The bundle needs the mesh id and the mesh id is to be believed from the certificate: verifying
// ties the two.
absl::StatusOr<Material> Assemble(const std::string& directory, PrivateKey key,
                                  std::string_view certificate_pem, std::string_view bundle_pem) {
  const auto certificate = identity::Certificate::Parse(certificate_pem);
  if (!certificate) return DoesNotFit(directory, "cert.pem is not a P-256 certificate");
  const auto claims = certificate->Claims();
  if (!claims) return DoesNotFit(directory, "cert.pem holds no PeerMesh identity");
  if (certificate->spki() != key.spki()) {
    return DoesNotFit(directory, "cert.pem does not belong to key.pem");
  }
  auto bundle = identity::TrustBundle::FromPem(bundle_pem, claims->mesh_id);
  if (!bundle.ok()) return DoesNotFit(directory, "ca.pem holds no CA");
  // At a moment at which the certificate was valid: whether it still is, is not asked here.
  const auto verdict = Verify(*certificate, *bundle, certificate->not_after(),
                              {.expected = key.id(), .roles = {claims->role}});
  if (!verdict.ok()) {
    return DoesNotFit(directory, std::string("cert.pem does not verify under ca.pem (") +
                                     ToString(verdict.refusal()) + ")");
  }
  return Material{std::move(key), *certificate, *std::move(bundle), ""};
}

}  // namespace

absl::StatusOr<PrivateKey> EnsureKey(const std::string& directory) {
  if (absl::Status status = EnsurePrivateDirectory(directory); !status.ok()) return status;
  const auto pem = ReadPrivateFile(directory + kKeyFile);
  if (pem.ok()) return PrivateKey::FromPem(*pem);
  if (!absl::IsNotFound(pem.status())) return pem.status();
  PrivateKey key = PrivateKey::Make();
  const absl::Status status = WritePrivateFile(directory + kKeyFile, key.ToPem());
  if (!status.ok()) return status;
  return key;
}

bool HasCertificate(const std::string& directory) {
  return access((directory + kCertificateFile).c_str(), F_OK) == 0;
}

absl::StatusOr<Material> LoadMaterial(const std::string& directory) {
  const auto key_pem = ReadPrivateFile(directory + kKeyFile);
  if (!key_pem.ok()) return key_pem.status();
  const auto certificate_pem = ReadPrivateFile(directory + kCertificateFile);
  if (!certificate_pem.ok()) return certificate_pem.status();
  const auto bundle_pem = ReadPrivateFile(directory + kBundleFile);
  if (!bundle_pem.ok()) return bundle_pem.status();
  auto key = PrivateKey::FromPem(*key_pem);
  if (!key.ok()) return key.status();
  auto material = Assemble(directory, *std::move(key), *certificate_pem, *bundle_pem);
  if (!material.ok()) return material;
  auto address = ReadPrivateFile(directory + kCaAddressFile);
  if (address.ok()) {
    material->ca_address = *std::move(address);
  } else if (!absl::IsNotFound(address.status())) {
    return address.status();
  }
  return material;
}

absl::Status SaveMaterial(const std::string& directory, const Material& material) {
  absl::Status status = WritePrivateFile(directory + kBundleFile, material.bundle.ToPem());
  if (status.ok() && !material.ca_address.empty()) {
    status = WritePrivateFile(directory + kCaAddressFile, material.ca_address);
  }
  if (status.ok()) {
    status = WritePrivateFile(directory + kCertificateFile, material.certificate.ToPem());
  }
  return status;
}

}  // namespace peermesh::tls
