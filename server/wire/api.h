// Frames of applications: Publish, Subscribe and Exchange, and rows of the peer table.
//
// What applications send is walked by hand and completely: one bad message refuses its batch, and
// what is let through is forwarded as it came. What they get is built by splicing messages behind
// the runs that describe them. Subscribe and Exchange responses use the same field numbers for the
// same things, and protobuf merges concatenated messages, so frames of one stream may simply be
// appended to each other, as long as at most one of them holds deliveries (positions of gaps count
// from the frame's first message).
//
// A frame may hold kMaxPublishBytes. Thread-safe.
#ifndef PEERMESH_SERVER_WIRE_API_H_
#define PEERMESH_SERVER_WIRE_API_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mesh/base/batch.h"
#include "mesh/base/id.h"
#include "mesh/base/time.h"
#include "mesh/flow/run.h"
#include "mesh/membership/members.h"
#include "mesh/node/effect.h"
#include "mesh/node/input.h"
#include "server/wire/errors.h"
#include "server/wire/pieces.h"
#include "server/wire/result.h"

namespace peermesh::v1 {
class Peer;
}  // namespace peermesh::v1

namespace peermesh::wire {

// ExchangeHello.client: what a table can show.
inline constexpr std::size_t kMaxClientLabelBytes = 64;
inline constexpr std::size_t kMaxTargetBytes = 63;  // a name; ids are shorter

// --- From applications ---------------------------------------------------------------------------

struct PublishRequest {
  std::string target;
  BatchRef batch;  // never null
};
Result<PublishRequest> DecodePublish(std::shared_ptr<const std::string> bytes);

// The subscriptions, numbered 1, 2, ... in order; at least one.
Result<std::vector<node::Subscription>> DecodeSubscribe(std::string_view bytes);

struct ExchangeFrame {
  std::optional<std::string> hello;  // the client's label
  std::vector<node::Subscription> subscribe;
  std::vector<std::uint32_t> unsubscribe;
  std::uint64_t ping = 0;  // 0: none
  std::uint64_t publish_id = 0;
  std::string target;
  BatchRef batch;  // null: no messages, or refused
  // The messages broke a rule: the batch is to be refused (EncodePublishRefused), the stream goes
  // on.
  std::optional<RpcError> refused;
};
// An error here ends the stream: nothing after a broken frame can be trusted.
Result<ExchangeFrame> DecodeExchange(std::shared_ptr<const std::string> bytes);

// --- To applications -----------------------------------------------------------------------------

// A SubscribeResponse or ExchangeResponse. `names` tells a peer's name; called once for each run of
// one origin.
Pieces EncodeDeliveries(std::span<const flow::Delivery> deliveries,
                        const std::function<std::string(const PeerId&)>& names);

// What a publish came to.
struct Accepted {
  std::vector<node::NumberRange> numbers;
  std::uint32_t interested_peers = 0;
  std::vector<std::string> unreachable_peers;  // ids, text
};
// A PublishResponse.
std::string EncodePublishResponse(const Accepted& accepted);

// SubscribeResponses.
std::string EncodeSubscribeConfirmation(const std::vector<std::uint32_t>& ids,
                                        const std::vector<std::string>& unconfirmed_peers);
// SubscribeResponse or ExchangeResponse.
std::string EncodeGoAway(const std::string& reason, Duration grace);

// ExchangeResponses.
std::string EncodeWelcome(std::uint64_t session, const std::string& peer_id,
                          const std::string& peer_name, const std::string& mesh_id);
std::string EncodeSubscribed(const std::vector<std::uint32_t>& ids,
                             const std::vector<std::string>& unconfirmed_peers);
std::string EncodePublished(std::uint64_t publish_id, const Accepted& accepted);
std::string EncodePublishRefused(std::uint64_t publish_id, const RpcError& error);
std::string EncodePong(std::uint64_t ping);

// A row of the peer table. `since` is `row.since` by the wall clock.
// At most kMaxAccusersNamed of the accusers are named: enough to act on.
inline constexpr std::size_t kMaxAccusersNamed = 16;
v1::Peer ToPeer(const membership::PeerView& row, WallTime since,
                const std::vector<PeerId>& accusers = {});

}  // namespace peermesh::wire

#endif  // PEERMESH_SERVER_WIRE_API_H_
