// The join token: all a newcomer needs, in one line that survives a terminal.
//
//   pm1.<ca pin>.<id>.<secret>.<check>@host:port
//
//   - pin: SHA-256 of the root's SubjectPublicKeyInfo, 52 characters. The newcomer knows the CA
//     before it says anything secret, so whoever sits in between learns nothing.
//   - id: 10 characters; finds the token in the CA's store and in lists. Not secret.
//   - secret: 128 bits, 26 characters. The CA keeps only its SHA-256.
//   - check: 4 characters over all before it; finds a slip of the mouse before the network does.
//     Not security.
//   - host: where the newcomer reaches the CA. Outside the check: people may have to change it.
//
// Base32 in lower case throughout. A token is a secret: never in a command line or a log.
// Thread-safe.
#ifndef PEERMESH_MESH_IDENTITY_TOKEN_H_
#define PEERMESH_MESH_IDENTITY_TOKEN_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace peermesh::identity {

inline constexpr std::size_t kTokenIdChars = 10;      // 50 bits: unique among all tokens of a mesh
inline constexpr std::size_t kTokenSecretChars = 26;  // 128 bits: beyond guessing
inline constexpr std::size_t kTokenCheckChars = 4;    // one slip in a million goes unnoticed
inline constexpr std::size_t kMaxTokenBytes = 512;    // about 100 and an address

struct Token {
  std::array<std::uint8_t, 32> ca_pin{};
  std::string id;
  std::string secret;
  std::string address;  // "host:port"

  friend bool operator==(const Token&, const Token&) = default;
};

// The parts must be well-formed.
std::string FormatToken(const Token& token);
// White space around it is ignored. INVALID_ARGUMENT says in words for its reader which part is at
// fault; it never repeats the secret.
absl::StatusOr<Token> ParseToken(std::string_view text);

bool IsTokenId(std::string_view text);
bool IsTokenSecret(std::string_view text);
// "host:port" or "[v6]:port", port 1 to 65535.
bool IsHostPort(std::string_view text);

// Pin of a root: SHA-256 of its SubjectPublicKeyInfo (DER).
std::array<std::uint8_t, 32> PinOf(std::string_view root_spki);

}  // namespace peermesh::identity

#endif  // PEERMESH_MESH_IDENTITY_TOKEN_H_
