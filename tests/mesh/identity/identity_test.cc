#include "mesh/identity/identity.h"

#include <gtest/gtest.h>

namespace peermesh::identity {
namespace {

TEST(Name, IsADnsLabel) {
  for (const char* good : {"a", "alpha", "host-7", "0", "a--b"}) EXPECT_TRUE(IsName(good)) << good;
  EXPECT_TRUE(IsName(std::string(63, 'a')));
  EXPECT_FALSE(IsName(std::string(64, 'a')));
  for (const char* bad : {"", "-a", "a-", "A", "a.b", "a_b", "a b", "\xc3\xa4"}) {
    EXPECT_FALSE(IsName(bad)) << bad;
  }
  EXPECT_FALSE(IsName(std::string_view("a\0b", 3)));
}

TEST(MeshId, IsSixteenCharactersOfTheRootKeysHash) {
  const std::string id = MeshIdOf("some key");
  EXPECT_TRUE(IsMeshId(id));
  EXPECT_EQ(PeerIdOf("some key").ToText().substr(0, kMeshIdChars), id);
  EXPECT_NE(MeshIdOf("another key"), id);
  EXPECT_FALSE(IsMeshId(id.substr(1)));
  EXPECT_FALSE(IsMeshId("A" + id.substr(1)));
  EXPECT_FALSE(IsMeshId(""));
}

TEST(PeerIdOf, IsSha256) {
  // SHA-256 of "abc": FIPS 180-2, appendix B.1.
  EXPECT_EQ(PeerIdOf("abc").bytes[0], 0xba);
  EXPECT_EQ(PeerIdOf("abc").bytes[31], 0xad);
}

TEST(Role, TextRoundTrips) {
  for (const Role role : {Role::kPeer, Role::kClient, Role::kAdmin, Role::kCa}) {
    EXPECT_EQ(RoleFromText(ToString(role)), role);
  }
  EXPECT_EQ(RoleFromText("Peer"), std::nullopt);
  EXPECT_EQ(RoleFromText(""), std::nullopt);
}

TEST(RoleSet, HoldsWhatItWasMadeOf) {
  const RoleSet roles = {Role::kPeer, Role::kAdmin};
  EXPECT_TRUE(roles.Contains(Role::kPeer));
  EXPECT_TRUE(roles.Contains(Role::kAdmin));
  EXPECT_FALSE(roles.Contains(Role::kClient));
  EXPECT_FALSE(RoleSet({}).Contains(Role::kPeer));
}

TEST(Uri, RoundTrips) {
  const std::string mesh = MeshIdOf("root");
  const PeerId id = PeerIdOf("peer");
  const auto parts = ParseUri(UriOf(mesh, Role::kAdmin, id));
  ASSERT_TRUE(parts.has_value());
  EXPECT_EQ(parts->mesh_id, mesh);
  EXPECT_EQ(parts->role, Role::kAdmin);
  EXPECT_EQ(parts->id, id);
}

TEST(Uri, OneByteMoreOrLessIsAnotherUri) {
  const std::string uri = UriOf(MeshIdOf("root"), Role::kPeer, PeerIdOf("peer"));
  EXPECT_TRUE(ParseUri(uri).has_value());
  EXPECT_FALSE(ParseUri(uri + "/").has_value());
  EXPECT_FALSE(ParseUri(uri + "a").has_value());
  EXPECT_FALSE(ParseUri(" " + uri).has_value());
  EXPECT_FALSE(ParseUri(uri.substr(0, uri.size() - 1)).has_value());
  EXPECT_FALSE(ParseUri("SPIFFE" + uri.substr(6)).has_value());
  EXPECT_FALSE(ParseUri("spiffe://" + MeshIdOf("root") + "/peer").has_value());
  EXPECT_FALSE(ParseUri("spiffe://x/peer/" + PeerIdOf("peer").ToText()).has_value());
  EXPECT_FALSE(ParseUri("").has_value());
}

}  // namespace
}  // namespace peermesh::identity
