// Which patterns match a subject: a trie over tokens.
//
// Each pattern maps to a number chosen by the caller. A match walks at most two children per token
// (the token itself and `*`) and picks up `>` on the way; so a subject of 16 tokens costs at most
// 2^16 steps only if somebody subscribed to all of them, and the caller bounds the patterns
// (limits.h).
//
// Not thread-safe; owned by the node's turn.
#ifndef PEERMESH_MESH_ROUTING_SUBJECT_TREE_H_
#define PEERMESH_MESH_ROUTING_SUBJECT_TREE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace peermesh::routing {

class SubjectTree {
 public:
  // `pattern` must be valid and not in the tree.
  void Insert(std::string_view pattern, std::uint32_t value);
  // `pattern` must be in the tree.
  void Erase(std::string_view pattern);
  std::optional<std::uint32_t> Find(std::string_view pattern) const;

  // Appends the values of all matching patterns, each once.
  void Match(std::string_view subject, std::vector<std::uint32_t>& out) const;

  std::size_t size() const { return size_; }

 private:
  struct Node {
    std::map<std::string, std::unique_ptr<Node>, std::less<>> children;
    std::unique_ptr<Node> any;  // `*`
    std::optional<std::uint32_t> value;
    std::optional<std::uint32_t> tail;  // of the pattern that ends here with `>`

    bool unused() const { return children.empty() && any == nullptr && !value && !tail; }
  };
  static void MatchFrom(const Node& node, std::string_view rest, std::vector<std::uint32_t>& out);
  static void EraseFrom(Node& node, std::string_view rest);

  Node root_;
  std::size_t size_ = 0;
};

}  // namespace peermesh::routing

#endif  // PEERMESH_MESH_ROUTING_SUBJECT_TREE_H_
