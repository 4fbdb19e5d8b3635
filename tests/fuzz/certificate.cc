// Certificates, DER or PEM: one form, one id, and no claim that is not spelled as it must be.
#include "mesh/identity/certificate.h"

#include "mesh/base/check.h"
#include "mesh/identity/openssl.h"
#include "tests/fuzz/fuzz.h"
#include "tests/mesh/identity/forge.h"

namespace peermesh::fuzz {
namespace {

using identity::Certificate;
using identity::Identity;

void CheckClaims(const Certificate& certificate, const Identity& claims) {
  PM_CHECK(identity::IsName(claims.name) && identity::IsMeshId(claims.mesh_id));
  PM_CHECK(claims.not_before == certificate.not_before());
  PM_CHECK(claims.not_after == certificate.not_after());
  // Both names stand in the certificate, letter by letter.
  const std::string uri = identity::UriOf(claims.mesh_id, claims.role, claims.id);
  PM_CHECK(certificate.der().find(uri) != std::string::npos);
  PM_CHECK(certificate.der().find(identity::DnsNameOf(claims.name, claims.mesh_id)) !=
           std::string::npos);
}

void CheckParsed(const Certificate& certificate) {
  PM_CHECK(certificate.der().size() <= kMaxCertificateBytes);
  PM_CHECK(identity::IsP256Spki(certificate.spki()));
  PM_CHECK(certificate.key_id() == identity::PeerIdOf(certificate.spki()));
  for (const std::string& form : {certificate.der(), certificate.ToPem()}) {
    const auto again = Certificate::Parse(form);
    PM_CHECK(again && again->der() == certificate.der() && again->spki() == certificate.spki());
    PM_CHECK(again->not_after() == certificate.not_after());
  }
  if (const auto claims = certificate.Claims()) CheckClaims(certificate, *claims);
  certificate.VerifySignature("domain", "bytes", certificate.der());
}

// A root that nobody here has the key of: nothing may be believed, and the reason is said.
void CheckRefused(std::string_view input, const identity::TrustBundle& bundle) {
  const auto verdict = identity::Verify(input, bundle, identity::kNow, {});
  PM_CHECK(!verdict.ok());
  PM_CHECK(*identity::ToString(verdict.refusal()) != '\0');
  PM_CHECK(*identity::Explain(verdict.refusal()) != '\0');
}

void CheckBundle(std::string_view input, const std::string& mesh_id) {
  const auto bundle = identity::TrustBundle::FromPem(input, mesh_id);
  if (!bundle.ok()) {
    PM_CHECK(!bundle.status().message().empty());
    return;
  }
  PM_CHECK(!bundle->roots().empty() && bundle->roots().size() <= identity::kMaxRoots);
  const auto again = identity::TrustBundle::FromPem(bundle->ToPem(), mesh_id);
  PM_CHECK(again.ok() && again->roots() == bundle->roots());
}

}  // namespace

void Try(std::string_view input) {
  static const identity::ForgedMesh mesh;
  static const identity::TrustBundle bundle = mesh.bundle();
  const auto certificate = Certificate::Parse(input);
  if (certificate) CheckParsed(*certificate);
  CheckRefused(input, bundle);
  CheckBundle(input, mesh.mesh_id());
}

}  // namespace peermesh::fuzz
