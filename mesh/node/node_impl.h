// The state of a node and the methods that change it. Private to mesh/node; split over files by
// subject:
//   node.cc      facts and time in, the order of things in a turn, invariants, digest
//   links.cc     links up and down, replacement without a break, heartbeats, the control lane
//   data.cc      the data lane: runs out and in, marks, grants
//   control.cc   control frames: interest, records, beliefs, goodbyes
//   peers.cc     dialling, records, membership changes, drain
//   publish.cc   from a batch to queues: matching, numbering, holding back
//   sessions.cc  applications: subscriptions, delivery, gaps
#ifndef PEERMESH_MESH_NODE_NODE_IMPL_H_
#define PEERMESH_MESH_NODE_NODE_IMPL_H_

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "mesh/base/check.h"
#include "mesh/base/rng.h"
#include "mesh/discovery/address_book.h"
#include "mesh/flow/outbox.h"
#include "mesh/flow/pressure.h"
#include "mesh/limits/gcra.h"
#include "mesh/membership/members.h"
#include "mesh/node/bounds.h"
#include "mesh/node/node.h"
#include "mesh/routing/interest.h"
#include "mesh/routing/numbering.h"

namespace peermesh::node {

class Node::Impl {
 public:
  Impl(Config config, Rng rng, Instant now);

  void Handle(Instant now, Input input, Effects& out);
  void Wake(Instant now, Effects& out);
  Instant NextWake() const;

  const Stats& stats() const { return stats_; }
  Census TakeCensus() const;
  std::vector<membership::PeerView> Peers() const;
  bool draining() const { return draining_; }
  void CheckInvariants() const;
  std::uint64_t Digest() const;

 private:
  struct Link {
    LinkId id;
    PeerId peer;
    Direction direction = Direction::kInbound;
    std::uint64_t epoch = 0;
    std::uint64_t dial_count = 0;
    Instant expires = kNever, replace_at = kNever;
    Instant last_heard{}, next_heartbeat{};
    bool suspected = false;
    // Control lane.
    std::deque<ControlFrame> control;
    bool control_busy = false;
    bool overrun = false;       // the other side does not read: the link goes at the next wake-up
    bool snapshot_due = false;  // deltas did not fit the queue: all follows when it is empty
    std::uint64_t heartbeats_sent = 0;
    std::array<Instant, kHeartbeatMemory> heartbeat_sent_at{};
    std::uint64_t heard_number = 0;
    Instant heard_number_at{};
    // Data lane.
    bool data_busy = false;
    bool marks_due = true;  // the next data frame begins with marks
    bool marked = false;    // the first marks went out
    bool ready = false;     // the other side confirmed the link
    bool end_queued = false, end_sent = false, end_received = false;
    bool farewell_sent = false, farewell_received = false;  // Goodbye{kReplaced}: all was read
    std::uint64_t channels_seen = 0;  // bit per channel: some run of it arrived on this link
    bool reading = false;             // a ReadNext is outstanding
    std::optional<DataFrame> stash;   // came early: the older link must be read to its end first
    // Their interest, as this link tells it.
    bool told = false;             // a whole snapshot came over this link
    bool staging = false;          // a snapshot is under way, or was asked for
    std::vector<Interest> staged;  // its parts
  };

  struct Peer {
    LinkId winner;                // the link that stays
    LinkId loser;                 // on its way out; {} if none
    LinkId sending;               // where data goes: one of the two
    Instant replace_by = kNever;  // while there is a loser
    flow::Outbox<flow::Run> outbox;
    flow::Pressure pressure{kLinkQueueBytes};
    Duration block{};                   // longest hold-back asked for by what is queued
    routing::ChannelNumbers accounted;  // since interest_known
    // Their interest.
    std::uint64_t interest_generation = 0;
    bool interest_known = false;
    // Our interest, as they confirmed it.
    std::uint64_t acked_generation = 0;
    bool acked = false;
    // Their data.
    limits::Gcra message_rate, byte_rate;
    std::uint64_t owed_messages = 0, owed_bytes = 0;  // read and not yet paid for
    Instant grant_at = kNever;                        // reading waits until they can be
    std::vector<SessionId> waits_for;                 // reading waits for these sessions
  };

  struct Session {
    PrincipalId principal;
    std::map<std::uint32_t, Subscription> subscriptions;
    flow::Outbox<flow::Delivery> outbox;
    flow::Pressure pressure{kSessionQueueBytes};
    Duration block{};
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
    Instant deadline{};
    std::set<PeerId> waiting;
  };

  // node.cc
  void Dispatch(Instant now, Input& input, Effects& out);
  void Finish(Instant now, Effects& out);
  void NoteOwnPause(Instant now);
  Instant SlowDeadline() const;

  // links.cc
  void On(Instant now, LinkUp& up, Effects& out);
  void On(Instant now, const LinkDown& down, Effects& out);
  void On(Instant now, DataIn& in, Effects& out);
  void On(Instant now, const SendDone& done, Effects& out);
  bool RefuseLink(Instant now, const LinkUp& up, Effects& out);
  void FirstLink(const Link& link);
  void ReplaceProcess(Instant now, const Link& fresh, Effects& out);
  void SecondLink(Instant now, Peer& peer, Link& link, Effects& out);
  bool NewerWins(const Link& old, const Link& fresh) const;
  void MaybeMoveData(Peer& peer);
  void MaybeRetire(Instant now, Peer& peer, Effects& out);
  void DropLink(Instant now, LinkId id, membership::StateReason why, bool close, Effects& out);
  void ForgetPeer(PeerId id);
  void LosePeer(Instant now, PeerId id, membership::StateReason why);
  void Greet(Instant now, Link& link);
  void SendHeartbeat(Instant now, Link& link);
  void HeardFrom(Instant now, Link& link);
  void WakeLinks(Instant now, Effects& out);
  void WakeReplacement(Instant now, Link& link, Effects& out);
  void PushControl(Link& link, ControlFrame frame);
  void Broadcast(const ControlFrame& frame, std::optional<PeerId> except = std::nullopt);
  void FlushControl(Link& link, Effects& out);
  void Misbehaved(Instant now, LinkId link, Effects& out);
  Link* FindLink(LinkId id);

  // data.cc
  void FlushData(Instant now, Peer& peer, Effects& out);
  void SendEnd(Peer& peer, Effects& out);
  void AddMarks(Peer& peer, Link& link, DataFrame& frame);
  void Receive(Instant now, Link& link, DataFrame& frame, Effects& out);
  void ReceiveRun(Instant now, Link& link, flow::Run& run, std::vector<SessionId>& fed,
                  Effects& out);
  void PayOwed(Instant now, Peer& peer);
  void MaybeGrant(Instant now, Peer& peer, Effects& out);
  bool MayRead(const Peer& peer, const Link& link) const;
  void Overflow(Peer& peer, Effects& out);

  // control.cc
  void On(Instant now, ControlIn& in, Effects& out);
  void OnFrame(Instant now, Link& link, Heartbeat& frame, Effects& out);
  void OnFrame(Instant now, Link& link, InterestSnapshot& frame, Effects& out);
  void OnFrame(Instant now, Link& link, InterestDelta& frame, Effects& out);
  void OnFrame(Instant now, Link& link, InterestAck& frame, Effects& out);
  void OnFrame(Instant now, Link& link, InterestRequest& frame, Effects& out);
  void OnFrame(Instant now, Link& link, PeerRecords& frame, Effects& out);
  void OnFrame(Instant now, Link& link, PeerStates& frame, Effects& out);
  void OnFrame(Instant now, Link& link, Goodbye& frame, Effects& out);
  void OnFrame(Instant now, Link& link, LinkReady& frame, Effects& out);
  void SendSnapshot(Link& link);
  void BeginAccount(const Link& link, Peer& peer);
  bool ApplySnapshot(Link& link);
  void Acknowledge(Link& link, std::uint64_t generation);
  void AskForSnapshot(Link& link, Effects& out);
  void AnnounceInterest();

  // peers.cc
  void On(Instant now, const DialFailed& failed, Effects& out);
  void On(Instant now, RecordSigned& own, Effects& out);
  void On(Instant now, const CredentialsRenewed& renewed, Effects& out);
  void On(Instant now, const DrainRequested& drain, Effects& out);
  static membership::Description DescriptionOf(const PeerRecord& record);
  void LearnRecord(Instant now, PeerRecord& record, std::optional<PeerId> from, Effects& out);
  void SendRecords(Link& link);
  void SendBeliefs(Link& link);
  PeerBelief BeliefAbout(PeerId id) const;
  void DialDue(Instant now, Effects& out);
  void CheckDrained(Instant now, Effects& out);
  void ReportMembers(Effects& out);

  // publish.cc
  void On(Instant now, Publish& publish, Effects& out);
  bool Refuse(Instant now, const Publish& publish, Effects& out);
  bool MustHold(const Publish& publish);
  bool Wanted(const Batch& batch, PeerId target);
  void Admit(Instant now, const Publish& publish, Effects& out);
  void BuildRemote(const flow::Delivery& like, std::uint32_t row, std::uint64_t sequence);
  void QueueBuilt(Instant now, std::set<PeerId>& interested);
  void RetryHeld(Instant now, Effects& out);
  void Route(std::string_view subject, const std::optional<PeerId>& target);
  Refusal ResolveTarget(const Publish& publish, std::optional<PeerId>& target) const;

  // sessions.cc
  void On(Instant now, const SessionOpened& opened, Effects& out);
  void On(Instant now, const SessionClosed& closed, Effects& out);
  void On(Instant now, Subscribe& subscribe, Effects& out);
  void On(Instant now, const Unsubscribe& unsubscribe, Effects& out);
  void On(Instant now, const DeliverDone& done, Effects& out);
  Refusal AddSubscriptions(SessionId id, Session& session, Subscribe& subscribe,
                           const char** limit);
  void RemoveSubscription(SessionId id, Session& session, std::uint32_t subscription);
  static std::uint32_t BlockMs(const Subscription& subscription);
  static void AddPolicy(Session& session, const Subscription& subscription);
  void Overflow(SessionId id, Session& session, Effects& out);
  void AnnounceGap(Instant now, const Link& origin, std::uint32_t channel,
                   routing::Receipts::Hole hole, LossReason reason, Effects& out);
  void FlushSession(Instant now, SessionId id, Session& session, Effects& out);
  void ConfirmedBy(PeerId peer);
  void ResolveSubscribes(Instant now, Effects& out);
  void Matches(flow::Delivery& delivery, std::uint32_t row, std::uint64_t sequence,
               const std::vector<std::uint32_t>& ids);
  void BuildLocal(Instant now, const flow::Delivery& like, std::uint32_t row,
                  std::uint64_t sequence);
  void QueueLocal(Instant now, SessionId id, flow::Delivery delivery);
  void FlushBuilt(Instant now);

  // Constant after construction.
  const Config config_;
  const Instant started_;

  // Components. They do not know each other.
  Rng rng_;
  membership::Members members_;
  discovery::AddressBook book_;
  routing::Interest interest_;
  routing::ChannelNumbers numbers_;
  routing::Receipts receipts_;
  routing::Baselines baselines_;

  // State.
  std::map<LinkId, Link> links_;
  std::map<PeerId, Peer> peers_;  // those with a link
  std::map<SessionId, Session> sessions_;
  std::map<PrincipalId, Principal> principals_;
  std::map<PeerId, PeerRecord> records_;  // of others, as they came
  std::optional<PeerRecord> own_record_;
  std::map<DialId, PeerId> dialled_;              // dials to known peers under way
  std::map<PeerId, membership::State> reported_;  // states already noted
  std::deque<Publish> held_;
  std::deque<PendingSubscribe> subscribes_;
  std::uint64_t own_incarnation_ = 0;
  bool sign_due_ = true;
  bool overrun_ = false;  // some link is
  bool draining_ = false, drained_ = false;
  Instant drain_deadline_ = kNever;

  // This turn.
  std::set<PeerId> dirty_peers_;
  std::set<SessionId> dirty_sessions_;
  bool pressure_eased_ = false;
  // The deadline of everything but queues. Read anew when membership, links or dials changed.
  mutable bool deadlines_changed_ = true;
  mutable Instant slow_wake_ = kNever;
  routing::Interest::Matched matched_;
  std::map<SessionId, Built> built_;
  std::map<PeerId, flow::Run> runs_;
  std::vector<std::uint32_t> ids_;

  Stats stats_;
};

}  // namespace peermesh::node

#endif  // PEERMESH_MESH_NODE_NODE_IMPL_H_
