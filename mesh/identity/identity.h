// Who somebody is: names, roles, ids and the URI that carries them in a certificate.
//
// An identity is a P-256 key. `PeerId` is the SHA-256 of its SubjectPublicKeyInfo; a certificate
// binds it to a role, a name and a mesh by two subject alternative names:
//
//   URI  spiffe://<mesh id>/<role>/<peer id>   exactly one, compared byte for byte
//   DNS  <name>.<mesh id>                      exactly one that ends in the mesh id
//
// Other DNS names and IP addresses are a convenience for ordinary TLS clients and mean nothing
// here. The mesh id is the first ten bytes of the hash of the mesh's first root key, so two meshes
// cannot be mistaken for each other, whatever they are called.
//
// Pure functions over bytes and values. Thread-safe.
#ifndef PEERMESH_MESH_IDENTITY_IDENTITY_H_
#define PEERMESH_MESH_IDENTITY_IDENTITY_H_

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "mesh/base/id.h"
#include "mesh/base/time.h"

namespace peermesh::identity {

inline constexpr std::size_t kMaxNameBytes = 63;  // a DNS label (RFC 1035 section 2.3.4)
inline constexpr std::size_t kMeshIdBytes = 10;   // 80 bits: no two meshes meet by accident
inline constexpr std::size_t kMeshIdChars = 16;   // the same in base32

enum class Role : std::uint8_t { kPeer, kClient, kAdmin, kCa };

// "peer", "client", "admin", "ca": as in the URI and in metric labels.
const char* ToString(Role role);
std::optional<Role> RoleFromText(std::string_view text);

// A set of roles, such as those a port admits.
class RoleSet {
 public:
  constexpr RoleSet(std::initializer_list<Role> roles) {
    for (const Role role : roles) bits_ |= Bit(role);
  }
  constexpr bool Contains(Role role) const { return (bits_ & Bit(role)) != 0; }

 private:
  static constexpr std::uint8_t Bit(Role role) {
    return static_cast<std::uint8_t>(1u << static_cast<unsigned>(role));
  }
  std::uint8_t bits_ = 0;
};

struct Identity {
  PeerId id;
  Role role = Role::kPeer;
  std::string name;     // a DNS label, unique in the mesh
  std::string mesh_id;  // kMeshIdChars characters
  WallTime not_before;
  WallTime not_after;

  friend bool operator==(const Identity&, const Identity&) = default;
};

// A DNS label: 1 to 63 of [a-z0-9-], no '-' at either end.
bool IsName(std::string_view text);
// 16 characters of lower-case base32.
bool IsMeshId(std::string_view text);

// `spki` is a SubjectPublicKeyInfo in DER.
PeerId PeerIdOf(std::string_view spki);
std::string MeshIdOf(std::string_view root_spki);

std::string UriOf(std::string_view mesh_id, Role role, const PeerId& id);

struct UriParts {
  std::string mesh_id;
  Role role = Role::kPeer;
  PeerId id;
};
// Accepts exactly what UriOf produces.
std::optional<UriParts> ParseUri(std::string_view uri);

// "<name>.<mesh id>": the name as it stands in a certificate.
std::string DnsNameOf(std::string_view name, std::string_view mesh_id);

}  // namespace peermesh::identity

#endif  // PEERMESH_MESH_IDENTITY_IDENTITY_H_
