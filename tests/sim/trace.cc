#include "tests/sim/trace.h"

#include <iterator>
#include <type_traits>
#include <variant>

namespace peermesh::sim {
namespace {

using namespace node;

std::string Text(std::uint64_t number) { return std::to_string(number); }
std::string Of(LinkId link) { return " L" + Text(link.value); }
std::string Of(SessionId session) { return " S" + Text(session.value); }

std::string Describe(const membership::Statement& statement) {
  static const char* const kClaims[] = {"?", "gone", "back", "left"};
  return " [" + statement.observer.ToShortText() + " #" + Text(statement.number) + ": " +
         statement.subject.ToShortText() + " " + kClaims[static_cast<int>(statement.claim)] +
         (statement.past ? " long ago]" : "]");
}

std::string Describe(const overlay::Message& message) {
  static const char* const kNames[] = {" join",       " forward join", " neighbor",     " reply",
                                       " disconnect", " shuffle",      " shuffle reply"};
  static_assert(std::size(kNames) == std::variant_size_v<overlay::Message>);
  std::string text = kNames[message.index()];
  if (const auto* join = std::get_if<overlay::ForwardJoin>(&message)) {
    text += " " + join->joiner.ToShortText() + " ttl " + Text(join->ttl);
  } else if (const auto* reply = std::get_if<overlay::NeighborReply>(&message)) {
    text += reply->accepted ? " yes" : " no";
  } else if (const auto* shuffle = std::get_if<overlay::Shuffle>(&message)) {
    text += " ttl " + Text(shuffle->ttl);
  }
  return text;
}

std::string Describe(const std::vector<broadcast::Range>& ranges) {
  std::string text;
  for (const broadcast::Range& range : ranges) {
    text += " [" + range.stream.origin.ToShortText() + " c" + Text(range.stream.channel) + " " +
            Text(range.first) + ".." + Text(range.next) + "]";
  }
  return text;
}

std::string Describe(const broadcast::Message& message) {
  if (const auto* have = std::get_if<broadcast::IHave>(&message)) {
    return " have" + Describe(have->ranges);
  }
  if (const auto* graft = std::get_if<broadcast::Graft>(&message)) {
    return " graft" + Describe(graft->ranges);
  }
  if (const auto* positions = std::get_if<broadcast::Positions>(&message)) {
    return " positions" + Describe(positions->ranges) + (positions->last ? " last" : "");
  }
  return " prune " + Text(std::get<broadcast::Prune>(message).channels);
}

std::string Describe(const broadcast::Piece& piece) {
  return " [" + piece.stream.origin.ToShortText() + " c" + Text(piece.stream.channel) + " " +
         Text(piece.first) + ".." + Text(piece.next()) + " after " + Text(piece.after) + "]";
}

std::string Describe(const ControlFrame& frame) {
  static const char* const kNames[] = {"heartbeat", "snapshot", "delta",   "ack",     "request",
                                       "records",   "states",   "goodbye", "ready",   "statements",
                                       "hashes",    "rows",     "wanted",  "overlay", "broadcast"};
  static_assert(std::size(kNames) == std::variant_size_v<ControlFrame>);
  std::string text = kNames[frame.index()];
  if (const auto* snapshot = std::get_if<InterestSnapshot>(&frame)) {
    text += " g" + Text(snapshot->generation);
    for (const Interest& entry : snapshot->entries) text += " " + entry.pattern;
  } else if (const auto* delta = std::get_if<InterestDelta>(&frame)) {
    text += " g" + Text(delta->generation);
    for (const Interest& entry : delta->add) text += " +" + entry.pattern;
    for (const std::string& pattern : delta->remove) text += " -" + pattern;
  } else if (const auto* ack = std::get_if<InterestAck>(&frame)) {
    text += " g" + Text(ack->generation);
  } else if (const auto* goodbye = std::get_if<Goodbye>(&frame)) {
    text += " " + Text(static_cast<std::uint64_t>(goodbye->reason));
  } else if (const auto* statements = std::get_if<Statements>(&frame)) {
    for (const auto& statement : statements->statements) text += Describe(*statement);
  } else if (const auto* rows = std::get_if<TableRows>(&frame)) {
    text += " " + Text(rows->rows.size()) + " in " + Text(rows->parts.size()) + " parts";
  } else if (const auto* wanted = std::get_if<RecordsWanted>(&frame)) {
    text += " " + Text(wanted->ids.size());
  } else if (const auto* overlay = std::get_if<overlay::Message>(&frame)) {
    text += Describe(*overlay);
  } else if (const auto* broadcast = std::get_if<broadcast::Message>(&frame)) {
    text += Describe(*broadcast);
  }
  return text;
}

std::string Describe(const DataFrame& frame) {
  std::string text = "data";
  for (const flow::Run& run : frame.runs) {
    text += " [c" + Text(run.channel) + " " + Text(run.first) + ".." + Text(run.next);
    if (run.mark) text += " mark";
    if (run.lost > 0) text += " lost " + Text(run.lost);
    if (!run.items.empty()) text += " items " + Text(run.items.size());
    text += "]";
  }
  for (const Relayed& relayed : frame.relayed) {
    text += Describe(*relayed.piece) + " hops " + Text(relayed.hops);
  }
  return frame.end ? text + " end" : text;
}

std::string Describe(const flow::Delivery& delivery) {
  std::string text = " [" + delivery.origin.ToShortText() + " c" + Text(delivery.channel);
  if (delivery.is_gap())
    return text + " gap " + Text(delivery.gap_from) + ".." + Text(delivery.gap_to) + "]";
  for (const flow::Item& item : delivery.items) text += " " + Text(item.sequence);
  return text + "]";
}

struct Facts {
  std::string operator()(const LinkUp& up) const {
    return "link up" + Of(up.link) + " with " + up.name + (up.dial ? " out" : " in");
  }
  std::string operator()(const LinkDown& down) const {
    return "link down" + Of(down.link) + " why " + Text(static_cast<std::uint64_t>(down.why));
  }
  std::string operator()(const ControlIn& in) const {
    return "got" + Of(in.link) + " " + Describe(in.frame);
  }
  std::string operator()(const DataIn& in) const {
    return "got" + Of(in.link) + " " + Describe(in.frame);
  }
  std::string operator()(const SendDone& done) const {
    return "written" + Of(done.link) + (done.lane == Lane::kData ? " data" : " control");
  }
  std::string operator()(const DialFailed& failed) const {
    return "dial failed " + Text(failed.dial.value) + " why " +
           Text(static_cast<std::uint64_t>(failed.why));
  }
  std::string operator()(const SessionOpened& opened) const {
    return "opened" + Of(opened.session);
  }
  std::string operator()(const SessionClosed& closed) const {
    return "closed" + Of(closed.session);
  }
  std::string operator()(const Publish& publish) const {
    return "publish" + Of(publish.session) + " " + Text(publish.batch->rows.size()) + " messages";
  }
  std::string operator()(const Subscribe& subscribe) const {
    std::string text = "subscribe" + Of(subscribe.session);
    for (const Subscription& wanted : subscribe.subscriptions) text += " " + wanted.pattern;
    return text;
  }
  std::string operator()(const Unsubscribe& gone) const { return "unsubscribe" + Of(gone.session); }
  std::string operator()(const DeliverDone& done) const { return "read" + Of(done.session); }
  std::string operator()(const RecordSigned&) const { return "record signed"; }
  std::string operator()(const PieceSigned& piece) const {
    return "piece signed" + Describe(*piece.piece);
  }
  std::string operator()(const StatementSigned& statement) const {
    return "statement signed" + Describe(*statement.statement);
  }
  std::string operator()(const CredentialsRenewed&) const { return "credentials renewed"; }
  std::string operator()(const DrainRequested&) const { return "drain"; }
  std::string operator()(const Reconfigured& fresh) const {
    return "reconfigured " + Text(fresh.seeds.size()) + " seeds";
  }
  std::string operator()(const PingAsked& ping) const { return "ping " + ping.target; }
};

struct Wishes {
  std::string operator()(const SendControl& send) const {
    return "send" + Of(send.link) + " " + Describe(send.frame);
  }
  std::string operator()(const SendData& send) const {
    return "send" + Of(send.link) + " " + Describe(send.frame);
  }
  std::string operator()(const ReadNext& next) const { return "read next" + Of(next.link); }
  std::string operator()(const Close& close) const { return "close" + Of(close.link); }
  std::string operator()(const Dial& dial) const {
    return "dial " + Text(dial.dial.value) + " " + dial.address;
  }
  std::string operator()(const Deliver& deliver) const {
    std::string text = "deliver" + Of(deliver.session);
    for (const flow::Delivery& delivery : deliver.deliveries) text += Describe(delivery);
    return text;
  }
  std::string operator()(const Answer& answer) const {
    std::string text = "answer" + Of(answer.session);
    if (answer.refusal != Refusal::kNone)
      text += " refused " + Text(static_cast<std::uint64_t>(answer.refusal));
    for (const NumberRange& range : answer.numbers) {
      text += " c" + Text(range.channel) + " " + Text(range.first) + "-" + Text(range.last);
    }
    return text;
  }
  std::string operator()(const Subscribed& subscribed) const {
    return "subscribed" + Of(subscribed.session) + " without " +
           Text(subscribed.unconfirmed.size());
  }
  std::string operator()(const CloseSession& close) const { return "close" + Of(close.session); }
  std::string operator()(const SignRecord&) const { return "sign"; }
  std::string operator()(const SignPiece& sign) const { return "sign" + Describe(sign.piece); }
  std::string operator()(const SignStatement& sign) const {
    return "sign" + Describe(sign.statement);
  }
  std::string operator()(const Persist& persist) const {
    return "remember " + persist.record->name;
  }
  std::string operator()(const Forget&) const { return "forget"; }
  std::string operator()(const PeerChanged& changed) const {
    return "peer " + changed.peer.name + " " + Text(static_cast<std::uint64_t>(changed.peer.state));
  }
  std::string operator()(const Note& note) const {
    return "note " + Text(static_cast<std::uint64_t>(note.kind)) + " count " + Text(note.count);
  }
  std::string operator()(const Drained&) const { return "drained"; }
  std::string operator()(const Pinged&) const { return "pinged"; }
};

}  // namespace

std::string Describe(const Input& fact) { return std::visit(Facts{}, fact); }
std::string Describe(const Effect& wish) { return std::visit(Wishes{}, wish); }

}  // namespace peermesh::sim
