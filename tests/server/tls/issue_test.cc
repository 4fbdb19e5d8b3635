#include "server/tls/issue.h"

#include <gtest/gtest.h>

#include "tests/mesh/identity/forge.h"
#include "tests/server/tls/mesh_fixture.h"

namespace peermesh::tls {
namespace {

using identity::Role;

class IssueTest : public testing::Test {
 protected:
  CertificateSpec Spec(Role role = Role::kPeer) const {
    return {.role = role,
            .name = "alpha",
            .mesh_id = mesh_.mesh_id,
            .hosts = {},
            .lifetime = std::chrono::hours(168)};
  }
  absl::StatusOr<identity::Certificate> Issue(const CertificateSpec& spec) const {
    return IssueCertificate(mesh_.root_key, mesh_.root, key_.spki(), spec, now_);
  }

  const WallTime now_ = identity::kNow;
  TestMesh mesh_{.root = MakeRoot(mesh_.root_key, now_)};
  const PrivateKey key_ = PrivateKey::Make();
};

TEST_F(IssueTest, WhatIsIssuedIsBelieved) {
  for (const Role role : {Role::kPeer, Role::kClient, Role::kAdmin, Role::kCa}) {
    const auto certificate = Issue(Spec(role));
    ASSERT_TRUE(certificate.ok()) << certificate.status();
    const auto verdict =
        Verify(*certificate, mesh_.bundle(), now_, {.expected = key_.id(), .roles = {role}});
    ASSERT_TRUE(verdict.ok()) << ToString(verdict.refusal());
    EXPECT_EQ(verdict.identity().name, "alpha");
    EXPECT_EQ(verdict.identity().mesh_id, mesh_.mesh_id);
    EXPECT_EQ(verdict.identity().role, role);
    EXPECT_EQ(verdict.identity().not_before, now_ - kBackDate);
    EXPECT_EQ(verdict.identity().not_after, now_ + std::chrono::hours(168));
  }
}

TEST_F(IssueTest, HostsDoNotDisturbTheIdentity) {
  CertificateSpec spec = Spec();
  spec.hosts = {"localhost", "a.example.org", "127.0.0.1", "::1"};
  const auto certificate = Issue(spec);
  ASSERT_TRUE(certificate.ok()) << certificate.status();
  EXPECT_TRUE(Verify(*certificate, mesh_.bundle(), now_, {}).ok());
}

TEST_F(IssueTest, HostsThatWouldBeNamesAreRefused) {
  for (const std::string& host :
       {std::string("beta.") + mesh_.mesh_id, mesh_.mesh_id, key_.id().ToText(), std::string(""),
        std::string("*.example.org"), std::string("UPPER"), std::string("a..b"),
        std::string("x,URI:spiffe://evil"), std::string(254, 'a')}) {
    CertificateSpec spec = Spec();
    spec.hosts = {host};
    EXPECT_EQ(Issue(spec).status().code(), absl::StatusCode::kInvalidArgument) << host;
  }
  EXPECT_FALSE(CheckHosts(std::vector<std::string>(kMaxHosts + 1, "a"), mesh_.mesh_id).ok());
  EXPECT_TRUE(CheckHosts(std::vector<std::string>(kMaxHosts, "a"), mesh_.mesh_id).ok());
}

TEST_F(IssueTest, HostsTooLongForACertificateAreRefused) {
  CertificateSpec spec = Spec();
  const std::string label = "." + std::string(60, 'b');
  spec.hosts = std::vector<std::string>(kMaxHosts, "a" + label + label + label + label);
  EXPECT_EQ(Issue(spec).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(IssueTest, AWrongSpecIsRefused) {
  CertificateSpec spec = Spec();
  spec.name = "Not A Name";
  EXPECT_FALSE(Issue(spec).ok());
  spec = Spec();
  spec.mesh_id = "x";
  EXPECT_FALSE(Issue(spec).ok());
  spec = Spec();
  spec.lifetime = Duration::zero();
  EXPECT_FALSE(Issue(spec).ok());
  const auto rsa = identity::ForgeKey("RSA");
  EXPECT_FALSE(
      IssueCertificate(mesh_.root_key, mesh_.root, identity::SpkiOf(rsa.get()), Spec(), now_).ok());
}

TEST_F(IssueTest, NothingOutlivesTheRoot) {
  CertificateSpec spec = Spec();
  spec.lifetime = 2 * kRootLifetime;
  EXPECT_EQ(Issue(spec)->not_after(), mesh_.root.not_after());
}

TEST_F(IssueTest, SerialsDiffer) { EXPECT_NE(Issue(Spec())->der(), Issue(Spec())->der()); }

TEST_F(IssueTest, ARequestProvesItsKey) {
  const auto spki = KeyOfRequest(key_.MakeRequest());
  ASSERT_TRUE(spki.ok()) << spki.status();
  EXPECT_EQ(*spki, key_.spki());
}

TEST_F(IssueTest, ADamagedRequestIsRefused) {
  const std::string request = key_.MakeRequest();
  for (std::size_t i = 0; i < request.size(); ++i) {
    std::string damaged = request;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x01);
    EXPECT_FALSE(KeyOfRequest(damaged).ok()) << "byte " << i;
  }
  EXPECT_FALSE(KeyOfRequest("").ok());
  EXPECT_FALSE(KeyOfRequest(request + "x").ok());
  EXPECT_FALSE(KeyOfRequest(std::string(kMaxRequestBytes + 1, '0')).ok());
}

TEST_F(IssueTest, KeysRoundTripAsPem) {
  const auto again = PrivateKey::FromPem(key_.ToPem());
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->id(), key_.id());
  EXPECT_FALSE(PrivateKey::FromPem("").ok());
  EXPECT_FALSE(PrivateKey::FromPem(mesh_.root.ToPem()).ok());
}

}  // namespace
}  // namespace peermesh::tls
