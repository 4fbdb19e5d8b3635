// The state of a node and the methods that change it, by file. Private to mesh/node.
#ifndef PEERMESH_MESH_NODE_NODE_IMPL_H_
#define PEERMESH_MESH_NODE_NODE_IMPL_H_

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "mesh/base/check.h"
#include "mesh/base/flat_map.h"
#include "mesh/base/rng.h"
#include "mesh/base/sorted_map.h"
#include "mesh/broadcast/broadcast.h"
#include "mesh/discovery/address_book.h"
#include "mesh/membership/local_health.h"
#include "mesh/membership/members.h"
#include "mesh/membership/quorum.h"
#include "mesh/node/bounds.h"
#include "mesh/node/node.h"
#include "mesh/node/state.h"
#include "mesh/overlay/overlay.h"
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
  const broadcast::Stats& broadcast_stats() const { return trees_.stats(); }
  Census TakeCensus() const;
  std::vector<membership::PeerView> Peers() const;
  membership::Members::Lookup Find(std::string_view target) const;
  std::optional<PeerDetail> Detail(PeerId peer) const;
  bool draining() const { return draining_; }
  std::vector<PeerId> Neighbors() const { return overlay_.Active(); }
  void CheckInvariants() const;
  std::uint64_t Digest() const;

 private:
  // node.cc: facts and time in, the order of things in a turn, invariants, digest
  void Dispatch(Instant now, Input& input, Effects& out);
  void Finish(Instant now, Effects& out);
  void NoteOwnPause(Instant now);
  Instant SlowDeadline() const;
  void ReadDeadlines() const;
  Instant LinksWake() const;
  Instant QueuesWake() const;
  void Weigh(Instant now, flow::Pressure& queue, std::uint64_t bytes, Duration block);

  // links.cc: up and down, replacement without a break, heartbeats, the control lane
  void On(Instant now, LinkUp& up, Effects& out);
  void On(Instant now, const LinkDown& down, Effects& out);
  void On(Instant now, DataIn& in, Effects& out);
  void On(Instant now, const SendDone& done, Effects& out);
  bool RefuseLink(Instant now, const LinkUp& up, Effects& out);
  void FirstLink(const Link& link);
  void ReplaceProcess(Instant now, const Link& fresh, Effects& out);
  void SecondLink(Instant now, Peer& peer, Link& link, Effects& out);
  void MaybeMoveData(Peer& peer);
  void MaybeRetire(Instant now, Peer& peer, Effects& out);
  void DropLink(Instant now, LinkId id, membership::StateReason why, bool close, Effects& out);
  void ForgetPeer(PeerId id);
  void LosePeer(Instant now, PeerId id, membership::StateReason why, bool in_order, Effects& out);
  void Greet(Instant now, Link& link);
  void SendHeartbeat(Instant now, Link& link);
  void PushHeartbeat(Instant now, Link& link, bool asks);
  void WakeLinks(Instant now, Effects& out);
  void WakeReplacement(Instant now, Link& link, Effects& out);
  void PushControl(Link& link, ControlFrame frame);
  void Broadcast(const ControlFrame& frame, std::optional<PeerId> except = std::nullopt);
  void FlushControl(Link& link, Effects& out);
  void Misbehaved(Instant now, LinkId link, Effects& out);
  Link* FindLink(LinkId id);

  // data.cc: runs out and in, marks, grants
  void FlushData(Instant now, Peer& peer, Effects& out);
  void SendEnd(Peer& peer, Effects& out);
  void AddMarks(Peer& peer, Link& link, DataFrame& frame);
  void Receive(Instant now, Link& link, DataFrame& frame, Effects& out);
  void ReceiveRun(Instant now, const broadcast::Stream& stream, flow::Run& run, bool seen,
                  std::vector<SessionId>& fed, Effects& out);
  void PayOwed(Instant now, Peer& peer);
  void MaybeGrant(Instant now, Peer& peer, Effects& out);
  bool MayRead(const Peer& peer, const Link& link) const;
  void Overflow(Peer& peer, Effects& out);

  // control.cc: interest, records, beliefs, goodbyes
  void On(Instant now, ControlIn& in, Effects& out);
  void OnFrame(Instant now, Link& link, Heartbeat& frame, Effects& out);
  void OnFrame(Instant now, Link& link, InterestSnapshot& frame, Effects& out);
  void OnFrame(Instant now, Link& link, InterestDelta& frame, Effects& out);
  void OnFrame(Instant now, Link& link, InterestAck& frame, Effects& out);
  void OnFrame(Instant now, Link& link, InterestRequest& frame, Effects& out);
  void OnFrame(Instant now, Link& link, PeerRecords& frame, Effects& out);
  void OnFrame(Instant now, Link& link, Goodbye& frame, Effects& out);
  void OnFrame(Instant now, Link& link, LinkReady& frame, Effects& out);
  void SendSnapshot(Link& link);
  void BeginAccount(const Link& link, Peer& peer);
  bool ApplySnapshot(Link& link);
  void Acknowledge(Link& link, std::uint64_t generation);
  void AskForSnapshot(Link& link, Effects& out);
  void AnnounceInterest();

  // peers.cc: dialling, records, membership changes, drain
  void On(Instant now, const DialFailed& failed, Effects& out);
  void On(Instant now, RecordSigned& own, Effects& out);
  void On(Instant now, const CredentialsRenewed& renewed, Effects& out);
  void On(Instant now, const DrainRequested& drain, Effects& out);
  void On(Instant now, const Reconfigured& fresh, Effects& out);
  bool LearnRecord(Instant, const membership::RecordRef&, PeerId from, bool news, Effects& out);
  void SendRecords(Instant now, Link& link);
  void SendRecordsOf(Link& link, const std::vector<PeerId>& ids);
  void SendBeliefs(Link& link);
  PeerBelief BeliefAbout(PeerId id) const;
  void DialDue(Instant now, Effects& out);
  void CheckDrained(Instant now, Effects& out);
  void ReportMembers(Instant now, Effects& out);
  void Count(const membership::PeerView& row, bool removed);

  // publish.cc: from a batch to queues: matching, numbering, holding back
  void On(Instant now, Publish& publish, Effects& out);
  bool Refuse(Instant now, const Publish& publish, Effects& out);
  bool MustHold(const Publish& publish);
  bool Wanted(const Batch& batch, PeerId target);
  void Admit(Instant now, const Publish& publish, Effects& out);
  void BuildRemote(Instant now, const flow::Delivery& like);
  void QueueBuilt(Instant now, std::set<PeerId>& interested);
  void RetryHeld(Instant now, Effects& out);
  void Route(std::string_view subject, const std::optional<PeerId>& target);
  Refusal ResolveTarget(const Publish& publish, std::optional<PeerId>& target) const;

  // sessions.cc: applications: subscriptions, delivery, gaps
  void On(Instant now, const SessionOpened& opened, Effects& out);
  void On(Instant now, const SessionClosed& closed, Effects& out);
  void On(Instant now, Subscribe& subscribe, Effects& out);
  void On(Instant now, const Unsubscribe& unsubscribe, Effects& out);
  void On(Instant now, const DeliverDone& done, Effects& out);
  Refusal AddSubscriptions(SessionId id, Session& session, Subscribe& subscribe,
                           const char** limit);
  void RemoveSubscription(SessionId id, Session& session, std::uint32_t subscription);
  void Overflow(SessionId id, Session& session, Effects& out);
  void AnnounceGap(Instant now, const broadcast::Stream& stream, routing::Receipts::Hole hole,
                   LossReason reason, Effects& out);
  void FlushSession(Instant now, SessionId id, Session& session, Effects& out);
  void ConfirmedBy(PeerId peer);
  void ResolveSubscribes(Instant now, Effects& out);
  void BuildLocal(Instant now, const flow::Delivery& like);
  void QueueLocal(Instant now, SessionId id, flow::Delivery delivery);
  void FlushBuilt(Instant now);

  // large.cc: beyond the full mesh: when, the overlay, surplus links; borrow.cc: those for one
  void ReviewSize(Instant now, Effects& out);
  bool MakeRoomFor(PeerId peer);
  void BecomeLarge(Instant now);
  void BecomeSmall(Instant now);
  void MeetInOverlay(Instant now, PeerId peer, bool was_lost, Effects& out);
  void Apply(Instant now, overlay::Wishes& wishes, Effects& out);
  void OnFrame(Instant now, Link& link, overlay::Message& frame, Effects& out);
  void Introduce(Link& link, const overlay::Message& message);
  void WakeLarge(Instant now, Effects& out);
  Instant LargeDeadline() const;
  std::vector<std::uint64_t> Observers() const;
  void SignOwnRecord(Instant now, Effects& out);
  void NeighborsChanged(Instant now);
  void ChannelsChanged();
  bool WaitsForLink(Instant now, std::string_view target);
  bool Borrow(Instant now, PeerId id);
  void RetryWaiting(Instant now, Effects& out);
  void TellBelief(PeerId about, std::optional<PeerId> except = std::nullopt);

  // relay.cc: broadcasts
  void On(Instant now, PieceSigned& signed_piece, Effects& out);
  void OnFrame(Instant now, Link& link, broadcast::Message& frame, Effects& out);
  void BroadcastStretch(const flow::Delivery& like);
  void SignBuilt(Effects& out);
  void ReceiveRelayed(Instant now, const Link& link, std::vector<Relayed>& relayed, Effects& out);
  void Apply(Instant now, broadcast::Wishes& wishes, Effects& out);
  void QueuePiece(Instant now, const broadcast::Push& push);
  void TakeRelayed(Peer& peer, std::uint64_t budget, DataFrame& frame);
  void OverflowRelay(Instant now, Peer& peer, Effects& out);
  void DeliverPiece(Instant now, const broadcast::Deliver& deliver, Effects& out);

  // sparse.cc: channels that few listen on
  bool GoesStraight(Instant now, std::uint32_t channel);
  bool KnowsEverybody(Instant now) const;
  void ListListeners(Instant now, std::uint32_t channel, Sparse& sparse);
  void AskForListeners(Instant now, Sparse& sparse);
  void WakeSparse(Instant now);
  void ListenerLost(Instant now, PeerId id);
  void KeepBorrowed(Instant now, Peer& peer);

  // order.cc: of what goes straight and what is broadcast
  std::uint64_t Behind(Instant now, std::uint32_t channel) const;
  bool PutAside(Instant now, const broadcast::Stream& stream, flow::Run& run, bool seen,
                Effects& out);
  void TakeAside(Instant now, std::optional<PeerId> gone, Effects& out);
  void AnnounceNotCome(Instant now, const broadcast::Piece& piece, Effects& out);
  bool WaitsForBroadcast(const broadcast::Stream& stream, std::uint64_t behind) const;
  bool WaitsForStraight(const broadcast::Deliver& deliver) const;
  void DeliverWaiting(Instant now, std::optional<PeerId> gone, Effects& out);

  // watch.cc: whether those with a link are heard, silent or late
  void OnFrame(Instant now, Link& link, PeerStates& frame, Effects& out);
  void HeardFrom(Instant now, Link& link, Effects& out);
  Duration Patience(Duration silence) const;
  bool Observes(Instant now, PeerId peer) const;
  void Suspect(Instant now, Link& link, Effects& out);
  void Watch(Instant now, const Link& link, Effects& out);
  void LoseTogether(Instant now, Effects& out);

  // voices.cc: who says who is gone
  void On(Instant now, StatementSigned& own, Effects& out);
  void OnFrame(Instant now, Link& link, Statements& frame, Effects& out);
  void Accuse(PeerId subject, membership::StateReason why, Effects& out);
  void TakeBack(PeerId subject, Effects& out);
  void Say(PeerId subject, membership::Claim claim, membership::StateReason why, Effects& out);
  void TellOf(Instant now, const membership::Statement& statement);
  void HearAgain(Instant now, PeerId about);
  void TellNews(Instant now);
  void ApplyVerdicts(Instant now, Effects& out);

  // tables.cc: member tables compared
  void CompareTables(Link& link, const Heartbeat& frame);
  bool SameTable(const Link& link) const;
  void SendTableHashes(Link& link);
  void OnFrame(Instant now, Link& link, TableHashes& frame, Effects& out);
  void OnFrame(Instant now, Link& link, TableRows& frame, Effects& out);
  void OnFrame(Instant now, Link& link, RecordsWanted& frame, Effects& out);
  void SendEvidence(Instant now, Link& link, const std::vector<PeerId>& about);

  // ping.cc: pings, and what is known of one peer
  void On(Instant now, const PingAsked& ping, Effects& out);
  void PingAnswered(Instant now, const Link& link, const Heartbeat& answer, Effects& out);
  void ResolvePings(Instant now, Effects& out);

  // Constant after construction, but for the limits. Seeds and remembered records are not kept.
  Config config_;
  const Instant started_;

  // Components, which do not know each other.
  Rng rng_;
  membership::Members members_;
  discovery::AddressBook book_;
  routing::Interest interest_;
  routing::ChannelNumbers numbers_;
  routing::Receipts receipts_;
  routing::Baselines baselines_;
  overlay::Overlay overlay_;
  broadcast::Broadcast trees_;
  membership::Quorum quorum_;
  membership::LocalHealth health_;

  // State.
  FlatMap<LinkId, Link> links_;
  FlatMap<PeerId, Peer> peers_;  // those with a link
  std::map<SessionId, Session> sessions_;
  std::map<PrincipalId, Principal> principals_;
  membership::RecordRef own_record_;
  std::map<DialId, PeerId> dialled_;  // dials to known peers under way
  SortedMap<PeerId, Reported> reported_;
  std::array<std::uint16_t, kChannels> interested_{};  // living peers with interest in each channel
  std::set<PeerId> out_of_touch_;                      // known to live, or just lost: not reached
  flow::Ring<Publish> held_;
  flow::Ring<PendingSubscribe> subscribes_;
  flow::Ring<PendingPing> pings_;  // the oldest first
  std::uint64_t own_incarnation_ = 0;
  bool sign_due_ = true, draining_ = false, drained_ = false, overrun_ = false;  // a link is
  Large large_;
  Instant drain_deadline_ = kNever;

  // This turn.
  Few<PeerId> dirty_peers_;
  Few<SessionId> dirty_sessions_;
  std::vector<LinkId> to_flush_;  // with something to say on their control lanes, or about to
  std::vector<PeerId> to_grant_;  // who may be read from again, once what came has been passed on
  std::vector<Answer> answers_;   // to publishers, once what they published is on its way to peers
  bool pressure_eased_ = false;
  // The deadline of everything but queues. Read anew when membership, links or dials changed.
  mutable bool deadlines_changed_ = true;
  mutable Instant slow_wake_ = kNever;
  mutable Soonest links_wake_, queues_wake_;  // of links; of peers and sessions
  routing::Interest::Matched matched_;
  std::map<SessionId, Built> built_;
  std::map<PeerId, flow::Run> runs_;
  std::vector<std::uint32_t> ids_;
  std::vector<flow::Item> stretch_;  // messages in a row with one subject: they go the same ways
  Stats stats_;
};

}  // namespace peermesh::node

#endif  // PEERMESH_MESH_NODE_NODE_IMPL_H_
