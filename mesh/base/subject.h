// What a subject is, and a pattern.
//
// A subject is 1 to 16 tokens of [A-Za-z0-9_-] joined by dots, at most 256 bytes. A pattern is a
// subject in which `*` stands for exactly one token and a final `>` for one or more.
#ifndef PEERMESH_MESH_BASE_SUBJECT_H_
#define PEERMESH_MESH_BASE_SUBJECT_H_

#include <string_view>

namespace peermesh {

bool IsValidSubject(std::string_view subject);
bool IsValidPattern(std::string_view pattern);

// Splits off the first token: returns it and advances `rest` behind the dot.
std::string_view TakeToken(std::string_view& rest);

}  // namespace peermesh

#endif  // PEERMESH_MESH_BASE_SUBJECT_H_
