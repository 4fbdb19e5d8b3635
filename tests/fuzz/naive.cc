#include "tests/fuzz/naive.h"

namespace peermesh::fuzz {
namespace {

constexpr std::string_view kTokenBytes =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";

bool IsPlain(const std::string& token) {
  return !token.empty() && token.find_first_not_of(kTokenBytes) == std::string::npos;
}

}  // namespace

std::vector<std::string> TokensOf(std::string_view text) {
  std::vector<std::string> tokens(1);
  for (const char c : text) {
    if (c == '.') {
      tokens.emplace_back();
    } else {
      tokens.back() += c;
    }
  }
  return tokens;
}

bool IsNaiveSubject(std::string_view text) {
  const std::vector<std::string> tokens = TokensOf(text);
  if (text.size() > 256 || tokens.size() > 16) return false;
  for (const std::string& token : tokens) {
    if (!IsPlain(token)) return false;
  }
  return true;
}

bool IsNaivePattern(std::string_view text) {
  std::string plain;
  const std::vector<std::string> tokens = TokensOf(text);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const bool wildcard = tokens[i] == "*" || (tokens[i] == ">" && i + 1 == tokens.size());
    plain += (i > 0 ? "." : "") + (wildcard ? "x" : tokens[i]);
  }
  return IsNaiveSubject(plain);
}

bool NaiveMatches(std::string_view pattern, std::string_view subject) {
  const std::vector<std::string> wanted = TokensOf(pattern);
  const std::vector<std::string> tokens = TokensOf(subject);
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (i >= tokens.size()) return false;
    if (wanted[i] == ">") return true;
    if (wanted[i] != "*" && wanted[i] != tokens[i]) return false;
  }
  return wanted.size() == tokens.size();
}

}  // namespace peermesh::fuzz
