#include "mesh/routing/subject_tree.h"

#include "mesh/base/check.h"
#include "mesh/routing/subject.h"

namespace peermesh::routing {

void SubjectTree::Insert(std::string_view pattern, std::uint32_t value) {
  PM_CHECK(IsValidPattern(pattern));
  Node* node = &root_;
  while (!pattern.empty()) {
    const std::string_view token = TakeToken(pattern);
    auto it = node->children.find(token);
    if (it == node->children.end()) {
      it = node->children.emplace(std::string(token), std::make_unique<Node>()).first;
    }
    node = it->second.get();
  }
  PM_CHECK(!node->value);
  node->value = value;
  ++size_;
}

bool SubjectTree::EraseFrom(Node& node, std::string_view rest) {
  if (rest.empty()) {
    PM_CHECK(node.value);
    node.value.reset();
  } else {
    const std::string_view token = TakeToken(rest);
    const auto it = node.children.find(token);
    PM_CHECK(it != node.children.end());
    if (EraseFrom(*it->second, rest)) node.children.erase(it);
  }
  return !node.value && node.children.empty();
}

void SubjectTree::Erase(std::string_view pattern) {
  PM_CHECK(!pattern.empty() && size_ > 0);
  EraseFrom(root_, pattern);
  --size_;
}

std::optional<std::uint32_t> SubjectTree::Find(std::string_view pattern) const {
  const Node* node = &root_;
  while (!pattern.empty()) {
    const auto it = node->children.find(TakeToken(pattern));
    if (it == node->children.end()) return std::nullopt;
    node = it->second.get();
  }
  return node->value;
}

void SubjectTree::MatchFrom(const Node& node, std::string_view rest,
                            std::vector<std::uint32_t>& out) {
  if (rest.empty()) {
    if (node.value) out.push_back(*node.value);
    return;
  }
  if (const auto tail = node.children.find(std::string_view(">")); tail != node.children.end()) {
    PM_CHECK(tail->second->value);
    out.push_back(*tail->second->value);
  }
  const std::string_view token = TakeToken(rest);
  if (const auto it = node.children.find(token); it != node.children.end()) {
    MatchFrom(*it->second, rest, out);
  }
  if (const auto any = node.children.find(std::string_view("*")); any != node.children.end()) {
    MatchFrom(*any->second, rest, out);
  }
}

void SubjectTree::Match(std::string_view subject, std::vector<std::uint32_t>& out) const {
  PM_CHECK(!subject.empty());
  MatchFrom(root_, subject, out);
}

}  // namespace peermesh::routing
