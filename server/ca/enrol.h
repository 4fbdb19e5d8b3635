// How a host gets its identity: joining with a token, renewing with a certificate.
//
// Join happens on two connections. The first verifies nothing and only fetches the CA's root; if
// its key is not the one the token names, nothing has been said and nothing will be. The second
// accepts only a CA certified by that root, and carries the secret. So whoever sits in between
// learns neither the token nor a chance to use it.
//
// Retrying is safe with the same key, so the key is on disk before the first try (tls::EnsureKey).
//
// Blocking, with a deadline; never on a queue thread.
#ifndef PEERMESH_SERVER_CA_ENROL_H_
#define PEERMESH_SERVER_CA_ENROL_H_

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "mesh/base/time.h"
#include "mesh/identity/certificate.h"
#include "mesh/identity/token.h"
#include "server/tls/key.h"
#include "server/tls/material.h"

namespace peermesh::ca {

// For each call; a slow disk at the CA included.
inline constexpr Duration kCallTime = std::chrono::seconds(10);

struct EnrolOptions {
  std::string name;
  // For ordinary TLS clients; never identity. What no certificate can hold is left out and logged:
  // a host must not cost the identity.
  std::vector<std::string> hosts;
  Duration timeout = kCallTime;
};

struct Enrolment {
  tls::Material material;          // to be saved with tls::SaveMaterial
  std::vector<std::string> seeds;  // peers to dial first
};

// UNAUTHENTICATED: the token was refused; FAILED_PRECONDITION: another CA answers than the token
// names, nothing secret was sent; INVALID_ARGUMENT, ALREADY_EXISTS: choose another name;
// UNAVAILABLE, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED: try again.
absl::StatusOr<Enrolment> Enrol(const identity::Token& token, const tls::PrivateKey& key,
                                const EnrolOptions& options);

// A fresh certificate for the same key from the CA at `material.ca_address`. Hosts as for Enrol.
// UNAUTHENTICATED: too old, a token is needed; UNAVAILABLE, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED:
// try again.
absl::StatusOr<identity::Certificate> Renew(const tls::Material& material,
                                            const std::vector<std::string>& hosts,
                                            Duration timeout = kCallTime);

// When to renew: at 50 to 80 % of its life, spread by `random` so that peers made together do not
// all come at once.
WallTime RenewalTime(const identity::Certificate& certificate, std::uint64_t random);

}  // namespace peermesh::ca

#endif  // PEERMESH_SERVER_CA_ENROL_H_
