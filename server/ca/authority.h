// The root: its key, its certificate, and what it signs.
//
// Lives in the CA's data directory as root-key.pem and root.pem and is made once; nothing here
// ever overwrites a key, because with it every identity of the mesh would be gone. The CA's own
// TLS key lives in memory only: a stolen backup cannot answer for a running CA any longer than the
// root itself allows.
//
// Thread-safe after construction.
#ifndef PEERMESH_SERVER_CA_AUTHORITY_H_
#define PEERMESH_SERVER_CA_AUTHORITY_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "mesh/identity/certificate.h"
#include "server/tls/issue.h"
#include "server/tls/key.h"

namespace peermesh::ca {

// The CA's own name; nobody else may have it.
inline constexpr std::string_view kCaName = "peermesh-ca";

class Authority {
 public:
  enum class Missing { kCreate, kRefuse };
  // From a private directory that exists. NOT_FOUND if there is no root and none may be made;
  // FAILED_PRECONDITION if the files do not fit together.
  static absl::StatusOr<Authority> Open(const std::string& directory, Missing missing,
                                        WallTime now);

  const std::string& mesh_id() const { return bundle_.mesh_id(); }
  const identity::Certificate& root() const { return root_; }
  const identity::TrustBundle& bundle() const { return bundle_; }

  // As tls::IssueCertificate, for this mesh.
  absl::StatusOr<identity::Certificate> Issue(std::string_view spki, tls::CertificateSpec spec,
                                              WallTime now) const;

 private:
  Authority(tls::PrivateKey key, identity::Certificate root, identity::TrustBundle bundle)
      : key_(std::move(key)), root_(std::move(root)), bundle_(std::move(bundle)) {}

  tls::PrivateKey key_;
  identity::Certificate root_;
  identity::TrustBundle bundle_;
};

}  // namespace peermesh::ca

#endif  // PEERMESH_SERVER_CA_AUTHORITY_H_
