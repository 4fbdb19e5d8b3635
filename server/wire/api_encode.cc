#include <algorithm>
#include <cstdint>

#include "mesh/base/check.h"
#include "mesh/base/limits.h"
#include "peermesh/v1/messaging.pb.h"
#include "peermesh/v1/peers.pb.h"
#include "server/wire/api.h"

namespace peermesh::wire {
namespace {

// GoAway has the same field number in both; built as one of them.
static_assert(int{v1::SubscribeResponse::kGoAwayFieldNumber} ==
              int{v1::ExchangeResponse::kGoAwayFieldNumber});
static_assert(int{v1::SubscribeResponse::kDeliveriesFieldNumber} ==
              int{v1::ExchangeResponse::kDeliveriesFieldNumber});
static_assert(int{v1::SubscribeResponse::kGapsFieldNumber} ==
              int{v1::ExchangeResponse::kGapsFieldNumber});

void Fill(const Accepted& accepted, v1::PublishResponse& out) {
  for (const node::NumberRange& range : accepted.numbers) {
    v1::NumberRange& numbers = *out.add_numbers();
    numbers.set_channel(range.channel);
    numbers.set_first(range.first);
    numbers.set_last(range.last);
  }
  out.set_interested_peers(accepted.interested_peers);
  for (const std::string& peer : accepted.unreachable_peers) out.add_unreachable_peers(peer);
}

void Fill(const std::vector<std::uint32_t>& ids, const std::vector<std::string>& unconfirmed,
          v1::Subscribed& out) {
  out.mutable_ids()->Add(ids.begin(), ids.end());
  for (const std::string& peer : unconfirmed) out.add_unconfirmed_peers(peer);
}

template <class Proto>
void SetDuration(Duration duration, Proto& out) {
  out.set_seconds(duration.count() / 1'000'000);
  out.set_nanos(static_cast<std::int32_t>(duration.count() % 1'000'000 * 1'000));
}

}  // namespace

std::string EncodePublishResponse(const Accepted& accepted) {
  v1::PublishResponse response;
  Fill(accepted, response);
  return response.SerializeAsString();
}

std::string EncodeSubscribeConfirmation(const std::vector<std::uint32_t>& ids,
                                        const std::vector<std::string>& unconfirmed_peers) {
  v1::SubscribeResponse response;
  Fill(ids, unconfirmed_peers, *response.mutable_subscribed());
  return response.SerializeAsString();
}

std::string EncodeGoAway(const std::string& reason, Duration grace) {
  v1::ExchangeResponse response;
  response.mutable_go_away()->set_reason(reason);
  SetDuration(grace, *response.mutable_go_away()->mutable_grace());
  return response.SerializeAsString();
}

std::string EncodeWelcome(std::uint64_t session, const std::string& peer_id,
                          const std::string& peer_name, const std::string& mesh_id) {
  v1::ExchangeResponse response;
  v1::Welcome& welcome = *response.mutable_welcome();
  welcome.set_session_id(session);
  welcome.set_peer_id(peer_id);
  welcome.set_peer_name(peer_name);
  welcome.set_mesh_id(mesh_id);
  welcome.set_max_message_bytes(kMaxMessageBytes);
  welcome.set_max_batch_messages(kMaxBatchMessages);
  return response.SerializeAsString();
}

std::string EncodeSubscribed(const std::vector<std::uint32_t>& ids,
                             const std::vector<std::string>& unconfirmed_peers) {
  v1::ExchangeResponse response;
  Fill(ids, unconfirmed_peers, *response.add_subscribed());
  return response.SerializeAsString();
}

std::string EncodePublished(std::uint64_t publish_id, const Accepted& accepted) {
  v1::ExchangeResponse response;
  v1::Published& published = *response.add_published();
  published.set_publish_id(publish_id);
  Fill(accepted, *published.mutable_accepted());
  return response.SerializeAsString();
}

std::string EncodePublishRefused(std::uint64_t publish_id, const RpcError& error) {
  v1::ExchangeResponse response;
  v1::Published& published = *response.add_published();
  published.set_publish_id(publish_id);
  PM_CHECK(published.mutable_error()->ParseFromString(error.details));
  return response.SerializeAsString();
}

std::string EncodePong(std::uint64_t ping) {
  v1::ExchangeResponse response;
  response.set_pong(ping);
  return response.SerializeAsString();
}

v1::Peer ToPeer(const membership::PeerView& row, WallTime since,
                const std::vector<PeerId>& accusers) {
  v1::Peer peer;
  peer.set_id(row.id.ToText());
  peer.set_name(row.name);
  for (const std::string& address : row.addresses) peer.add_addresses(address);
  peer.set_state(static_cast<v1::PeerState>(row.state));
  peer.set_reason(membership::ToString(row.reason));
  SetDuration(since.time_since_epoch(), *peer.mutable_since());
  peer.set_connection(static_cast<v1::ConnectionState>(row.connection));
  peer.set_connection_reason(membership::ToString(row.connection_reason));
  if (row.round_trip) SetDuration(*row.round_trip, *peer.mutable_round_trip_time());
  peer.set_link_direction(static_cast<v1::LinkDirection>(row.direction));
  peer.set_version(row.software);
  if (row.certificate_expiry != WallTime{}) {
    SetDuration(row.certificate_expiry.time_since_epoch(), *peer.mutable_certificate_expiry());
  }
  peer.set_incarnation(row.incarnation);
  peer.set_metrics_address(row.metrics_address);
  peer.set_self(row.self);
  for (std::size_t i = 0; i < std::min(accusers.size(), kMaxAccusersNamed); ++i) {
    peer.add_accusers(accusers[i].ToText());
  }
  return peer;
}

}  // namespace peermesh::wire
