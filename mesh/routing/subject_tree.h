// Which patterns match a subject.
//
// Each pattern maps to a number chosen by the caller. Patterns without wildcards are looked up
// whole. The others are a trie over tokens: a match walks at most two children per token (the token
// itself and `*`) and picks up `>` on the way; so a subject of 16 tokens costs at most 2^16 steps
// only if somebody subscribed to all of them, and the caller bounds the patterns (limits.h).
//
// Both look up by hash, because with thousands of patterns every step of a sorted tree is a cache
// miss, and nothing ever walks them in order. The hash is salted in each process, so nobody can
// choose patterns that collide.
//
// Not thread-safe; owned by the node's turn.
#ifndef PEERMESH_MESH_ROUTING_SUBJECT_TREE_H_
#define PEERMESH_MESH_ROUTING_SUBJECT_TREE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

namespace peermesh::routing {

class SubjectTree {
 public:
  SubjectTree();
  ~SubjectTree();
  SubjectTree(SubjectTree&&) noexcept;
  SubjectTree& operator=(SubjectTree&&) noexcept;

  // `pattern` must be valid and not in the tree.
  void Insert(std::string_view pattern, std::uint32_t value);
  // `pattern` must be in the tree.
  void Erase(std::string_view pattern);
  std::optional<std::uint32_t> Find(std::string_view pattern) const;

  // Appends the values of all matching patterns, each once.
  void Match(std::string_view subject, std::vector<std::uint32_t>& out) const;

  std::size_t size() const;

 private:
  struct Node;
  struct Patterns;
  std::unique_ptr<Patterns> patterns_;
};

}  // namespace peermesh::routing

#endif  // PEERMESH_MESH_ROUTING_SUBJECT_TREE_H_
