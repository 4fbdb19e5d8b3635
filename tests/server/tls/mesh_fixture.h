// A mesh with a real root, and identities issued under it, for tests that need live TLS.
#ifndef PEERMESH_TESTS_SERVER_TLS_MESH_FIXTURE_H_
#define PEERMESH_TESTS_SERVER_TLS_MESH_FIXTURE_H_

#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "mesh/base/check.h"
#include "server/tls/credentials.h"
#include "server/tls/issue.h"
#include "server/tls/key.h"

namespace peermesh::tls {

inline WallTime WallNow() {
  return std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now());
}

struct TestMesh {
  PrivateKey root_key = PrivateKey::Make();
  identity::Certificate root = MakeRoot(root_key, WallNow());
  std::string mesh_id = identity::MeshIdOf(root_key.spki());

  identity::TrustBundle bundle() const {
    auto bundle = identity::TrustBundle::Create({root.der()}, mesh_id);
    PM_CHECK(bundle.ok());
    return *std::move(bundle);
  }
  // Valid for an hour from `now` (and ten minutes before).
  identity::Certificate Issue(const PrivateKey& key, const std::string& name = "alpha",
                              identity::Role role = identity::Role::kPeer,
                              WallTime now = WallNow()) const {
    auto certificate = IssueCertificate(root_key, root, key.spki(),
                                        {.role = role,
                                         .name = name,
                                         .mesh_id = mesh_id,
                                         .hosts = {"localhost", "127.0.0.1"},
                                         .lifetime = std::chrono::hours(1)},
                                        now);
    PM_CHECK(certificate.ok());
    return *std::move(certificate);
  }
  std::unique_ptr<Credentials> Enrolled(const std::string& name,
                                        identity::Role role = identity::Role::kPeer,
                                        CredentialsHooks hooks = {}) const {
    const PrivateKey key = PrivateKey::Make();
    auto credentials = Credentials::Create(key, Issue(key, name, role), bundle(), std::move(hooks));
    PM_CHECK(credentials.ok());
    return *std::move(credentials);
  }
};

}  // namespace peermesh::tls

#endif  // PEERMESH_TESTS_SERVER_TLS_MESH_FIXTURE_H_
