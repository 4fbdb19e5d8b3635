// Base32 of RFC 4648 section 6, lower case, without padding: fits DNS labels and double clicks.
#ifndef PEERMESH_MESH_BASE_BASE32_H_
#define PEERMESH_MESH_BASE_BASE32_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace peermesh {

std::string Base32Encode(std::span<const std::uint8_t> bytes);

// Accepts exactly what Base32Encode produces: no upper case, no padding, no set bits left over.
std::optional<std::string> Base32Decode(std::string_view text);

}  // namespace peermesh

#endif  // PEERMESH_MESH_BASE_BASE32_H_
