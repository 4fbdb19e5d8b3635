#include "tests/sim/replay.h"

#include <cstdio>
#include <memory>
#include <variant>

#include "tests/sim/trace.h"

namespace peermesh::sim {
namespace {

std::string AtSecond(Duration since) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.6f s", static_cast<double>(since.count()) / 1e6);
  return text;
}

class Repeater {
 public:
  Repeater(const ReplayOptions& options, Replayed& result, std::unique_ptr<node::Node> node)
      : options_(options), result_(result), node_(std::move(node)) {}

  void Apply(journal::Turn turn) {
    if (turn.wishes_before != wishes_.value()) return Differs("the node wished something else");
    ++result_.turns;
    result_.span = turn.now - result_.start.now;
    if (options_.before_turn) options_.before_turn(result_.turns);
    effects_.clear();
    if (turn.woke) node_->Wake(turn.now, effects_);
    const bool trace = options_.trace && result_.span >= options_.trace->first &&
                       result_.span < options_.trace->second;
    if (trace && turn.woke) Print("wakes");
    for (node::Input& fact : turn.facts) {
      ++result_.facts;
      if (trace) Print(Describe(fact));
      node_->Handle(turn.now, std::move(fact), effects_);
    }
    if (trace) {
      for (const node::Effect& wish : effects_) Print("  -> " + Describe(wish));
    }
    wishes_.Add(effects_);
  }

  void Apply(const journal::Mark& mark) {
    ++result_.marks;
    result_.ended |= mark.last;
    if (mark.wishes != wishes_.value()) return Differs("the node wished something else");
    if (mark.state != node_->Digest()) return Differs("the node has another state");
  }

  void Finish() {
    node_->CheckInvariants();
    result_.stats = node_->stats();
    result_.digest =
        journal::DigestOf({.wishes = wishes_.value(), .state = node_->Digest(), .last = true});
  }

 private:
  void Print(const std::string& what) const { options_.print(AtSecond(result_.span) + " " + what); }
  void Differs(const char* how) {
    result_.difference = std::string(how) + " in turn " + std::to_string(result_.turns) + ", " +
                         AtSecond(result_.span) + " after the start";
  }

  const ReplayOptions& options_;
  Replayed& result_;
  const std::unique_ptr<node::Node> node_;
  node::Effects effects_;
  journal::WishDigest wishes_;
};

}  // namespace

absl::StatusOr<Replayed> Replay(const std::string& path, const ReplayOptions& options) {
  auto reader = journal::Reader::Open(path);
  if (!reader.ok()) return reader.status();
  Replayed result;
  result.start = reader->start();
  auto node = node::Node::Create(result.start.config, Rng(result.start.seed), result.start.now);
  if (!node.ok()) return node.status();
  Repeater repeater(options, result, std::move(*node));
  while (result.difference.empty()) {
    auto entry = reader->Next();
    if (!entry.ok()) return entry.status();
    if (!entry->has_value()) break;
    if (auto* turn = std::get_if<journal::Turn>(&**entry)) {
      repeater.Apply(std::move(*turn));
    } else if (const auto* mark = std::get_if<journal::Mark>(&**entry)) {
      repeater.Apply(*mark);
    }
  }
  result.torn = reader->torn();
  repeater.Finish();
  return result;
}

}  // namespace peermesh::sim
