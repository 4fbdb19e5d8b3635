#include "mesh/base/subject.h"

#include <algorithm>
#include <array>

#include "mesh/base/limits.h"

namespace peermesh {
namespace {

// Bytes of a token, for a table: a subject is looked at once for every message.
constexpr std::array<bool, 256> TokenBytes() {
  std::array<bool, 256> table{};
  for (int c = 'a'; c <= 'z'; ++c) table[static_cast<std::size_t>(c)] = true;
  for (int c = 'A'; c <= 'Z'; ++c) table[static_cast<std::size_t>(c)] = true;
  for (int c = '0'; c <= '9'; ++c) table[static_cast<std::size_t>(c)] = true;
  table['_'] = table['-'] = true;
  return table;
}
constexpr auto kTokenBytes = TokenBytes();

bool IsTokenByte(char c) { return kTokenBytes[static_cast<unsigned char>(c)]; }

}  // namespace

std::string_view TakeToken(std::string_view& rest) {
  const std::size_t dot = rest.find('.');
  const std::string_view token = rest.substr(0, dot);
  rest = dot == std::string_view::npos ? std::string_view() : rest.substr(dot + 1);
  return token;
}

bool IsValidSubject(std::string_view subject) {
  if (subject.size() > kMaxSubjectBytes) return false;
  std::size_t tokens = 0;
  bool inside = false;  // of a token
  for (const char c : subject) {
    if (IsTokenByte(c)) {
      tokens += inside ? 0 : 1;
      inside = true;
    } else if (c == '.' && inside) {
      inside = false;
    } else {
      return false;
    }
  }
  return inside && tokens <= kMaxSubjectTokens;
}

bool IsValidPattern(std::string_view pattern) {
  if (pattern.empty() || pattern.size() > kMaxSubjectBytes || pattern.back() == '.') return false;
  std::size_t tokens = 0;
  while (!pattern.empty()) {
    if (++tokens > kMaxSubjectTokens) return false;
    const std::string_view token = TakeToken(pattern);
    const bool wildcard = token == "*" || (token == ">" && pattern.empty());
    if (wildcard) continue;
    if (token.empty() || !std::all_of(token.begin(), token.end(), IsTokenByte)) return false;
  }
  return true;
}

}  // namespace peermesh
