#include "mesh/identity/certificate.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/mesh/identity/forge.h"

namespace peermesh::identity {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

class VerifyTest : public testing::Test {
 protected:
  std::string Outcome(const std::string& der, VerifyOptions options = {},
                      WallTime now = kNow) const {
    const Verdict verdict = Verify(der, mesh_.bundle(), now, options);
    return verdict.ok() ? "ok" : ToString(verdict.refusal());
  }
  std::string Outcome(const Forgery& forgery, VerifyOptions options = {},
                      WallTime now = kNow) const {
    return Outcome(Forge(forgery), options, now);
  }
  // The names, with more behind them.
  std::string NamesAnd(const std::string& more) const { return mesh_.Names(key_.get()) + more; }

  ForgedMesh mesh_;
  PKeyPtr key_ = ForgeKey();
  Forgery leaf_ = mesh_.Leaf(key_.get());
};

TEST_F(VerifyTest, ACorrectCertificateGivesItsIdentity) {
  const Verdict verdict = Verify(Forge(leaf_), mesh_.bundle(), kNow, {});
  ASSERT_TRUE(verdict.ok());
  EXPECT_EQ(verdict.identity(), (Identity{PeerIdOf(SpkiOf(key_.get())), Role::kPeer, "alpha",
                                          mesh_.mesh_id(), leaf_.from, leaf_.until}));
}

TEST_F(VerifyTest, EveryRoleHasItsUsages) {
  for (const Role role : {Role::kPeer, Role::kClient, Role::kAdmin, Role::kCa}) {
    Forgery leaf = mesh_.Leaf(key_.get(), role);
    EXPECT_EQ(Outcome(leaf, {.roles = {role}}), "ok") << ToString(role);
    leaf.extended_key_usage = std::nullopt;
    EXPECT_EQ(Outcome(leaf, {.roles = {role}}), "bad_identity") << ToString(role);
  }
  Forgery client = mesh_.Leaf(key_.get(), Role::kClient);
  client.extended_key_usage = "serverAuth,clientAuth";
  EXPECT_EQ(Outcome(client, {.roles = {Role::kClient}}), "bad_identity");
  leaf_.extended_key_usage = "clientAuth";
  EXPECT_EQ(Outcome(leaf_), "bad_identity");
}

TEST_F(VerifyTest, NothingIsNoCertificate) { EXPECT_EQ(Outcome(std::string()), "no_certificate"); }

TEST_F(VerifyTest, BrokenBytesAreMalformed) {
  const std::string der = Forge(leaf_);
  EXPECT_EQ(Outcome("not a certificate"), "malformed");
  EXPECT_EQ(Outcome(der.substr(0, der.size() - 1)), "malformed");
  EXPECT_EQ(Outcome(der + "x"), "malformed") << "bytes after the end";
  EXPECT_EQ(Outcome(std::string(kMaxCertificateBytes + 1, '0')), "malformed");
  EXPECT_EQ(Outcome("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "malformed");
}

TEST_F(VerifyTest, ACertificateTooLongIsMalformed) {
  std::string many;
  for (int i = 0; i < 80; ++i) many += ",DNS:" + std::string(60, 'a') + std::to_string(i);
  leaf_.alternative_names = NamesAnd(many);
  const std::string der = Forge(leaf_);
  ASSERT_GT(der.size(), kMaxCertificateBytes);
  EXPECT_EQ(Outcome(der), "malformed");
}

TEST_F(VerifyTest, OnlyP256KeysAreTaken) {
  for (const auto& [kind, curve] : {std::pair{"EC", "P-384"}, {"RSA", ""}, {"ED25519", ""}}) {
    const PKeyPtr other = ForgeKey(kind, curve);
    EXPECT_EQ(Outcome(mesh_.Leaf(other.get())), "malformed") << kind << curve;
  }
}

TEST_F(VerifyTest, ACompressedPointWouldGiveAKeyTwoIds) {
  ASSERT_EQ(EVP_PKEY_set_utf8_string_param(key_.get(), "point-format", "compressed"), 1);
  ASSERT_NE(SpkiOf(key_.get()).size(), 91u);
  EXPECT_EQ(Outcome(mesh_.Leaf(key_.get())), "malformed");
}

TEST_F(VerifyTest, AnIntermediateOrUnmarkedCertificateIsMalformed) {
  Forgery ca = leaf_;
  ca.basic_constraints = "critical,CA:TRUE";
  EXPECT_EQ(Outcome(ca), "malformed");
  Forgery unmarked = leaf_;
  unmarked.basic_constraints = std::nullopt;
  EXPECT_EQ(Outcome(unmarked), "malformed");
  Forgery usage = leaf_;
  usage.key_usage = "critical,keyEncipherment";
  EXPECT_EQ(Outcome(usage), "malformed");
  usage.key_usage = std::nullopt;
  EXPECT_EQ(Outcome(usage), "malformed");
}

TEST_F(VerifyTest, AnUnknownCriticalExtensionIsMalformed) {
  leaf_.unknown_critical_extension = true;
  EXPECT_EQ(Outcome(leaf_), "malformed");
}

TEST_F(VerifyTest, AnotherCaIsTheWrongCa) {
  const ForgedMesh other;
  leaf_.signer = other.key();
  EXPECT_EQ(Outcome(leaf_), "wrong_ca");
}

TEST_F(VerifyTest, SelfSignedWithTheRightNamesIsTheWrongCa) {
  leaf_.signer = nullptr;
  leaf_.subject = leaf_.issuer = "root";
  EXPECT_EQ(Outcome(leaf_), "wrong_ca");
}

TEST_F(VerifyTest, ASpoiltSignatureIsTheWrongCa) {
  std::string der = Forge(leaf_);
  der.back() = static_cast<char>(der.back() ^ 1);
  EXPECT_EQ(Outcome(der), "wrong_ca");
}

TEST_F(VerifyTest, ALeafCannotIssue) {
  const PKeyPtr other = ForgeKey();
  Forgery grandchild = mesh_.Leaf(other.get());
  grandchild.signer = key_.get();
  grandchild.issuer = "x";
  EXPECT_EQ(Outcome(grandchild), "wrong_ca");
}

TEST_F(VerifyTest, TheRootItselfIsNobody) { EXPECT_EQ(Outcome(mesh_.root_der()), "malformed"); }

TEST_F(VerifyTest, OneIdentityNeitherNoneNorTwo) {
  const std::string id = PeerIdOf(SpkiOf(key_.get())).ToText();
  const std::string uri = "URI:spiffe://" + mesh_.mesh_id() + "/peer/" + id;
  const std::string dns = "DNS:alpha." + mesh_.mesh_id();
  const std::pair<const char*, std::string> bad[] = {
      {"no URI", dns},
      {"two URIs", uri + ",URI:https://example.org," + dns},
      {"same URI twice", uri + "," + uri + "," + dns},
      {"no name", uri + ",DNS:example.org"},
      {"two names", uri + "," + dns + ",DNS:beta." + mesh_.mesh_id()},
      {"a name of two labels", uri + ",DNS:a.b." + mesh_.mesh_id()},
      {"an empty name", uri + ",DNS:." + mesh_.mesh_id()},
      {"a wildcard", uri + ",DNS:*." + mesh_.mesh_id()},
      {"upper case", uri + ",DNS:Alpha." + mesh_.mesh_id()},
      {"unknown role", "URI:spiffe://" + mesh_.mesh_id() + "/root/" + id + "," + dns},
      {"trailing slash", uri + "/," + dns},
      {"short id", uri.substr(0, uri.size() - 1) + "," + dns},
      {"an e-mail address", uri + "," + dns + ",email:a@example.org"},
  };
  for (const auto& [what, names] : bad) {
    leaf_.alternative_names = names;
    EXPECT_EQ(Outcome(leaf_), "bad_identity") << what;
  }
  leaf_.alternative_names = std::nullopt;
  EXPECT_EQ(Outcome(leaf_), "bad_identity");
  leaf_.alternative_names = uri + "," + dns + ",DNS:example.org,IP:127.0.0.1,IP:::1";
  EXPECT_EQ(Outcome(leaf_), "ok") << "hosts are allowed";
}

TEST_F(VerifyTest, AnotherMeshOfTheSameCaIsRefused) {
  const std::string other = MeshIdOf("another root");
  leaf_.alternative_names =
      "URI:" + UriOf(other, Role::kPeer, PeerIdOf(SpkiOf(key_.get()))) + ",DNS:alpha." + other;
  EXPECT_EQ(Outcome(leaf_), "bad_identity");
}

TEST_F(VerifyTest, AnIdOfAnotherKeyIsRefusedEvenFromTheRightCa) {
  const PKeyPtr victim = ForgeKey();
  leaf_.alternative_names = mesh_.Names(victim.get());
  EXPECT_EQ(Outcome(leaf_), "key_mismatch");
}

TEST_F(VerifyTest, DatesCountToTheSecond) {
  EXPECT_EQ(Outcome(leaf_, {}, leaf_.from), "ok");
  EXPECT_EQ(Outcome(leaf_, {}, leaf_.from - seconds(1)), "not_yet_valid");
  EXPECT_EQ(Outcome(leaf_, {}, leaf_.until), "ok");
  EXPECT_EQ(Outcome(leaf_, {}, leaf_.until + seconds(1)), "expired");
}

TEST_F(VerifyTest, RenewalsMayBeLateButNotMuch) {
  const VerifyOptions week_late{.late = hours(168)};
  EXPECT_EQ(Outcome(leaf_, week_late, leaf_.until + hours(168)), "ok");
  EXPECT_EQ(Outcome(leaf_, week_late, leaf_.until + hours(168) + seconds(1)), "expired");
  EXPECT_EQ(Outcome(leaf_, week_late, leaf_.from - seconds(1)), "not_yet_valid");
}

TEST_F(VerifyTest, AnExpiredRootVouchesForNobody) {
  leaf_.until = kNow + hours(24 * 4000);
  EXPECT_EQ(Outcome(leaf_, {}, kNow + hours(24 * 3650)), "ok");
  EXPECT_EQ(Outcome(leaf_, {}, kNow + hours(24 * 3650) + seconds(1)), "expired");
}

TEST_F(VerifyTest, OnlyAdmittedRolesPass) {
  EXPECT_EQ(Outcome(leaf_, {.roles = {Role::kClient, Role::kAdmin, Role::kCa}}), "wrong_role");
  EXPECT_EQ(Outcome(mesh_.Leaf(key_.get(), Role::kClient)), "wrong_role");
}

TEST_F(VerifyTest, OnlyTheDialledPeerPasses) {
  EXPECT_EQ(Outcome(leaf_, {.expected = PeerIdOf(SpkiOf(key_.get()))}), "ok");
  EXPECT_EQ(Outcome(leaf_, {.expected = PeerIdOf("somebody else")}), "wrong_peer");
}

TEST_F(VerifyTest, DerAndPemAreTheSameCertificate) {
  const auto certificate = Certificate::Parse(Forge(leaf_));
  ASSERT_TRUE(certificate.has_value());
  EXPECT_EQ(Outcome(certificate->ToPem()), "ok");
  EXPECT_EQ(Certificate::Parse(certificate->ToPem())->der(), certificate->der());
  EXPECT_EQ(certificate->spki(), SpkiOf(key_.get()));
}

TEST_F(VerifyTest, EitherRootOfARotationVouches) {
  const ForgedMesh next;
  const auto bundle = TrustBundle::Create({mesh_.root_der(), next.root_der()}, mesh_.mesh_id());
  ASSERT_TRUE(bundle.ok()) << bundle.status();
  Forgery renewed = leaf_;
  renewed.signer = next.key();
  EXPECT_TRUE(Verify(Forge(leaf_), *bundle, kNow, {}).ok());
  EXPECT_TRUE(Verify(Forge(renewed), *bundle, kNow, {}).ok());
}

TEST_F(VerifyTest, BundlesHoldOnlyRoots) {
  const auto code = [&](const std::vector<std::string>& roots, const std::string& mesh_id) {
    return TrustBundle::Create(roots, mesh_id).status().code();
  };
  const std::string& id = mesh_.mesh_id();
  EXPECT_EQ(code({mesh_.root_der()}, id), absl::StatusCode::kOk);
  EXPECT_EQ(code({}, id), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code({mesh_.root_der(), Forge(leaf_)}, id), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code({"rubbish"}, id), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code({mesh_.root_der()}, "mesh"), absl::StatusCode::kInvalidArgument);
  Forgery false_root = leaf_;  // says CA, but somebody else signed it
  false_root.basic_constraints = "critical,CA:TRUE";
  false_root.key_usage = "critical,keyCertSign";
  EXPECT_EQ(code({Forge(false_root)}, id), absl::StatusCode::kInvalidArgument);
  std::vector<std::string> many;
  for (std::size_t i = 0; i <= kMaxRoots; ++i) many.push_back(ForgedMesh().root_der());
  EXPECT_EQ(code(many, id), absl::StatusCode::kInvalidArgument);
}

TEST_F(VerifyTest, BundlesRoundTripAsPem) {
  const ForgedMesh next;
  const auto bundle = TrustBundle::Create({mesh_.root_der(), next.root_der()}, mesh_.mesh_id());
  ASSERT_TRUE(bundle.ok());
  const auto again = TrustBundle::FromPem(bundle->ToPem(), mesh_.mesh_id());
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->roots(), bundle->roots());
  EXPECT_FALSE(TrustBundle::FromPem("", mesh_.mesh_id()).ok());
  EXPECT_FALSE(TrustBundle::FromPem(bundle->ToPem().substr(0, 300), mesh_.mesh_id()).ok());
}

TEST(Refusal, EveryReasonHasALabelAndAnExplanation) {
  std::set<std::string> labels;
  for (int i = 0; i < kRefusalCount; ++i) {
    const auto refusal = static_cast<Refusal>(i);
    labels.insert(ToString(refusal));
    EXPECT_GT(std::string(Explain(refusal)).size(), 20u);
  }
  EXPECT_EQ(labels.size(), static_cast<std::size_t>(kRefusalCount));
  EXPECT_EQ(labels.count("unknown"), 0u);
}

}  // namespace
}  // namespace peermesh::identity
