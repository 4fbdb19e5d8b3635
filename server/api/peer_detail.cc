#include "server/api/peer_detail.h"

#include "server/driver/driver.h"
#include "server/wire/api.h"

namespace peermesh::api {
namespace {

constexpr std::int64_t kSecond = 1'000'000;

void Set(WallTime time, google::protobuf::Timestamp& out) {
  const std::int64_t us = time.time_since_epoch().count();
  out.set_seconds(us / kSecond);
  out.set_nanos(static_cast<std::int32_t>(us % kSecond * 1000));
}

v1::LinkDirection DirectionOf(const node::LinkView& link) {
  return link.direction == node::Direction::kInbound ? v1::LINK_DIRECTION_INBOUND
                                                     : v1::LINK_DIRECTION_OUTBOUND;
}

}  // namespace

std::vector<PeerId> AccusersOf(const node::Node& node, const membership::PeerView& row) {
  std::vector<PeerId> accusers;
  const bool lost = row.state == membership::State::kSuspect ||
                    row.state == membership::State::kDead ||
                    row.state == membership::State::kUnreachable;
  if (!lost || row.self) return accusers;
  const auto detail = node.Detail(row.id);
  if (!detail) return accusers;
  for (const membership::Quorum::Voice& voice : detail->accusers) {
    accusers.push_back(voice.observer);
  }
  return accusers;
}

v1::GetPeerResponse PeerResponse(const node::PeerDetail& detail,
                                 const std::map<PeerId, std::string>& names) {
  v1::GetPeerResponse response;
  std::vector<PeerId> accusers;
  for (const membership::Quorum::Voice& voice : detail.accusers) {
    accusers.push_back(voice.observer);
  }
  *response.mutable_peer() = wire::ToPeer(detail.row, driver::ToWall(detail.row.since), accusers);
  response.set_epoch(detail.row.epoch);
  for (const node::LinkView& link : detail.links) {
    v1::PeerLink& out = *response.add_links();
    out.set_direction(DirectionOf(link));
    Set(driver::ToWall(link.since), *out.mutable_since());
    Set(driver::ToWall(link.last_heard), *out.mutable_last_heard());
    if (link.expires != kNever)
      Set(driver::ToWall(link.expires), *out.mutable_certificate_expiry());
    out.set_heartbeats(link.heartbeats);
    out.set_carries_data(link.carries_data);
  }
  response.set_interest_known(detail.interest_known);
  response.set_patterns(static_cast<std::uint32_t>(detail.patterns));
  response.set_interest_confirmed(detail.interest_confirmed);
  response.set_queued_bytes(detail.queued_bytes);
  const auto refer = [&](const PeerId& id, v1::PeerReference& out) {
    out.set_id(id.ToText());
    if (const auto name = names.find(id); name != names.end()) out.set_name(name->second);
  };
  for (const PeerId& id : detail.linked_to) refer(id, *response.add_linked_to());
  for (const membership::Quorum::Voice& voice : detail.accusers) {
    v1::PeerAccuser& out = *response.add_accusers();
    refer(voice.observer, *out.mutable_peer());
    out.set_reason(membership::ToString(voice.reason));
    Set(driver::ToWall(voice.since), *out.mutable_since());
    out.set_counts(voice.counts);
  }
  response.set_neighbor(detail.neighbor);
  return response;
}

v1::PingPeerResponse PingResponse(const node::Pinged& answer, const std::string& name) {
  v1::PingPeerResponse response;
  response.mutable_peer()->set_id(answer.peer.ToText());
  response.mutable_peer()->set_name(name);
  const std::int64_t us = answer.round_trip.count();
  response.mutable_round_trip_time()->set_seconds(us / kSecond);
  response.mutable_round_trip_time()->set_nanos(static_cast<std::int32_t>(us % kSecond * 1000));
  return response;
}

}  // namespace peermesh::api
