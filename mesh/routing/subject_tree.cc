#include "mesh/routing/subject_tree.h"

#include <functional>
#include <string>

#include "absl/container/flat_hash_map.h"  // lint:allow(hash): for look-ups alone
#include "absl/hash/hash.h"
#include "absl/strings/string_view.h"
#include "mesh/base/check.h"
#include "mesh/base/subject.h"

namespace peermesh::routing {
namespace {

struct TextHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const {
    return absl::HashOf(absl::string_view(text.data(), text.size()));
  }
};

template <class Value>  // lint:allow(hash): a pure look-up, never iterated
using ByText = absl::flat_hash_map<std::string, Value, TextHash, std::equal_to<>>;

// Takes back memory after many patterns have gone.
template <class Value>
void Shrink(ByText<Value>& map) {
  constexpr std::size_t kWorthIt = 64;
  if (map.capacity() > kWorthIt && map.size() < map.capacity() / 8) map.rehash(0);
}

bool HasWildcard(std::string_view pattern) {
  return pattern.find_first_of("*>") != std::string_view::npos;
}

}  // namespace

struct SubjectTree::Node {
  ByText<std::unique_ptr<Node>> children;
  std::unique_ptr<Node> any;  // `*`
  std::optional<std::uint32_t> value;
  std::optional<std::uint32_t> tail;  // of the pattern that ends here with `>`

  bool unused() const { return children.empty() && any == nullptr && !value && !tail; }
  void MatchFrom(std::string_view rest, std::vector<std::uint32_t>& out) const;
  void EraseFrom(std::string_view rest);
};

struct SubjectTree::Patterns {
  ByText<std::uint32_t> exact;  // without wildcards
  Node root;                    // with wildcards
  std::size_t wildcards = 0;    // patterns below it
};

SubjectTree::SubjectTree() : patterns_(std::make_unique<Patterns>()) {}
SubjectTree::~SubjectTree() = default;
SubjectTree::SubjectTree(SubjectTree&&) noexcept = default;
SubjectTree& SubjectTree::operator=(SubjectTree&&) noexcept = default;

std::size_t SubjectTree::size() const { return patterns_->exact.size() + patterns_->wildcards; }

void SubjectTree::Insert(std::string_view pattern, std::uint32_t value) {
  PM_CHECK(IsValidPattern(pattern));
  if (!HasWildcard(pattern)) {
    const bool fresh = patterns_->exact.try_emplace(pattern, value).second;
    PM_CHECK(fresh);
    return;
  }
  Node* node = &patterns_->root;
  std::optional<std::uint32_t>* stored_value = nullptr;
  while (!pattern.empty()) {
    const std::string_view token = TakeToken(pattern);
    if (token == ">") {
      stored_value = &node->tail;
      break;
    }
    auto& child = token == "*" ? node->any : node->children.try_emplace(token).first->second;
    if (child == nullptr) child = std::make_unique<Node>();
    node = child.get();
  }
  if (stored_value == nullptr) stored_value = &node->value;
  PM_CHECK(!*stored_value);
  *stored_value = value;
  ++patterns_->wildcards;
}

void SubjectTree::Node::EraseFrom(std::string_view rest) {
  if (rest.empty()) {
    PM_CHECK(value);
    value.reset();
    return;
  }
  const std::string_view token = TakeToken(rest);
  if (token == ">") {
    PM_CHECK(tail);
    tail.reset();
  } else if (token == "*") {
    PM_CHECK(any != nullptr);
    any->EraseFrom(rest);
    if (any->unused()) any.reset();
  } else {
    const auto it = children.find(token);
    PM_CHECK(it != children.end());
    it->second->EraseFrom(rest);
    if (!it->second->unused()) return;
    children.erase(it);
    Shrink(children);
  }
}

void SubjectTree::Erase(std::string_view pattern) {
  if (HasWildcard(pattern)) {
    PM_CHECK(patterns_->wildcards > 0);
    patterns_->root.EraseFrom(pattern);
    --patterns_->wildcards;
  } else {
    const std::size_t erased = patterns_->exact.erase(pattern);
    PM_CHECK(erased == 1);
    Shrink(patterns_->exact);
  }
}

std::optional<std::uint32_t> SubjectTree::Find(std::string_view pattern) const {
  if (!HasWildcard(pattern)) {
    const auto it = patterns_->exact.find(pattern);
    return it == patterns_->exact.end() ? std::nullopt : std::optional(it->second);
  }
  const Node* node = &patterns_->root;
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

void SubjectTree::Node::MatchFrom(std::string_view rest, std::vector<std::uint32_t>& out) const {
  if (rest.empty()) {
    if (value) out.push_back(*value);
    return;
  }
  if (tail) out.push_back(*tail);
  if (children.empty() && any == nullptr) return;
  const std::string_view token = TakeToken(rest);
  if (!children.empty()) {
    if (const auto it = children.find(token); it != children.end())
      it->second->MatchFrom(rest, out);
  }
  if (any != nullptr) any->MatchFrom(rest, out);
}

void SubjectTree::Match(std::string_view subject, std::vector<std::uint32_t>& out) const {
  PM_CHECK(!subject.empty());
  if (const auto it = patterns_->exact.find(subject); it != patterns_->exact.end())
    out.push_back(it->second);
  patterns_->root.MatchFrom(subject, out);
}

}  // namespace peermesh::routing
