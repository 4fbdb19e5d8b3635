// Making certificates: what the CA does with its key.
//
// The shape is fixed here and checked in mesh/identity/certificate.h; nothing in a request but its
// key is used. A serial is 128 random bits. not_before lies ten minutes back, because clocks of
// new hosts are often slow.
//
// Thread-safe.
#ifndef PEERMESH_SERVER_TLS_ISSUE_H_
#define PEERMESH_SERVER_TLS_ISSUE_H_

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "mesh/base/limits.h"
#include "mesh/base/time.h"
#include "mesh/identity/certificate.h"
#include "server/tls/key.h"

namespace peermesh::tls {

inline constexpr Duration kBackDate = std::chrono::minutes(10);       // slow clocks of new hosts
inline constexpr Duration kRootLifetime = std::chrono::hours(87600);  // ten years
inline constexpr std::size_t kMaxHosts = 16;  // a host has few names; keeps certificates small
// Together; the rest of a certificate is below 1,024.
inline constexpr std::size_t kMaxHostBytes = 2048;
static_assert(kMaxHostBytes + 4 * kMaxHosts + 1024 <= kMaxCertificateBytes);
inline constexpr std::size_t kMaxRequestBytes = 2048;  // ours are about 250

// A mesh's root: self-signed, CA:TRUE, path length 0.
identity::Certificate MakeRoot(const PrivateKey& key, WallTime now);

// The public key (SubjectPublicKeyInfo, DER) of a PKCS#10 request in DER. INVALID_ARGUMENT unless
// the request is signed with the key it names and that is P-256.
absl::StatusOr<std::string> KeyOfRequest(std::string_view request);

struct CertificateSpec {
  identity::Role role = identity::Role::kPeer;
  std::string name;                // identity::IsName
  std::string mesh_id;             // identity::IsMeshId
  std::vector<std::string> hosts;  // DNS names and IP addresses for ordinary TLS clients
  Duration lifetime{};             // from now on; positive
};

// INVALID_ARGUMENT with a reason if a DNS name or address in `hosts` is malformed, lies below the
// mesh id (it would be a second name) or is too much.
absl::Status CheckHosts(const std::vector<std::string>& hosts, std::string_view mesh_id);

// A certificate for `spki`. INVALID_ARGUMENT if the spec is wrong.
absl::StatusOr<identity::Certificate> IssueCertificate(const PrivateKey& root_key,
                                                       const identity::Certificate& root,
                                                       std::string_view spki,
                                                       const CertificateSpec& spec, WallTime now);

}  // namespace peermesh::tls

#endif  // PEERMESH_SERVER_TLS_ISSUE_H_
