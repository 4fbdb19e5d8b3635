// The rules of subjects and patterns once more, written to be read and not to be fast: what the
// matchers of production are held against.
//
// Pure; thread-safe.
#ifndef PEERMESH_TESTS_FUZZ_NAIVE_H_
#define PEERMESH_TESTS_FUZZ_NAIVE_H_

#include <string>
#include <string_view>
#include <vector>

namespace peermesh::fuzz {

// Parts between dots: "a..b" has three.
std::vector<std::string> TokensOf(std::string_view text);
// 1 to 16 tokens of [A-Za-z0-9_-] joined by dots, at most 256 bytes.
bool IsNaiveSubject(std::string_view text);
// A subject in which a token may be `*` and the last one `>`.
bool IsNaivePattern(std::string_view text);
// Both must be valid.
bool NaiveMatches(std::string_view pattern, std::string_view subject);

}  // namespace peermesh::fuzz

#endif  // PEERMESH_TESTS_FUZZ_NAIVE_H_
