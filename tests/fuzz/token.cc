// What people and certificates carry as text: join tokens, ids, names, URIs, base32.
#include "mesh/identity/token.h"

#include <span>
#include <string>

#include "mesh/base/base32.h"
#include "mesh/base/check.h"
#include "mesh/base/id.h"
#include "mesh/identity/identity.h"
#include "tests/fuzz/fuzz.h"

namespace peermesh::fuzz {
namespace {

using identity::Token;

std::string_view Trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

// One token has one spelling, and a refusal says why without the secret.
void TryToken(std::string_view text) {
  const auto token = identity::ParseToken(text);
  if (token.ok()) {
    PM_CHECK(text.size() <= 2 * identity::kMaxTokenBytes || Trimmed(text).size() < text.size());
    PM_CHECK(identity::IsTokenId(token->id) && identity::IsTokenSecret(token->secret));
    PM_CHECK(identity::IsHostPort(token->address));
    PM_CHECK(identity::FormatToken(*token) == Trimmed(text));
    return;
  }
  const std::string why(token.status().message());
  PM_CHECK(why.find(". ") != std::string::npos && why.ends_with("."));
  for (std::string_view rest = text; !rest.empty();) {
    const auto end = std::min(rest.find_first_of(".@"), rest.size());
    const std::string_view part = rest.substr(0, end);
    if (identity::IsTokenSecret(part)) PM_CHECK(why.find(part) == std::string::npos);
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
}

// A token around the input, with a check that is right: what random bytes never have.
void TryAddress(std::string_view address) {
  Token token;
  token.ca_pin = identity::PinOf(address);
  token.id = Base32Encode(token.ca_pin).substr(0, identity::kTokenIdChars);
  token.secret = Base32Encode(std::span(token.ca_pin).first(16));
  token.address = "host:1";
  std::string text = identity::FormatToken(token);
  PM_CHECK(identity::ParseToken(text).ok());
  text.replace(text.find('@') + 1, std::string::npos, address);
  const auto parsed = identity::ParseToken(text);
  token.address = Trimmed(text).substr(Trimmed(text).find('@') + 1);
  PM_CHECK(parsed.ok() == (identity::IsHostPort(token.address) &&
                           Trimmed(text).size() <= identity::kMaxTokenBytes));
  if (parsed.ok()) PM_CHECK(*parsed == token);
  TryToken(text);
}

void TryNames(std::string_view text) {
  if (const auto id = PeerId::FromText(text)) {
    PM_CHECK(id->ToText() == text && PeerId::FromBytes(id->ToBytes()) == id);
  }
  if (const auto bytes = Base32Decode(text)) {
    const std::span raw(reinterpret_cast<const std::uint8_t*>(bytes->data()), bytes->size());
    PM_CHECK(Base32Encode(raw) == text);
  }
  if (const auto uri = identity::ParseUri(text)) {
    PM_CHECK(identity::UriOf(uri->mesh_id, uri->role, uri->id) == text);
    PM_CHECK(identity::IsMeshId(uri->mesh_id));
  }
  if (identity::IsMeshId(text)) PM_CHECK(text.size() == identity::kMeshIdChars);
  if (identity::IsName(text)) {
    PM_CHECK(text.size() <= identity::kMaxNameBytes && text.front() != '-' && text.back() != '-');
  }
  if (const auto role = identity::RoleFromText(text)) PM_CHECK(identity::ToString(*role) == text);
}

}  // namespace

void Try(std::string_view input) {
  TryToken(input);
  TryAddress(input);
  TryNames(input);
}

}  // namespace peermesh::fuzz
