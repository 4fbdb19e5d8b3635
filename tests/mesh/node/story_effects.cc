#include "tests/mesh/node/story_effects.h"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <variant>

#include "tests/mesh/node/story_frames.h"
#include "tests/mesh/node/story_large.h"
#include "tests/mesh/node/story_names.h"

namespace peermesh::node {
namespace {

using membership::Connection;
using membership::PeerView;
using membership::StateReason;

std::string InBrackets(const std::string& text) { return text.empty() ? "" : " (" + text + ")"; }

std::string Because(StateReason reason) { return InBrackets(membership::ToString(reason)); }

std::string PeerList(const std::vector<PeerId>& peers) {
  std::vector<std::string> names;
  for (const PeerId& peer : peers) names.push_back(ShowPeer(peer));
  return Join(names, ", ");
}

// State, connection, and what is known beside them.
std::string ShowRow(const PeerView& row) {
  std::string text = NameOf(kStateNames, row.state) + Because(row.reason);
  if (row.self) return text;
  text += ", " + NameOf(kConnectionNames, row.connection);
  if (row.direction != 0) text += row.direction == 1 ? " inbound" : " outbound";
  text += Because(row.connection_reason);
  if (row.round_trip) text += ", round trip " + ShowTime(*row.round_trip);
  return text;
}

std::string ShowNumberRanges(const Cast& cast, const std::vector<NumberRange>& ranges) {
  std::vector<std::string> parts;
  for (const NumberRange& range : ranges) {
    parts.push_back(cast.Channel(range.channel) + " " + ShowNumbers(range.first, range.last));
  }
  return Join(parts, ", ");
}

// The ids of subscriptions that each message of a delivery matched: "for 1+2".
std::vector<std::string> MatchedBy(const flow::Delivery& delivery) {
  std::vector<std::string> marks;
  auto id = delivery.matched.begin();
  for (std::size_t i = 0; i < delivery.items.size(); ++i) {
    const std::size_t count = delivery.matched_counts.empty() ? 1 : delivery.matched_counts.at(i);
    std::vector<std::string> ids;
    for (std::size_t k = 0; k < count; ++k) ids.push_back(std::to_string(id[k]));
    marks.push_back("for " + Join(ids, "+"));
    if (!delivery.matched_counts.empty()) id += static_cast<std::ptrdiff_t>(count);
  }
  return marks;
}

std::string ShowDelivery(const Cast& cast, const flow::Delivery& delivery) {
  const std::string from =
      "from " + ShowPeer(delivery.origin) + " epoch " + std::to_string(delivery.epoch) + ": ";
  if (delivery.is_gap()) {
    return from + "gap " + cast.Channel(delivery.channel) + " " +
           ShowNumbers(delivery.gap_from, delivery.gap_to) + " " + ToString(delivery.gap_reason);
  }
  return from + Join(ShowItems(delivery.batch, delivery.items, MatchedBy(delivery)), ", ");
}

struct EffectText {
  const Cast& cast;

  std::string operator()(const SendControl& wish) const {
    return Layout("SendControl " + cast.Link(wish.link), ShowControl(cast, wish.frame));
  }
  std::string operator()(const SendData& wish) const {
    return Layout("SendData " + cast.Link(wish.link), ShowData(cast, wish.frame));
  }
  std::string operator()(const ReadNext& wish) const { return "ReadNext " + cast.Link(wish.link); }
  std::string operator()(const Close& wish) const { return "Close " + cast.Link(wish.link); }
  std::string operator()(const Dial& wish) const {
    return "Dial " + std::to_string(wish.dial.value) + " " + wish.address +
           (wish.expected ? " for " + ShowPeer(*wish.expected) : " (seed)");
  }
  std::string operator()(const Deliver& wish) const {
    std::vector<std::string> parts;
    for (const flow::Delivery& delivery : wish.deliveries) {
      parts.push_back(ShowDelivery(cast, delivery));
    }
    return Layout("Deliver " + cast.App(wish.session), parts);
  }
  std::string operator()(const Answer& wish) const {
    std::string head = "Answer " + cast.Request(wish.request) + ":";
    std::vector<std::string> parts = {NameOf(kRefusalNames, wish.refusal)};
    if (*wish.limit != '\0') parts[0] += std::string(" ") + wish.limit;
    if (wish.retry_after != Duration{}) parts[0] += Retry(wish.retry_after);
    if (!wish.numbers.empty()) {
      parts[0] += " as " + ShowNumberRanges(cast, wish.numbers);
      parts.push_back(std::to_string(wish.interested_peers) + " interested");
    }
    if (!wish.unreachable.empty()) parts.push_back("unreachable " + PeerList(wish.unreachable));
    return Layout(std::move(head), parts);
  }
  std::string operator()(const Subscribed& wish) const {
    std::vector<std::string> ids;
    for (const std::uint32_t id : wish.ids) ids.push_back(std::to_string(id));
    std::string text = "Subscribed " + cast.App(wish.session) + ": " + Join(ids, ", ");
    if (!wish.unconfirmed.empty()) text += "; unconfirmed by " + PeerList(wish.unconfirmed);
    return text;
  }
  std::string operator()(const CloseSession& wish) const {
    return "CloseSession " + cast.App(wish.session) + " " + NameOf(kRefusalNames, wish.reason);
  }
  std::string operator()(const SignRecord& wish) const {
    return "SignRecord " + std::to_string(wish.incarnation) +
           ShowObserved(cast, wish.channels, wish.observers, wish.published);
  }
  std::string operator()(const SignPiece& wish) const {
    return "SignPiece " + ShowPiece(wish.piece);
  }
  std::string operator()(const SignStatement& wish) const {
    return "SignStatement " + ShowStatement(wish.statement);
  }
  std::string operator()(const Persist& wish) const {
    return "Persist " + ShowPeer(wish.record->id) + " " + std::to_string(wish.record->incarnation);
  }
  std::string operator()(const Forget& wish) const { return "Forget " + ShowPeer(wish.peer); }
  std::string operator()(const PeerChanged& wish) const {
    return "PeerChanged " + ShowPeer(wish.peer.id) +
           (wish.removed ? " removed" : ": " + ShowRow(wish.peer));
  }
  std::string operator()(const Note& note) const {
    std::string text = "Note " + NameOf(kNoteNames, note.kind);
    if (note.peer != PeerId{}) text += " " + ShowPeer(note.peer);
    if (note.session) text += " " + cast.App(note.session);
    if (note.link) text += " " + cast.Link(note.link);
    if (note.count > 0) text += " " + std::to_string(note.count);
    return text + InBrackets(Reason(note));
  }
  std::string operator()(const Drained&) const { return "Drained"; }
  std::string operator()(const Pinged& wish) const {
    std::string text = "Pinged " + std::to_string(wish.request.value);
    if (wish.peer != PeerId{}) text += " " + ShowPeer(wish.peer);
    text += ": " + NameOf(kRefusalNames, wish.refusal);
    if (wish.refusal == Refusal::kNone) text += " in " + ShowTime(wish.round_trip);
    return wish.retry_after == Duration{} ? text : text + Retry(wish.retry_after);
  }

  static std::string Retry(Duration after) {
    return after == Duration::max() ? ", never" : ", retry in " + ShowTime(after);
  }
  static std::string Reason(const Note& note) {
    if (note.reason == 0) return {};
    switch (note.kind) {
      case NoteKind::kDialFailed:
        return NameOf(kDialFailureNames, static_cast<DialFailure>(note.reason));
      case NoteKind::kSessionSlow:
      case NoteKind::kLinkSlow:
      case NoteKind::kMessagesLost: return ToString(static_cast<LossReason>(note.reason));
      default: return membership::ToString(static_cast<StateReason>(note.reason));
    }
  }
};

}  // namespace

std::string ShowEffect(const Cast& cast, const Effect& effect) {
  return std::visit(EffectText{cast}, effect);
}

std::vector<std::string> ShowPeers(const std::vector<PeerView>& peers, Instant start) {
  std::size_t width = 0;
  for (const PeerView& row : peers) width = std::max(width, ShowPeer(row.id).size());
  std::vector<std::string> lines;
  for (const PeerView& row : peers) {
    std::string name = ShowPeer(row.id);
    name.resize(width, ' ');
    std::string text = name + "  " + ShowRow(row) + (row.self ? ", this peer" : "") + ", since " +
                       ShowTime(row.since - start);
    if (row.incarnation != 0) text += ", incarnation " + std::to_string(row.incarnation);
    if (row.epoch != 0) text += ", epoch " + std::to_string(row.epoch);
    for (const std::string& address : row.addresses) text += ", at " + address;
    lines.push_back(std::move(text));
  }
  return lines;
}

std::vector<std::string> ShowQueues(const Census& census) {
  // What a message costs beside its bytes is no part of a story: rounded to KiB.
  const auto kibi = [](std::uint64_t bytes) {
    return std::to_string((bytes + 512) / 1024) + "KiB";
  };
  return {"to links " + kibi(census.link_queue_bytes) + ", to applications " +
              kibi(census.session_queue_bytes),
          std::to_string(census.held_publishes) + " publishes held, " +
              std::to_string(census.withheld_links) + " links not read, " +
              std::to_string(census.slow_sessions) + " slow sessions"};
}

std::vector<std::string> ShowCounters(const Stats& stats) {
  const std::vector<std::pair<std::string, std::uint64_t>> single = {
      {"published_messages", stats.published_messages},
      {"delivered_messages", stats.delivered_messages},
      {"sent_messages", stats.sent_messages},
      {"received_messages", stats.received_messages},
      {"duplicates", stats.duplicates},
      {"publish_refused_rate", stats.publish_refused_rate},
      {"publish_refused_other", stats.publish_refused_other},
      {"publishes_held", stats.publishes_held},
      {"links_up", stats.links_up},
      {"links_down", stats.links_down},
      {"links_replaced", stats.links_replaced},
      {"dials", stats.dials},
      {"dials_failed", stats.dials_failed},
      {"interest_resyncs", stats.interest_resyncs},
      {"peer_misbehaved", stats.peer_misbehaved}};
  std::vector<std::string> lines;
  for (const auto& [name, value] : single) {
    if (value != 0) lines.push_back(name + " " + std::to_string(value));
  }
  const auto add = [&](const char* name, const auto& values) {
    for (std::size_t reason = 0; reason < values.size(); ++reason) {
      if (values[reason] == 0) continue;
      lines.push_back(std::string(name) + " " + ToString(static_cast<LossReason>(reason)) + " " +
                      std::to_string(values[reason]));
    }
  };
  add("lost_messages", stats.lost_messages);
  add("dropped_messages", stats.dropped_messages);
  return lines;
}

}  // namespace peermesh::node
