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

v1::GetPeerResponse PeerResponse(const node::PeerDetail& detail,
                                 const std::map<PeerId, std::string>& names) {
  v1::GetPeerResponse response;
  *response.mutable_peer() = wire::ToPeer(detail.row, driver::ToWall(detail.row.since));
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
  for (const PeerId& id : detail.linked_to) {
    v1::PeerReference& out = *response.add_linked_to();
    out.set_id(id.ToText());
    if (const auto name = names.find(id); name != names.end()) out.set_name(name->second);
  }
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
