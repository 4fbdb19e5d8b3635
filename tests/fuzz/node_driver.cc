#include "tests/fuzz/node_driver.h"

#include <iterator>
#include <utility>

#include "mesh/base/check.h"
#include "mesh/routing/subject.h"
#include "server/wire/api.h"
#include "server/wire/control.h"
#include "server/wire/data.h"
#include "server/wire/signed_record.h"
#include "server/wire/statement.h"

namespace peermesh::fuzz {
namespace {

constexpr int kMostWakes = 64;  // at one instant; several timers may be due one after the other

PeerId PeerOf(std::uint8_t who) {
  PeerId id;
  id.bytes[0] = static_cast<std::uint8_t>(1 + who % 4);
  return id;
}

PeerId Self() {
  PeerId id;
  id.bytes[0] = 3;  // between the others: both sides of every comparison of ids
  id.bytes[1] = 1;
  return id;
}

std::string Encoded(const membership::Statement& statement) {
  return wire::EncodeSignedStatement(wire::EncodeStatementBody(statement), "signature");
}

template <class Map>
auto AnyKey(const Map& map, std::uint8_t who) {
  using Key = typename Map::key_type;
  return map.empty() ? Key{} : std::next(map.begin(), who % map.size())->first;
}

}  // namespace

NodeDriver::NodeDriver(bool large) {
  node::Config config;
  config.self = Self();
  config.name = "self";
  config.epoch = 1000;
  config.seeds = {"seed:1"};
  config.limits.subscribes = limits::Rate::PerSecond(1000, 10);
  config.limits.application_messages = limits::Rate::PerSecond(1000, 50);
  config.limits.peer_messages = limits::Rate::PerSecond(100, 5);
  if (large) config.shape.full_mesh_peers = 3;
  auto node = node::Node::Create(std::move(config), Rng({1, 2, 3, 4}), now_);
  PM_CHECK(node.ok());
  node_ = *std::move(node);
  Advance({});
}

void NodeDriver::Step(Parts& parts) {
  const std::uint8_t what = parts.Byte();
  const std::uint8_t who = parts.Byte();
  switch (what) {
    case 'c': return ControlCame(AnyLink(who), parts.Text());
    case 'd': return DataCame(AnyLink(who), parts.Text());
    case 'r': return RecordsCame(AnyLink(who), parts);
    case 'k': return StatementCame(AnyLink(who), parts);
    case 'u': return LinkCame(who, parts);
    case 'n': {
      const LinkId link = AnyLink(who);
      if (!links_.erase(link)) return;
      return Handle(node::LinkDown{link, static_cast<node::DownReason>(1 + who % 5)});
    }
    case 'w': return Wrote(AnyLink(who), node::Lane::kControl);
    case 'W': return Wrote(AnyLink(who), node::Lane::kData);
    case 'f': {
      if (dials_.empty()) return;
      const DialId dial = *std::next(dials_.begin(), who % dials_.size());
      dials_.erase(dial);
      return Handle(node::DialFailed{dial, static_cast<node::DialFailure>(1 + who % 7)});
    }
    case 't': return Advance(std::chrono::milliseconds(20) * who);
    case 'o': {
      const SessionId session{next_id_++};
      sessions_.emplace(session, Session{});
      return Handle(node::SessionOpened{session, PrincipalId{1ull + who % 2}});
    }
    case 'e': {
      const SessionId session = AnySession(who);
      if (!sessions_.erase(session)) return;
      return Handle(node::SessionClosed{session});
    }
    case 'p': return Published(AnySession(who), parts.Text());
    case 's': return Subscribed(AnySession(who), parts);
    case 'v': {
      const SessionId session = AnySession(who);
      if (session) Handle(node::Unsubscribe{session, {parts.Byte()}});
      return;
    }
    case 'D': return Delivered(AnySession(who));
    case 'R': return Handle(node::CredentialsRenewed{});
    case 'q':
      if (who == 'q') Handle(node::DrainRequested{now_ + std::chrono::seconds(2)});
      return;
    case 'S': {
      if (to_sign_.empty()) return;
      node::PeerRecord own;
      own.id = Self();
      own.incarnation = to_sign_.back();
      own.name = "self";
      own.encoded = wire::EncodeSignedRecord("record", "signature", "certificate");
      to_sign_.clear();
      return Handle(node::RecordSigned{std::move(own)});
    }
    case 'P': {
      if (pieces_to_sign_.empty()) return;
      broadcast::Piece piece = std::move(pieces_to_sign_.front());
      pieces_to_sign_.pop_front();
      piece.signature = "signature";
      return Handle(node::PieceSigned{std::make_shared<const broadcast::Piece>(std::move(piece))});
    }
    case 'K': {
      if (statements_to_sign_.empty()) return;
      membership::Statement statement = std::move(statements_to_sign_.front());
      statements_to_sign_.pop_front();
      statement.encoded = Encoded(statement);
      return Handle(node::StatementSigned{
          std::make_shared<const membership::Statement>(std::move(statement))});
    }
    default: return;
  }
}

void NodeDriver::ControlCame(LinkId link, std::string_view bytes) {
  if (!link) return;
  const auto received = wire::DecodeControl(bytes);
  if (!received.ok()) return;
  if (const auto* frame = std::get_if<node::ControlFrame>(&*received)) {
    Handle(node::ControlIn{link, *frame});
  }
}

void NodeDriver::DataCame(LinkId link, std::string_view bytes) {
  const auto at = links_.find(link);
  if (at == links_.end() || !at->second.reading) return;
  auto received = wire::DecodeData(std::make_shared<const std::string>(bytes));
  if (!received.ok()) return;
  // As if the others had been verified: anybody signs anything.
  std::erase_if(received->frame.relayed,
                [](const auto& relayed) { return relayed.piece->stream.origin == Self(); });
  at->second.reading = false;
  Handle(node::DataIn{link, std::move(received->frame)});
}

// As if they had been verified: of anybody, of any age.
void NodeDriver::RecordsCame(LinkId link, Parts& parts) {
  if (!link) return;
  node::PeerRecord record;
  record.id = PeerOf(parts.Byte());
  record.incarnation = parts.Byte();
  record.name = "peer";
  record.epoch = parts.Byte();
  const std::string_view address = parts.Text();
  if (!address.empty()) record.addresses.emplace_back(address.substr(0, kMaxAddressBytes));
  const std::uint8_t large = parts.Byte();
  record.channels = large;
  for (std::uint8_t who = 0; who < 4 && large != 0; ++who) {
    const PeerId observer = PeerOf(who);
    if (observer != record.id) record.observers.push_back(membership::ObserverKey(observer));
  }
  record.encoded = wire::EncodeSignedRecord("record", "signature", "certificate");
  Handle(node::ControlIn{link, node::PeerRecords{{std::move(record)}}});
}

void NodeDriver::StatementCame(LinkId link, Parts& parts) {
  if (!link) return;
  membership::Statement statement;
  statement.observer = PeerOf(parts.Byte());
  statement.subject = PeerOf(parts.Byte());
  statement.incarnation = parts.Byte();
  statement.number = parts.Byte();
  const std::uint8_t claim = parts.Byte();
  statement.claim = static_cast<membership::Claim>(1 + claim % 3);
  statement.past = claim >= 128;
  statement.reason = static_cast<membership::StateReason>(parts.Byte() % 14);
  statement.encoded = Encoded(statement);
  Handle(node::ControlIn{
      link, node::Statements{{std::make_shared<const membership::Statement>(statement)}}});
}

void NodeDriver::LinkCame(std::uint8_t who, Parts& parts) {
  node::LinkUp up;
  up.link = LinkId{next_id_++};
  up.peer = PeerOf(who);
  up.epoch = 1 + parts.Byte() % 3;
  up.dial_count = parts.Byte();
  up.name = "peer";
  if (who >= 128 && !dials_.empty()) {
    up.direction = node::Direction::kOutbound;
    up.dial = *dials_.begin();
    dials_.erase(dials_.begin());
  }
  if (who % 8 >= 4) up.expires = now_ + std::chrono::seconds(10);
  if (std::exchange(epochs_[up.peer], up.epoch) != up.epoch) ++generations_[up.peer];
  links_[up.link].peer = up.peer;
  Handle(std::move(up));
}

void NodeDriver::Wrote(LinkId link, node::Lane lane) {
  const auto at = links_.find(link);
  if (at == links_.end()) return;
  bool& out = lane == node::Lane::kControl ? at->second.control_out : at->second.data_out;
  if (std::exchange(out, false)) Handle(node::SendDone{link, lane});
}

void NodeDriver::Published(SessionId id, std::string_view bytes) {
  Session* session = Find(id);
  if (session == nullptr || session->publishing) return;
  const auto request = wire::DecodePublish(std::make_shared<const std::string>(bytes));
  if (!request.ok()) return;
  session->publishing = true;
  Handle(node::Publish{RequestId{next_id_++}, id, request->batch, {}, request->target});
}

void NodeDriver::Subscribed(SessionId id, Parts& parts) {
  node::Subscription wanted;
  wanted.id = 1u + parts.Byte();
  const std::uint8_t kind = parts.Byte();
  wanted.on_overflow = static_cast<OnOverflow>(1 + kind % 3);
  wanted.block_timeout = std::chrono::milliseconds(10) * kind;
  wanted.pattern = parts.Text();
  if (!id || !IsValidPattern(wanted.pattern)) return;
  Handle(node::Subscribe{RequestId{next_id_++}, id, {std::move(wanted)}});
}

void NodeDriver::Delivered(SessionId id) {
  Session* session = Find(id);
  if (session == nullptr || !std::exchange(session->delivering, false)) return;
  Handle(node::DeliverDone{id});
}

void NodeDriver::Handle(node::Input input) {
  node::Effects out;
  node_->Handle(now_, std::move(input), out);
  Collect(out);
}

void NodeDriver::Advance(Duration by) {
  now_ += by;
  for (int wakes = 0; node_->NextWake() <= now_; ++wakes) {
    PM_CHECK(wakes < kMostWakes);
    node::Effects out;
    node_->Wake(now_, out);
    Collect(out);
  }
}

void NodeDriver::Collect(node::Effects& out) {
  node_->CheckInvariants();
  for (node::Effect& effect : out) {
    std::visit([this](auto& wish) { Take(wish); }, effect);
  }
}

void NodeDriver::Take(node::SendControl& wish) {
  const std::string bytes = wire::EncodeControl(wish.frame);
  PM_CHECK(bytes.size() <= kMaxControlFrameBytes);
  const auto at = links_.find(wish.link);
  if (at != links_.end()) PM_CHECK(!std::exchange(at->second.control_out, true));
}

void NodeDriver::Take(node::SendData& wish) {
  const auto bytes = std::make_shared<const std::string>(wire::EncodeData(wish.frame).Flat());
  PM_CHECK(wire::DecodeData(bytes).ok());
  const auto at = links_.find(wish.link);
  if (at != links_.end()) PM_CHECK(!std::exchange(at->second.data_out, true));
}

void NodeDriver::Take(node::ReadNext& wish) {
  const auto at = links_.find(wish.link);
  if (at != links_.end()) PM_CHECK(!std::exchange(at->second.reading, true));
}

void NodeDriver::Take(node::Dial& wish) { PM_CHECK(dials_.insert(wish.dial).second); }

void NodeDriver::Take(node::Answer& wish) {
  if (Session* session = Find(wish.session)) session->publishing = false;
}

void NodeDriver::Take(node::SignRecord& wish) { to_sign_.push_back(wish.incarnation); }

void NodeDriver::Take(node::SignPiece& wish) {
  PM_CHECK(wish.piece.IsWellFormed() && wish.piece.stream.origin == Self());
  pieces_to_sign_.push_back(std::move(wish.piece));
}

void NodeDriver::Take(node::SignStatement& wish) {
  PM_CHECK(wish.statement.observer == Self());
  statements_to_sign_.push_back(std::move(wish.statement));
}

void NodeDriver::Take(node::Deliver& wish) {
  Session* session = Find(wish.session);
  if (session != nullptr) PM_CHECK(!std::exchange(session->delivering, true));
  PM_CHECK(!wish.deliveries.empty());
  for (const flow::Delivery& delivery : wish.deliveries) {
    std::uint64_t& last = seen_[{wish.session, delivery.origin, delivery.epoch,
                                 generations_[delivery.origin], delivery.channel}];
    for (const flow::Item& item : delivery.items) {
      PM_CHECK(item.sequence > last);
      last = item.sequence;
    }
    if (delivery.is_gap()) PM_CHECK(delivery.gap_from > 0 && delivery.gap_from <= delivery.gap_to);
  }
  const std::string bytes =
      wire::EncodeDeliveries(wish.deliveries, [](const PeerId&) { return "peer"; }).Flat();
  PM_CHECK(!bytes.empty());
}

LinkId NodeDriver::AnyLink(std::uint8_t who) const { return AnyKey(links_, who); }
SessionId NodeDriver::AnySession(std::uint8_t who) const { return AnyKey(sessions_, who); }

NodeDriver::Session* NodeDriver::Find(SessionId session) {
  const auto at = sessions_.find(session);
  return at == sessions_.end() ? nullptr : &at->second;
}

void NodeDriver::End() {
  while (!sessions_.empty()) {
    const SessionId session = sessions_.begin()->first;
    sessions_.erase(session);
    Handle(node::SessionClosed{session});
  }
  while (!links_.empty()) {
    const LinkId link = links_.begin()->first;
    links_.erase(link);
    Handle(node::LinkDown{link, node::DownReason::kTransport});
  }
  Advance(std::chrono::minutes(1));
  const node::Census census = node_->TakeCensus();
  PM_CHECK(census.links == 0 && census.sessions == 0 && census.subscriptions == 0);
  PM_CHECK(census.patterns == 0 && census.link_queue_bytes == 0);
  PM_CHECK(census.session_queue_bytes == 0 && census.held_publishes == 0);
}

}  // namespace peermesh::fuzz
