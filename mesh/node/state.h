// What a node keeps of each link, peer, session and request under way. Private to mesh/node: plain
// data, changed by Node::Impl alone.
//
// Bounds: links kMaxLinks, sessions kMaxSessions, subscribes and pings as in bounds.h; queues as in
// mesh/flow.
#ifndef PEERMESH_MESH_NODE_STATE_H_
#define PEERMESH_MESH_NODE_STATE_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "mesh/base/id.h"
#include "mesh/base/time.h"
#include "mesh/broadcast/broadcast.h"
#include "mesh/flow/outbox.h"
#include "mesh/flow/pressure.h"
#include "mesh/flow/ring.h"
#include "mesh/limits/gcra.h"
#include "mesh/node/bounds.h"
#include "mesh/node/frame.h"
#include "mesh/node/input.h"
#include "mesh/node/news.h"
#include "mesh/overlay/overlay.h"
#include "mesh/routing/numbering.h"

namespace peermesh::node {

// The last 32 bits of an instant, and the latest instant that ends so: the same one for 71 minutes,
// and no link is silent for that long.
inline std::uint32_t ShortTime(Instant when) {
  return static_cast<std::uint32_t>(when.time_since_epoch().count());
}
inline Instant LatestAt(Instant now, std::uint32_t short_time) {
  return now - Duration(ShortTime(now) - short_time);
}

// A piece that waits for its link.
struct QueuedPiece {
  Relayed relayed;
  BatchRef batch;  // the piece's: what the queue keeps in memory

  std::uint64_t bytes() const { return relayed.bytes(); }
};

// Small members stand together at the end, here and in Peer: a simulator has tens of thousands.
struct Link {
  LinkId id;
  PeerId peer;
  std::uint64_t epoch = 0;
  std::uint64_t dial_count = 0;
  Instant since{}, expires = kNever, replace_at = kNever;
  Instant last_heard{}, next_heartbeat{};
  Instant answered{};  // when we sent the newest heartbeat that the other side says it heard
  flow::Ring<ControlFrame> control;
  std::uint64_t heartbeats_sent = 0;
  std::array<std::uint32_t, kHeartbeatMemory> heartbeat_sent_at{};  // see ShortTime
  std::uint64_t heard_number = 0;
  Instant heard_number_at{};
  std::uint64_t channels_seen = 0;   // bit per channel: some run of it arrived on this link
  std::uint64_t channels_fed = 0;    // likewise: some message
  std::unique_ptr<DataFrame> stash;  // came early: the older link must be read to its end first
  std::vector<Interest> staged;      // parts of a snapshot of their interest
  std::uint64_t their_table = 0;     // its hash, as last told
  std::uint32_t table_differs = 0;   // so many heartbeats in a row

  Direction direction = Direction::kInbound;
  bool suspected = false;
  // Control lane.
  bool control_busy = false;
  bool overrun = false;       // the other side does not read: the link goes at the next wake-up
  bool snapshot_due = false;  // deltas did not fit the queue: all follows when it is empty
  // Data lane.
  bool data_busy = false;
  bool marks_due = true;  // the next data frame begins with marks
  bool marked = false;    // the first marks went out
  bool ready = false;     // the other side confirmed the link
  bool end_queued = false, end_sent = false, end_received = false;
  bool farewell_sent = false, farewell_received = false;  // Goodbye{kReplaced}: all was read
  bool reading = false;                                   // a ReadNext is outstanding
  // Their interest, as this link tells it.
  bool staging = false;          // a snapshot is under way, or was asked for
  bool told = false;             // a whole one came over this link
  bool record_withheld = false;  // ours: they most likely have it
};

// The other side has not said for a while that it heard us.
inline bool IsLate(Instant now, const Link& link) { return link.answered + kAnswerTime <= now; }

// What we said of a peer beyond the full mesh.
enum class Accused : std::uint8_t {
  kNot,
  kSilent,  // until its next sign of life
  kLate,    // until it answers again as it should
};

struct Peer {
  LinkId winner;                // the link that stays
  LinkId loser;                 // on its way out; {} if none
  LinkId sending;               // where data goes: one of the two
  Instant replace_by = kNever;  // while there is a loser
  flow::Outbox<flow::Run> outbox;
  flow::Pressure pressure{kLinkQueueBytes};
  Duration block{};                       // longest hold-back asked for by what is queued
  routing::ChannelNumbers accounted;      // since interest_known
  std::uint64_t interest_generation = 0;  // theirs
  std::uint64_t acked_generation = 0;     // ours, as they confirmed it
  // Their data.
  limits::Gcra message_rate, byte_rate;
  std::uint64_t owed_messages = 0, owed_bytes = 0;  // read and not yet paid for
  Instant grant_at = kNever;                        // reading waits until they can be
  std::vector<SessionId> waits_for;                 // reading waits for these sessions
  limits::Gcra pings;
  // Broadcasts.
  flow::Outbox<QueuedPiece> relay;
  flow::Pressure relay_pressure{kLinkQueueBytes};
  // Beyond the full mesh: when the link goes unless somebody needs it until then.
  Instant surplus_at = kNever;
  Instant observed_until{};  // it was a neighbour: so long others may still count on our word
  // In a full mesh: who hears nothing from it, in order; all have a link to us.
  std::vector<PeerId> doubters;

  std::uint16_t late = 0;           // a bit for each of the last heartbeats: answered too late
  Accused accused = Accused::kNot;  // by us
  bool sent_straight = false;       // some message was meant for it
  bool interest_known = false;      // theirs
  bool acked = false;               // they confirmed ours
};

// Pieces of one stream that came before the messages which their origin had sent straight to us.
struct WaitingPieces {
  std::vector<broadcast::Deliver> pieces;
  Instant until{};
};

// Runs of one stream whose broadcasts before them are still to come.
struct RunAside {
  flow::Run run;
  bool seen = false;  // its link has spoken of the channel before
};
struct RunsAside {
  flow::Ring<RunAside> runs;
  Instant until{};
};

// The soonest of many deadlines, kept until one of them may have moved. Whatever moves one says so.
struct Soonest {
  Instant at = kNever;
  bool moved = true;
  Duration patience{};  // as it was when the links were looked at
};

// Ids in order, each once. An array, because it is filled and emptied in every turn.
template <class T>
class Few {
 public:
  void insert(const T& id) {
    const auto at = ids_.empty() || ids_.back() < id
                        ? ids_.end()
                        : std::lower_bound(ids_.begin(), ids_.end(), id);
    if (at == ids_.end() || *at != id) ids_.insert(at, id);
  }
  void erase(const T& id) { std::erase(ids_, id); }
  bool empty() const { return ids_.empty(); }
  auto begin() const { return ids_.begin(); }
  auto end() const { return ids_.end(); }

 private:
  std::vector<T> ids_;
};

// What was last said of a row, to whom, and counted of it.
struct Reported {
  membership::State state = membership::State::kSuspect;
  bool quiet = false;  // we have not passed on its latest record: in a large mesh
  std::uint64_t channels = 0;
};

// A channel we publish on, with few listeners.
struct Sparse {
  std::vector<PeerId> listeners;     // with interest, as their records say; in order
  bool known = false;                // they are those of now
  std::optional<Instant> published;  // last
  Instant ask_at{};                  // for links to them, not before
  Duration ask_pause = kAskFirst;
  bool owes = false;  // one whose link broke: ask_at is a deadline
};

// Beyond the full mesh.
struct Large {
  bool on = false, seeking = false;
  Instant small_since = kNever;          // few enough peers for a full mesh since then
  std::optional<Instant> surplus_heard;  // somebody had no use for a link with us
  Instant sought_all{};                  // alone: when we last tried everybody
  Instant met_at{};                      // when somebody last came, or came back
  // Our neighbours, or the channels of our applications, changed: sign anew then. Loudly: for
  // everybody, not for the neighbours alone.
  Instant record_at = kNever, last_record{};
  bool loud = true, refutes = false;
  std::uint64_t published = 0;          // our last loud record's incarnation
  std::size_t published_observers = 0;  // how many it named
  std::vector<std::uint64_t> named;     // by it and those since; in order
  News news;
  // There if there are more peers than the table holds: then we know some of them.
  std::unique_ptr<Strangers> strangers;
  bool partial() const { return strangers != nullptr; }
  std::uint64_t statement_number = 0;
  bool farewell_due = false;               // our word that we leave is being signed
  routing::ChannelNumbers broadcast_next;  // behind the last number broadcast on each channel
  routing::ChannelNumbers small_next;      // behind the last number given out in a small mesh
  std::map<broadcast::Stream, WaitingPieces> waiting;
  std::map<broadcast::Stream, RunsAside> aside;
  std::set<broadcast::Stream> broken_off;  // came straight until their link broke
  std::uint64_t aside_bytes = 0;
  Instant broadcast_at{};  // our last one
  // Links that were asked for, and until when what needs them waits: one of each session, and
  // pings.
  std::map<PeerId, Instant> borrowed;
  std::map<std::uint32_t, Sparse> sparse;  // by channel
  std::vector<Publish> publishes;
  std::vector<PingAsked> pings;
  // This turn.
  std::unique_ptr<broadcast::Piece> piece;  // being built; null between turns
  overlay::Wishes overlay_wishes;
  broadcast::Wishes broadcast_wishes;
};

struct Session {
  PrincipalId principal;
  std::map<std::uint32_t, Subscription> subscriptions;
  flow::Outbox<flow::Delivery> outbox;
  flow::Pressure pressure{kSessionQueueBytes};
  Duration block{};
  bool busy = false;  // a Deliver is outstanding
  bool close_when_slow = false;
  bool overmatched = false;  // a message matched too many of its subscriptions
  bool closing = false;
};

struct Built {  // what one session gets of the batch at hand
  flow::Delivery delivery;
  std::uint64_t bytes = 0;  // of its items
};

struct Principal {
  std::size_t sessions = 0;
  limits::Gcra messages, bytes, subscribes;
};

struct PendingSubscribe {
  RequestId request;
  SessionId session;
  std::vector<std::uint32_t> ids;
  std::uint64_t generation = 0;
  Instant heard_at{}, deadline{};
  std::set<PeerId> waiting;
};

struct PendingPing {
  RequestId request;
  PeerId peer;
  LinkId link;
  std::uint64_t number = 0;  // of the heartbeat that asks
  Instant asked{};
};

}  // namespace peermesh::node

#endif  // PEERMESH_MESH_NODE_STATE_H_
