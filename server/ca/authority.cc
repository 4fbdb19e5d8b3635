#include "server/ca/authority.h"

#include <unistd.h>

#include <utility>

#include "server/tls/files.h"

namespace peermesh::ca {
namespace {

constexpr const char* kKeyFile = "/root-key.pem";
constexpr const char* kRootFile = "/root.pem";
constexpr const char* kStoreFile = "/ca.db";

absl::StatusOr<tls::PrivateKey> OpenKey(const std::string& directory, Authority::Missing missing) {
  const auto pem = tls::ReadPrivateFile(directory + kKeyFile);
  if (pem.ok()) return tls::PrivateKey::FromPem(*pem);
  if (!absl::IsNotFound(pem.status())) return pem.status();
  if (missing == Authority::Missing::kRefuse) {
    return absl::NotFoundError("There is no CA in " + directory + ". Create one with --init.");
  }
  // Leftovers of a CA whose key is gone: a new key would silently be another mesh.
  for (const char* leftover : {kRootFile, kStoreFile}) {
    if (access((directory + leftover).c_str(), F_OK) == 0) {
      return absl::FailedPreconditionError("The root key in " + directory +
                                           " is missing. Restore it, or name an empty directory.");
    }
  }
  tls::PrivateKey key = tls::PrivateKey::Make();
  const absl::Status status = tls::WritePrivateFile(directory + kKeyFile, key.ToPem());
  if (!status.ok()) return status;
  return key;
}

absl::StatusOr<identity::Certificate> OpenRoot(const std::string& directory,
                                               const tls::PrivateKey& key, WallTime now) {
  const auto pem = tls::ReadPrivateFile(directory + kRootFile);
  if (absl::IsNotFound(pem.status())) {  // just made, or a crash came in between
    identity::Certificate root = tls::MakeRoot(key, now);
    const absl::Status status = tls::WritePrivateFile(directory + kRootFile, root.ToPem());
    if (!status.ok()) return status;
    return root;
  }
  if (!pem.ok()) return pem.status();
  auto root = identity::Certificate::Parse(*pem);
  if (!root || root->spki() != key.spki()) {
    return absl::FailedPreconditionError("root.pem and root-key.pem in " + directory +
                                         " do not belong together. Restore both from one backup.");
  }
  return *std::move(root);
}

}  // namespace

absl::StatusOr<Authority> Authority::Open(const std::string& directory, Missing missing,
                                          WallTime now) {
  auto key = OpenKey(directory, missing);
  if (!key.ok()) return key.status();
  auto root = OpenRoot(directory, *key, now);
  if (!root.ok()) return root.status();
  auto bundle = identity::TrustBundle::Create({root->der()}, identity::MeshIdOf(key->spki()));
  if (!bundle.ok()) return bundle.status();
  return Authority(*std::move(key), *std::move(root), *std::move(bundle));
}

absl::StatusOr<identity::Certificate> Authority::Issue(std::string_view spki,
                                                       tls::CertificateSpec spec,
                                                       WallTime now) const {
  spec.mesh_id = mesh_id();
  return tls::IssueCertificate(key_, root_, spki, spec, now);
}

}  // namespace peermesh::ca
