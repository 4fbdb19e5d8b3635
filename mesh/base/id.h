// Ids that cannot be mixed up.
//
// `PeerId` is who: the SHA-256 of a public key, proven by TLS before anything in mesh/ sees it.
// `Id<Tag>` is which: a number issued by whoever creates the thing, never reused within a process.
#ifndef PEERMESH_MESH_BASE_ID_H_
#define PEERMESH_MESH_BASE_ID_H_

#include <array>
#include <bit>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace peermesh {

template <class Tag>
struct Id {
  std::uint64_t value = 0;  // 0: none
  explicit operator bool() const { return value != 0; }
  friend auto operator<=>(const Id&, const Id&) = default;
};

using LinkId = Id<struct LinkTag>;        // one link to a peer; issued by the driver
using DialId = Id<struct DialTag>;        // one outbound attempt; issued by the node
using SessionId = Id<struct SessionTag>;  // one application stream or call; issued by the driver
using RequestId = Id<struct RequestTag>;  // one request that wants an answer; issued by the caller
using PrincipalId =
    Id<struct PrincipalTag>;  // who a session belongs to, for quotas; issued by the driver

struct PeerId {
  std::array<std::uint8_t, 32> bytes{};

  // 52 characters: base32 (RFC 4648, lower case, no padding).
  std::string ToText() const;
  // The first 8 characters: what people see.
  std::string ToShortText() const;
  static std::optional<PeerId> FromText(std::string_view text);
  // From 32 raw bytes; nullopt for any other length.
  static std::optional<PeerId> FromBytes(std::string_view raw);
  std::string ToBytes() const {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  // In order of bytes. Ids are hashes: the first word nearly always tells them apart.
  friend std::strong_ordering operator<=>(const PeerId& a, const PeerId& b) {
    std::uint64_t one = 0, other = 0;
    std::memcpy(&one, a.bytes.data(), sizeof(one));
    std::memcpy(&other, b.bytes.data(), sizeof(other));
    if (one != other) {
      if constexpr (std::endian::native == std::endian::little) {
        one = __builtin_bswap64(one);
        other = __builtin_bswap64(other);
      }
      return one <=> other;
    }
    return std::memcmp(a.bytes.data(), b.bytes.data(), a.bytes.size()) <=> 0;
  }
  friend bool operator==(const PeerId&, const PeerId&) = default;
};

}  // namespace peermesh

template <class Tag>
struct std::hash<peermesh::Id<Tag>> {
  std::size_t operator()(const peermesh::Id<Tag>& id) const noexcept {
    return std::hash<std::uint64_t>{}(id.value);
  }
};

#endif  // PEERMESH_MESH_BASE_ID_H_
