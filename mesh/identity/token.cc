#include "mesh/identity/token.h"

#include <algorithm>
#include <charconv>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "mesh/base/base32.h"
#include "mesh/base/check.h"
#include "mesh/identity/identity.h"

namespace peermesh::identity {
namespace {

constexpr std::string_view kPrefix = "pm1";
constexpr std::size_t kPinChars = 52;
constexpr std::size_t kMaxHostBytes = 253;  // a DNS name (RFC 1035)
constexpr std::size_t kParts = 5;

bool IsBase32(std::string_view text, std::size_t chars) {
  return text.size() == chars && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '2' && c <= '7');
         });
}

std::string CheckOf(std::string_view body) {
  return PeerIdOf(body).ToText().substr(0, kTokenCheckChars);
}

absl::Status Fault(const char* what) {
  return absl::InvalidArgumentError(
      std::string(what) +
      ". Copy the whole token again, or ask for a new one with `peermesh token create`.");
}

std::string_view Trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const auto first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

std::vector<std::string_view> Split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const auto at = text.find(separator);
    parts.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

}  // namespace

std::string FormatToken(const Token& token) {
  PM_CHECK(IsTokenId(token.id));
  PM_CHECK(IsTokenSecret(token.secret));
  PM_CHECK(IsHostPort(token.address));
  std::string text(kPrefix);
  text.append(".").append(Base32Encode(token.ca_pin));
  text.append(".").append(token.id).append(".").append(token.secret);
  const std::string check = CheckOf(text);
  text.append(".").append(check).append("@").append(token.address);
  return text;
}

absl::StatusOr<Token> ParseToken(std::string_view text) {
  text = Trim(text);
  if (text.empty()) return Fault("The join token is empty");
  if (text.size() > kMaxTokenBytes) return Fault("The join token is too long");
  if (text.find_first_of(" \t\r\n") != std::string_view::npos) {
    return Fault("The join token is broken by a space or a line end");
  }
  if (!text.starts_with("pm1.")) {
    return Fault("This is not a join token of this release: it does not start with \"pm1.\"");
  }
  const auto at = text.find('@');
  if (at == std::string_view::npos) {
    return Fault("The join token is cut off: the CA's address after \"@\" is missing");
  }
  const auto parts = Split(text.substr(0, at), '.');
  if (parts.size() != kParts)
    return Fault("The join token does not have five parts before the \"@\"");
  const auto body = text.substr(0, at - parts[4].size() - 1);
  const auto pin = Base32Decode(parts[1]);
  if (parts[1].size() != kPinChars || !pin) return Fault("The CA pin in the join token is damaged");
  if (!IsTokenId(parts[2])) return Fault("The id in the join token is damaged");
  if (!IsTokenSecret(parts[3])) return Fault("The secret in the join token is damaged");
  if (parts[4] != CheckOf(body))
    return Fault("The join token has a typing error: its check does not match");
  const auto address = text.substr(at + 1);
  if (!IsHostPort(address)) return Fault("The CA's address in the join token is not \"host:port\"");
  Token token;
  PM_CHECK(pin->size() == token.ca_pin.size());
  std::transform(pin->begin(), pin->end(), token.ca_pin.begin(),
                 [](char c) { return static_cast<std::uint8_t>(c); });
  token.id = parts[2];
  token.secret = parts[3];
  token.address = address;
  return token;
}

bool IsTokenId(std::string_view text) { return IsBase32(text, kTokenIdChars); }

bool IsTokenSecret(std::string_view text) {
  return text.size() == kTokenSecretChars && Base32Decode(text).has_value();
}

bool IsHostPort(std::string_view text) {
  std::string_view host;
  std::string_view port;
  if (text.starts_with('[')) {
    const auto close = text.find("]:");
    if (close == std::string_view::npos) return false;
    host = text.substr(1, close - 1);
    port = text.substr(close + 2);
    const auto is_v6 = [](char c) {
      return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') ||
             c == ':' || c == '.';
    };
    if (host.find(':') == std::string_view::npos || !std::all_of(host.begin(), host.end(), is_v6))
      return false;
  } else {
    const auto colon = text.find(':');
    if (colon == std::string_view::npos) return false;
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
    const auto is_dns = [](char c) {
      return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
             c == '-' || c == '.' || c == '_';
    };
    if (!std::all_of(host.begin(), host.end(), is_dns)) return false;
  }
  if (host.empty() || host.size() > kMaxHostBytes) return false;
  unsigned number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  return error == std::errc() && end == port.data() + port.size() && number >= 1 && number <= 65535;
}

std::array<std::uint8_t, 32> PinOf(std::string_view root_spki) { return PeerIdOf(root_spki).bytes; }

}  // namespace peermesh::identity
