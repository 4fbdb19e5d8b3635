// Makes certificates that no CA of ours would: one field at a time is wrong.
#ifndef PEERMESH_TESTS_MESH_IDENTITY_FORGE_H_
#define PEERMESH_TESTS_MESH_IDENTITY_FORGE_H_

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "mesh/base/time.h"
#include "mesh/identity/certificate.h"
#include "mesh/identity/openssl.h"

namespace peermesh::identity {

inline constexpr WallTime kNow{std::chrono::seconds(1'800'000'000)};  // January 2027

// A key of any kind: "EC"/"P-256", "EC"/"P-384", "RSA", "ED25519".
PKeyPtr ForgeKey(const char* kind = "EC", const char* curve = "P-256");
std::string SpkiOf(EVP_PKEY* key);

struct Forgery {
  EVP_PKEY* key = nullptr;
  EVP_PKEY* signer = nullptr;  // none: itself
  std::string subject = "x";
  std::string issuer = "x";
  std::optional<std::string> alternative_names;  // OpenSSL's syntax: "URI:...,DNS:..."
  std::optional<std::string> basic_constraints = "critical,CA:FALSE";
  std::optional<std::string> key_usage = "critical,digitalSignature";
  std::optional<std::string> extended_key_usage = "serverAuth,clientAuth";
  bool unknown_critical_extension = false;
  int version = 2;  // v3
  WallTime from = kNow - std::chrono::minutes(10);
  WallTime until = kNow + std::chrono::hours(168);
};
std::string Forge(const Forgery& forgery);  // DER

// A root, its key and its mesh; leaves to order.
class ForgedMesh {
 public:
  ForgedMesh();
  const std::string& mesh_id() const { return mesh_id_; }
  const std::string& root_der() const { return root_; }
  TrustBundle bundle() const;
  EVP_PKEY* key() const { return key_.get(); }

  // A correct leaf for `key`, to be spoilt before it is forged.
  Forgery Leaf(EVP_PKEY* key, Role role = Role::kPeer, const std::string& name = "alpha") const;
  // Its alternative names.
  std::string Names(EVP_PKEY* key, Role role = Role::kPeer,
                    const std::string& name = "alpha") const;

 private:
  PKeyPtr key_;
  std::string mesh_id_;
  std::string root_;
};

}  // namespace peermesh::identity

#endif  // PEERMESH_TESTS_MESH_IDENTITY_FORGE_H_
