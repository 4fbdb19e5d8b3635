#include "mesh/routing/subject_tree.h"

#include "mesh/base/check.h"
#include "mesh/routing/subject.h"

namespace peermesh::routing {

void SubjectTree::Insert(std::string_view pattern, std::uint32_t value) {
  PM_CHECK(IsValidPattern(pattern));
  Node* node = &root_;
  std::optional<std::uint32_t>* stored_value = nullptr;
  while (!pattern.empty()) {
    const std::string_view token = TakeToken(pattern);
    if (token == ">") {
      stored_value = &node->tail;
      break;
    }
    const bool any = token == "*";
    auto& child = any ? node->any : node->children.try_emplace(std::string(token)).first->second;
    if (child == nullptr) child = std::make_unique<Node>();
    node = child.get();
  }
  if (stored_value == nullptr) stored_value = &node->value;
  PM_CHECK(!*stored_value);
  *stored_value = value;
  ++size_;
}

void SubjectTree::EraseFrom(Node& node, std::string_view rest) {
  if (rest.empty()) {
    PM_CHECK(node.value);
    node.value.reset();
    return;
  }
  const std::string_view token = TakeToken(rest);
  if (token == ">") {
    PM_CHECK(node.tail);
    node.tail.reset();
  } else if (token == "*") {
    PM_CHECK(node.any != nullptr);
    EraseFrom(*node.any, rest);
    if (node.any->unused()) node.any.reset();
  } else {
    const auto it = node.children.find(token);
    PM_CHECK(it != node.children.end());
    EraseFrom(*it->second, rest);
    if (it->second->unused()) node.children.erase(it);
  }
}

void SubjectTree::Erase(std::string_view pattern) {
  PM_CHECK(!pattern.empty() && size_ > 0);
  EraseFrom(root_, pattern);
  --size_;
}

std::optional<std::uint32_t> SubjectTree::Find(std::string_view pattern) const {
  const Node* node = &root_;
  while (!pattern.empty()) {
    const std::string_view token = TakeToken(pattern);
    if (token == ">") return node->tail;
    if (token == "*") {
      node = node->any.get();
    } else {
      const auto it = node->children.find(token);
      node = it == node->children.end() ? nullptr : it->second.get();
    }
    if (node == nullptr) return std::nullopt;
  }
  return node->value;
}

void SubjectTree::MatchFrom(const Node& node, std::string_view rest,
                            std::vector<std::uint32_t>& out) {
  if (rest.empty()) {
    if (node.value) out.push_back(*node.value);
    return;
  }
  if (node.tail) out.push_back(*node.tail);
  const std::string_view token = TakeToken(rest);
  if (!node.children.empty()) {
    if (const auto it = node.children.find(token); it != node.children.end())
      MatchFrom(*it->second, rest, out);
  }
  if (node.any != nullptr) MatchFrom(*node.any, rest, out);
}

void SubjectTree::Match(std::string_view subject, std::vector<std::uint32_t>& out) const {
  PM_CHECK(!subject.empty());
  MatchFrom(root_, subject, out);
}

}  // namespace peermesh::routing
