// What the opaque types of certificate.h hold. Included by sources only.
#ifndef PEERMESH_MESH_IDENTITY_CERTIFICATE_IMPL_H_
#define PEERMESH_MESH_IDENTITY_CERTIFICATE_IMPL_H_

#include <string>
#include <vector>

#include "mesh/identity/certificate.h"
#include "mesh/identity/openssl.h"

namespace peermesh::identity {

struct Certificate::Impl {
  X509Ptr x509;
  PKeyPtr key;
  std::string der;
  std::string spki;
  PeerId key_id;
  WallTime not_before;
  WallTime not_after;
};

using StorePtr = std::unique_ptr<X509_STORE, OpenSslDeleter<X509_STORE, X509_STORE_free>>;

struct TrustBundle::Impl {
  std::string mesh_id;
  std::vector<Certificate> roots;
  std::vector<std::string> ders;
  StorePtr store;  // OpenSSL locks it; concurrent look-ups are fine
};

}  // namespace peermesh::identity

#endif  // PEERMESH_MESH_IDENTITY_CERTIFICATE_IMPL_H_
