#include "mesh/base/id.h"

#include <algorithm>

#include "mesh/base/base32.h"

namespace peermesh {

std::string PeerId::ToText() const { return Base32Encode({bytes.data(), bytes.size()}); }

std::string PeerId::ToShortText() const { return ToText().substr(0, 8); }

std::optional<PeerId> PeerId::FromText(std::string_view text) {
  if (text.size() != 52) return std::nullopt;
  const auto raw = Base32Decode(text);
  if (!raw) return std::nullopt;
  return FromBytes(*raw);
}

std::optional<PeerId> PeerId::FromBytes(std::string_view raw) {
  PeerId id;
  if (raw.size() != id.bytes.size()) return std::nullopt;
  std::copy(raw.begin(), raw.end(), id.bytes.begin());
  return id;
}

}  // namespace peermesh
