#include "mesh/routing/subject.h"

#include "mesh/base/check.h"
#include "mesh/base/digest.h"
#include "mesh/base/limits.h"

namespace peermesh::routing {
namespace {

bool IsTokenByte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-';
}

bool IsPlainToken(std::string_view token) {
  if (token.empty()) return false;
  for (const char c : token) {
    if (!IsTokenByte(c)) return false;
  }
  return true;
}

enum class Wildcards : std::uint8_t { kRefuse, kAllow };

bool IsValid(std::string_view text, Wildcards wildcards) {
  if (text.empty() || text.size() > kMaxSubjectBytes || text.back() == '.') return false;
  std::size_t tokens = 0;
  while (!text.empty()) {
    if (++tokens > kMaxSubjectTokens) return false;
    const std::string_view token = TakeToken(text);
    if (IsPlainToken(token)) continue;
    if (wildcards == Wildcards::kRefuse) return false;
    const bool one = token == "*";
    const bool rest = token == ">" && text.empty();
    if (!one && !rest) return false;
  }
  return true;
}

}  // namespace

std::string_view TakeToken(std::string_view& rest) {
  const std::size_t dot = rest.find('.');
  const std::string_view token = rest.substr(0, dot);
  rest = dot == std::string_view::npos ? std::string_view() : rest.substr(dot + 1);
  return token;
}

bool IsValidSubject(std::string_view subject) { return IsValid(subject, Wildcards::kRefuse); }

bool IsValidPattern(std::string_view pattern) { return IsValid(pattern, Wildcards::kAllow); }

std::uint32_t ChannelOf(std::string_view subject) {
  PM_CHECK(!subject.empty());
  return static_cast<std::uint32_t>(HashBytes(TakeToken(subject)) % kChannels);
}

bool HasLeadingWildcard(std::string_view pattern) {
  const std::string_view first = TakeToken(pattern);
  return first == "*" || first == ">";
}

std::uint64_t ChannelsOf(std::string_view pattern) {
  static_assert(kChannels == 64, "one bit each");
  if (HasLeadingWildcard(pattern)) return ~std::uint64_t{0};
  return std::uint64_t{1} << ChannelOf(pattern);
}

}  // namespace peermesh::routing
