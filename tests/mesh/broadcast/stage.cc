#include "tests/mesh/broadcast/stage.h"

#include <variant>

namespace peermesh::broadcast {
namespace {

std::string NameOf(const PeerId& peer) {
  for (std::uint32_t number = 0; number < 200; ++number) {
    if (PeerOf(number) == peer) return std::to_string(number);
  }
  return "?";
}

std::string Span(std::uint64_t first, std::uint64_t last) {
  if (last + 1 == first) return " none";
  return " " + std::to_string(first) + (last > first ? "-" + std::to_string(last) : "");
}

std::string Spans(const std::vector<Range>& ranges) {
  std::string text;
  for (const Range& range : ranges) text += Span(range.first, range.next - 1);
  return text;
}

}  // namespace

std::string StageTest::Text(const Wish& wish) {
  if (const auto* push = std::get_if<Push>(&wish))
    return "push " + NameOf(push->peer) + Span(push->piece->first, push->piece->next() - 1);
  if (const auto* deliver = std::get_if<Deliver>(&wish))
    return "deliver" + Span(deliver->first, deliver->piece->next() - 1);
  if (const auto* missing = std::get_if<Missing>(&wish))
    return "missing" + Span(missing->from, missing->to);
  const Send& send = std::get<Send>(wish);
  const std::string to = NameOf(send.peer);
  if (const auto* have = std::get_if<IHave>(&send.message))
    return "have " + to + Spans(have->ranges);
  if (const auto* graft = std::get_if<Graft>(&send.message))
    return "graft " + to + Spans(graft->ranges);
  if (std::holds_alternative<Prune>(send.message)) return "prune " + to;
  const Positions& positions = std::get<Positions>(send.message);
  return "positions " + to + Spans(positions.ranges) + (positions.last ? " last" : "");
}

}  // namespace peermesh::broadcast
