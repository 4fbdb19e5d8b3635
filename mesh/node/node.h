// The mesh controller: discovery, membership, routing, flow and limits, wired together.
//
// A deterministic state machine. It is told facts and the time, and appends wishes; it has no
// clock, socket, thread, randomness source or log of its own. Same (config, seed, facts) gives the
// same wishes, byte for byte.
//
// Not thread-safe and never blocks: one turn at a time owns a Node. Everything a peer or an
// application can make grow is bounded in mesh/base/limits.h.
#ifndef PEERMESH_MESH_NODE_NODE_H_
#define PEERMESH_MESH_NODE_NODE_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "mesh/base/id.h"
#include "mesh/base/limits.h"
#include "mesh/base/loss.h"
#include "mesh/base/rng.h"
#include "mesh/base/time.h"
#include "mesh/broadcast/broadcast.h"
#include "mesh/membership/quorum.h"
#include "mesh/node/effect.h"
#include "mesh/node/input.h"

namespace peermesh::node {

// How a mesh is held together as it grows. Local policy: peers with different ones live together.
struct Shape {
  // Up to so many peers, this one included, everybody links to everybody.
  std::size_t full_mesh_peers = kFullMeshPeers;
  std::size_t table_peers = kMaxPeers;   // up to so many, everybody knows everybody
  std::size_t active = 8, passive = 64;  // views of the overlay beyond the full mesh
  std::size_t eager_parents = 1;         // 1 to 3: copies of each broadcast a peer gets
  Duration shuffle_every = std::chrono::seconds(30);
};

struct Config {
  PeerId self;
  std::string name;
  std::uint64_t epoch = 0;             // larger than in any earlier run
  std::vector<std::string> seeds;      // "host:port"
  std::vector<PeerRecord> remembered;  // from the last run
  Limits limits;
  Shape shape;
};

// Counters since start; metrics/ turns a copy into Prometheus series.
struct Stats {
  std::uint64_t published_messages = 0, published_bytes = 0;
  std::uint64_t delivered_messages = 0, delivered_bytes = 0;    // handed to sessions
  std::uint64_t sent_messages = 0, sent_bytes = 0;              // handed to links
  std::uint64_t received_messages = 0, received_bytes = 0;      // from links
  std::uint64_t duplicates = 0;                                 // numbers seen before, dropped
  std::array<std::uint64_t, kLossReasonCount> lost_messages{};  // announced as gaps to some session
  std::array<std::uint64_t, kLossReasonCount> dropped_messages{};  // queued here and thrown away
  std::uint64_t publish_refused_rate = 0, publish_refused_other = 0;
  std::uint64_t publishes_held = 0;  // times a publisher was held back
  std::uint64_t links_up = 0, links_down = 0, links_replaced = 0;
  std::uint64_t dials = 0, dials_failed = 0;
  std::uint64_t interest_resyncs = 0;
  std::uint64_t peer_misbehaved = 0;
  std::uint64_t statements_made = 0, statements_heard = 0, refutations = 0;
  std::uint64_t tables_compared = 0;
};

// What the node holds right now, counted by walking.
struct Census {
  std::size_t peers = 0, links = 0, sessions = 0, subscriptions = 0, patterns = 0;
  std::uint64_t link_queue_bytes = 0, session_queue_bytes = 0;
  std::size_t held_publishes = 0, withheld_links = 0, slow_sessions = 0;
  bool large = false;  // beyond the full mesh
  std::size_t neighbors = 0, passive = 0;
  std::uint64_t relay_queue_bytes = 0, cached_bytes = 0, waiting_bytes = 0;
  std::uint64_t table_bytes = 0;  // of the heap, for the member table and all that has its rows
};

// One link, for people.
struct LinkView {
  LinkId link;
  Direction direction = Direction::kInbound;
  Instant since{}, last_heard{};
  Instant expires = kNever;      // when the first of both certificates shown on it runs out
  std::uint64_t heartbeats = 0;  // sent
  bool carries_data = false;     // of two, one does
};

// Everything that is known of one peer.
struct PeerDetail {
  membership::PeerView row;
  std::vector<LinkView> links;      // two while one replaces the other
  bool interest_known = false;      // it has told what its applications subscribe to
  std::size_t patterns = 0;         // of these
  bool interest_confirmed = false;  // it has applied what ours subscribe to, up to the last change
  std::uint64_t queued_bytes = 0;   // messages for it that wait here
  std::vector<PeerId> linked_to;    // who says to have a link to it, in order of id
  bool neighbor = false;            // broadcasts go over the link to it
  std::vector<membership::Quorum::Voice> accusers;  // who says that it is gone
};

class Node {
 public:
  static absl::StatusOr<std::unique_ptr<Node>> Create(Config config, Rng rng, Instant now);
  ~Node();

  // Applies one fact. `now` never goes backwards. Appends to `out` what must be done about it.
  void Handle(Instant now, Input input, Effects& out);
  // Fires everything due at or before `now`. Calling early is harmless.
  void Wake(Instant now, Effects& out);
  // When Wake is next needed; kNever if nothing is pending. May change after any call.
  Instant NextWake() const;

  const Stats& stats() const;
  const broadcast::Stats& broadcast_stats() const;
  Census TakeCensus() const;
  // The table, this peer included.
  std::vector<membership::PeerView> Peers() const;
  // The one with this name, id, or unique prefix of an id; this peer included.
  membership::Members::Lookup Find(std::string_view target) const;
  std::optional<PeerDetail> Detail(PeerId peer) const;
  bool draining() const;
  // Over whom everything is broadcast, in order of id.
  std::vector<PeerId> Neighbors() const;

  // Aborts on a broken invariant.
  void CheckInvariants() const;
  // Order-sensitive hash of the whole state.
  std::uint64_t Digest() const;

 private:
  class Impl;
  explicit Node(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace peermesh::node

#endif  // PEERMESH_MESH_NODE_NODE_H_
