#include "mesh/identity/identity.h"

#include <algorithm>
#include <array>
#include <span>

#include "mesh/base/base32.h"
#include "mesh/base/check.h"
#include "mesh/identity/openssl.h"

namespace peermesh::identity {
namespace {

constexpr std::string_view kScheme = "spiffe://";
constexpr std::array kRoles = {Role::kPeer, Role::kClient, Role::kAdmin, Role::kCa};

// SubjectPublicKeyInfo of every uncompressed P-256 key up to the coordinates: id-ecPublicKey,
// prime256v1, bit string, point format (RFC 5480).
constexpr std::array<unsigned char, 27> kP256Prefix = {
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06,
    0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04};
constexpr std::size_t kP256SpkiBytes = kP256Prefix.size() + 64;  // x and y follow

std::array<std::uint8_t, 32> Sha256(std::string_view bytes) {
  std::array<std::uint8_t, 32> hash{};
  unsigned size = 0;
  PM_CHECK(EVP_Digest(bytes.data(), bytes.size(), hash.data(), &size, EVP_sha256(), nullptr) == 1);
  PM_CHECK(size == hash.size());
  return hash;
}

}  // namespace

const char* ToString(Role role) {
  switch (role) {
    case Role::kPeer: return "peer";
    case Role::kClient: return "client";
    case Role::kAdmin: return "admin";
    case Role::kCa: return "ca";
  }
  return "unknown";
}

std::optional<Role> RoleFromText(std::string_view text) {
  for (const Role role : kRoles) {
    if (text == ToString(role)) return role;
  }
  return std::nullopt;
}

bool IsName(std::string_view text) {
  if (text.empty() || text.size() > kMaxNameBytes) return false;
  if (text.front() == '-' || text.back() == '-') return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

bool IsMeshId(std::string_view text) {
  return text.size() == kMeshIdChars && Base32Decode(text).has_value();
}

PeerId PeerIdOf(std::string_view spki) { return PeerId{Sha256(spki)}; }

std::string MeshIdOf(std::string_view root_spki) {
  const auto hash = Sha256(root_spki);
  std::string id = Base32Encode(std::span(hash).first(kMeshIdBytes));
  PM_CHECK(id.size() == kMeshIdChars);
  return id;
}

std::string UriOf(std::string_view mesh_id, Role role, const PeerId& id) {
  std::string uri(kScheme);
  uri.append(mesh_id).append("/").append(ToString(role)).append("/").append(id.ToText());
  return uri;
}

std::optional<UriParts> ParseUri(std::string_view uri) {
  if (!uri.starts_with(kScheme)) return std::nullopt;
  uri.remove_prefix(kScheme.size());
  const auto first = uri.find('/');
  if (first == std::string_view::npos) return std::nullopt;
  const auto second = uri.find('/', first + 1);
  if (second == std::string_view::npos) return std::nullopt;
  const auto mesh_id = uri.substr(0, first);
  const auto role = RoleFromText(uri.substr(first + 1, second - first - 1));
  const auto id = PeerId::FromText(uri.substr(second + 1));
  if (!IsMeshId(mesh_id) || !role || !id) return std::nullopt;
  return UriParts{std::string(mesh_id), *role, *id};
}

std::string DnsNameOf(std::string_view name, std::string_view mesh_id) {
  std::string dns(name);
  dns.append(".").append(mesh_id);
  return dns;
}

bool IsP256Spki(std::string_view spki) {
  return spki.size() == kP256SpkiBytes &&
         std::equal(kP256Prefix.begin(), kP256Prefix.end(), spki.begin(),
                    [](unsigned char a, char b) { return a == static_cast<unsigned char>(b); });
}

}  // namespace peermesh::identity
