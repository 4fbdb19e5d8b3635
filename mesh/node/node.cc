#include "mesh/node/node.h"

#include <algorithm>

#include "absl/status/status.h"
#include "mesh/base/digest.h"
#include "mesh/base/growth.h"
#include "mesh/node/node_impl.h"

namespace peermesh::node {

// --- Public face ---------------------------------------------------------------------------------

absl::StatusOr<std::unique_ptr<Node>> Node::Create(Config config, Rng rng, Instant now) {
  if (config.name.empty()) return absl::InvalidArgumentError("a node needs a name");
  if (config.epoch == 0)
    return absl::InvalidArgumentError("a node needs an epoch larger than its last one");
  if (config.seeds.size() > kMaxSeeds) {
    return absl::InvalidArgumentError(
        "too many seeds: at most 64; use a DNS name with several addresses");
  }
  if (config.shape.active < 2 || config.shape.eager_parents < 1 || config.shape.eager_parents > 3) {
    return absl::InvalidArgumentError(
        "an overlay needs 2 neighbours or more, and 1 to 3 of them eager");
  }
  return std::unique_ptr<Node>(new Node(std::make_unique<Impl>(std::move(config), rng, now)));
}

Node::Node(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Node::~Node() = default;

void Node::Handle(Instant now, Input input, Effects& out) {
  impl_->Handle(now, std::move(input), out);
}
void Node::Wake(Instant now, Effects& out) { impl_->Wake(now, out); }
Instant Node::NextWake() const { return impl_->NextWake(); }
const Stats& Node::stats() const { return impl_->stats(); }
const broadcast::Stats& Node::broadcast_stats() const { return impl_->broadcast_stats(); }
Census Node::TakeCensus() const { return impl_->TakeCensus(); }
std::vector<membership::PeerView> Node::Peers() const { return impl_->Peers(); }
membership::Members::Lookup Node::Find(std::string_view target) const {
  return impl_->Find(target);
}
std::optional<PeerDetail> Node::Detail(PeerId peer) const { return impl_->Detail(peer); }
bool Node::draining() const { return impl_->draining(); }
std::vector<PeerId> Node::Neighbors() const { return impl_->Neighbors(); }
void Node::CheckInvariants() const { impl_->CheckInvariants(); }
std::uint64_t Node::Digest() const { return impl_->Digest(); }

// --- The turn ------------------------------------------------------------------------------------

Node::Impl::Impl(Config config, Rng rng, Instant now)
    : config_(std::move(config)),
      started_(now),
      rng_(rng.Fork("node")),
      members_(config_.self),
      book_(config_.self, rng.Fork("discovery")),
      overlay_(config_.self,
               {.active = config_.shape.active,
                .passive = config_.shape.passive,
                .shuffle_every = config_.shape.shuffle_every},
               rng.Fork("overlay")),
      trees_(config_.self,
             {.eager_parents = config_.shape.eager_parents, .announce = kAnnounceAfter},
             rng.Fork("broadcast")) {
  for (const std::string& seed : config_.seeds) book_.AddSeed(now, seed);
  for (const PeerRecord& record : config_.remembered) {
    if (record.id == config_.self) continue;
    const membership::RecordRef shared(record);
    if (!members_.Describe(now, shared, membership::StateReason::kRemembered)) continue;
    book_.Learn(now, record.id, shared.addresses());
    quorum_.Describe(now, shared);
  }
  GiveBack(config_.seeds);
  GiveBack(config_.remembered);
  own_incarnation_ = large_.statement_number = config_.epoch;
  members_.SetSelf(own_incarnation_);
  slow_wake_ = now;
}

void Node::Impl::Handle(Instant now, Input input, Effects& out) {
  // Every turn finishes what it began.
  PM_CHECK(dirty_peers_.empty() && dirty_sessions_.empty() && answers_.empty());
  Dispatch(now, input, out);
  Finish(now, out);
}

void Node::Impl::Dispatch(Instant now, Input& input, Effects& out) {
  // Facts that repeat for every message leave the deadlines of links and members alone.
  const bool hot =
      std::holds_alternative<DataIn>(input) || std::holds_alternative<SendDone>(input) ||
      std::holds_alternative<Publish>(input) || std::holds_alternative<DeliverDone>(input);
  if (!hot) deadlines_changed_ = true;
  std::visit([&](auto& fact) { On(now, fact, out); }, input);
}

// Everything that follows from what just happened, in a fixed order.
void Node::Impl::Finish(Instant now, Effects& out) {
  ReviewSize(now, out);
  RetryWaiting(now, out);
  AnnounceInterest();
  ResolveSubscribes(now, out);
  while (pressure_eased_ || !dirty_sessions_.empty() || !dirty_peers_.empty() ||
         !answers_.empty() || !to_grant_.empty()) {
    for (const PeerId& id : std::exchange(dirty_peers_, {})) {
      if (const auto it = peers_.find(id); it != peers_.end()) FlushData(now, it->second, out);
    }
    // Before sessions, which may be closed.
    for (Answer& answer : std::exchange(answers_, {})) out.push_back(std::move(answer));
    for (const SessionId id : std::exchange(dirty_sessions_, {})) {
      if (const auto it = sessions_.find(id); it != sessions_.end())
        FlushSession(now, id, it->second, out);
    }
    for (const PeerId& id : std::exchange(to_grant_, {})) {
      if (const auto it = peers_.find(id); it != peers_.end()) MaybeGrant(now, it->second, out);
    }
    if (!std::exchange(pressure_eased_, false)) continue;
    RetryHeld(now, out);
    for (auto [id, peer] : peers_) MaybeGrant(now, peer, out);
  }
  TellNews(now);
  std::sort(to_flush_.begin(), to_flush_.end());
  for (std::size_t at = 0; at < to_flush_.size(); ++at) {
    if (Link* link = FindLink(to_flush_[at]); link != nullptr) FlushControl(*link, out);
  }
  to_flush_.clear();
  ReportMembers(now, out);
  ResolveSubscribes(now, out);  // whoever was found dead is not waited for
  ResolvePings(now, out);
  CheckDrained(now, out);
  PM_CHECK(built_.empty() && runs_.empty() && !large_.piece);
}

void Node::Impl::NoteOwnPause(Instant now) {
  // As it was after the last turn, whether or not somebody asked for it then.
  ReadDeadlines();
  // Only a deadline of ours that was missed by far tells a pause of this process from silence of
  // others.
  if (slow_wake_ == kNever) return;
  const Duration pause = now - slow_wake_;
  health_.Lagged(pause);
  if (pause < kOwnPause) return;
  links_wake_.moved = true;
  for (auto [id, link] : links_) {
    link.last_heard = std::min(now, link.last_heard + pause);
    link.answered = std::min(now, link.answered + pause);
  }
}

void Node::Impl::Wake(Instant now, Effects& out) {
  NoteOwnPause(now);
  deadlines_changed_ = true;
  if (sign_due_) {
    sign_due_ = false;
    SignOwnRecord(now, out);
  }
  WakeLinks(now, out);
  members_.Wake(now);
  WakeLarge(now, out);
  if (!draining_) DialDue(now, out);
  if (QueuesWake() <= now) {
    // Queues whose hold-back is used up.
    for (auto& [id, session] : sessions_) {
      if (session.pressure.NextWake() <= now) dirty_sessions_.insert(id);
    }
    for (auto [id, peer] : peers_) {
      if (std::min(peer.pressure.NextWake(), peer.relay_pressure.NextWake()) <= now)
        dirty_peers_.insert(id);
      if (peer.grant_at <= now) {
        PayOwed(now, peer);
        MaybeGrant(now, peer, out);
      }
    }
  }
  Finish(now, out);
}

Instant Node::Impl::SlowDeadline() const {
  Instant next = members_.NextWake();
  if (!draining_) next = std::min(next, book_.NextWake());
  next = std::min(next, LinksWake());
  for (const PendingSubscribe& pending : subscribes_) next = std::min(next, pending.deadline);
  if (!pings_.empty()) next = std::min(next, pings_.front().asked + kPingTimeout);
  if (draining_ && !drained_) next = std::min(next, drain_deadline_);
  return next;
}

void Node::Impl::ReadDeadlines() const {
  if (std::exchange(deadlines_changed_, false)) slow_wake_ = SlowDeadline();
}

Instant Node::Impl::LinksWake() const {
  if (links_wake_.moved || links_wake_.patience != Patience({})) {
    Instant next = kNever;
    for (const auto& [id, link] : links_) {
      next = std::min({next, link.next_heartbeat, link.replace_at});
      next =
          std::min(next, link.last_heard + Patience(link.suspected ? kDeadAfter : kSuspectAfter));
    }
    links_wake_ = {next, false, Patience({})};
  }
  return links_wake_.at;
}

Instant Node::Impl::QueuesWake() const {
  if (queues_wake_.moved) {
    Instant next = kNever;
    for (const auto& [id, session] : sessions_) next = std::min(next, session.pressure.NextWake());
    for (const auto& [id, peer] : peers_) {
      next = std::min({next, peer.pressure.NextWake(), peer.grant_at, peer.surplus_at,
                       peer.relay_pressure.NextWake(), peer.replace_by});
    }
    queues_wake_ = {next, false};
  }
  return queues_wake_.at;
}

// A queue holds this much now.
void Node::Impl::Weigh(Instant now, flow::Pressure& queue, std::uint64_t bytes, Duration block) {
  const Instant before = queue.NextWake();
  pressure_eased_ |= queue.Update(now, bytes, block);
  queues_wake_.moved |= queue.NextWake() != before;
}

Instant Node::Impl::NextWake() const {
  ReadDeadlines();
  if (sign_due_ || overrun_) return Instant{};  // at once
  return std::min({slow_wake_, LargeDeadline(), QueuesWake()});
}

// --- Looking in ----------------------------------------------------------------------------------

Census Node::Impl::TakeCensus() const {
  Census census;
  census.peers = members_.size() + 1;
  census.links = links_.size();
  census.sessions = sessions_.size();
  census.patterns = interest_.patterns();
  census.held_publishes = held_.size();
  for (const auto& [id, session] : sessions_) {
    census.subscriptions += session.subscriptions.size();
    census.session_queue_bytes += session.outbox.bytes();
    census.slow_sessions += session.pressure.state() == flow::Pressure::State::kSlow;
  }
  census.large = large_.on;
  census.neighbors = overlay_.Active().size();
  census.passive = overlay_.Passive().size();
  census.cached_bytes = trees_.cached_bytes();
  census.waiting_bytes = trees_.held_bytes();
  census.table_bytes = members_.HeapBytes() + quorum_.roll_bytes() + book_.known_bytes() +
                       receipts_.heap_bytes() + baselines_.heap_bytes() + reported_.heap_bytes();
  constexpr std::size_t kHolders = 3;  // a row, the roll, and the address book
  for (const auto& [id, row] : members_.rows()) {
    census.table_bytes += row.record.HeapShare(kHolders);
  }
  for (const auto& [id, peer] : peers_) {
    census.link_queue_bytes += peer.outbox.bytes();
    census.relay_queue_bytes += peer.relay.bytes();
    census.withheld_links += !peer.waits_for.empty() || peer.grant_at != kNever;
  }
  return census;
}

std::vector<membership::PeerView> Node::Impl::Peers() const {
  std::vector<membership::PeerView> rows;
  membership::PeerView self;
  self.id = config_.self;
  self.name = config_.name;
  self.state = draining_ ? membership::State::kLeft : membership::State::kAlive;
  self.self = true;
  self.since = started_;
  self.epoch = config_.epoch;
  self.incarnation = own_incarnation_;
  if (own_record_) {
    self.addresses = own_record_->addresses;
    self.metrics_address = own_record_->metrics_address;
    self.software = own_record_->software;
    self.certificate_expiry = own_record_->certificate_expiry;
  }
  rows.push_back(std::move(self));
  for (const auto& [id, row] : members_.rows()) rows.push_back(members_.View(row));
  return rows;
}

void Node::Impl::CheckInvariants() const {
  members_.CheckInvariants();
  book_.CheckInvariants();
  interest_.CheckInvariants();
  overlay_.CheckInvariants();
  trees_.CheckInvariants();
  quorum_.CheckInvariants();
  PM_CHECK(links_.size() <= kMaxLinks);
  PM_CHECK(dirty_peers_.empty() && dirty_sessions_.empty() && built_.empty() && runs_.empty());
  std::size_t links = 0;
  for (const auto& [id, peer] : peers_) {
    const auto winner = links_.find(peer.winner);
    PM_CHECK(winner != links_.end() && winner->second.peer == id);
    PM_CHECK(peer.sending == peer.winner || (peer.loser && peer.sending == peer.loser));
    PM_CHECK(!peer.loser || links_.contains(peer.loser));
    PM_CHECK(bool(peer.loser) == (peer.replace_by != kNever));
    PM_CHECK(!winner->second.end_queued);
    PM_CHECK(peer.block <= kMaxBlockTimeout);
    PM_CHECK(bool(peer.owed_messages || peer.owed_bytes) == (peer.grant_at != kNever));
    if (peer.interest_known) {
      const routing::ChannelNumbers& base = baselines_.Of(id);
      for (std::uint32_t channel = 0; channel < kChannels; ++channel) {
        PM_CHECK(base.next(channel) <= peer.accounted.next(channel));
        PM_CHECK(peer.accounted.next(channel) <= numbers_.next(channel));
      }
    }
    links += peer.loser ? 2 : 1;
    peer.outbox.CheckInvariants();
    peer.relay.CheckInvariants();
    PM_CHECK(large_.on ? peer.doubters.empty() : peer.surplus_at == kNever);
    PM_CHECK(std::is_sorted(peer.doubters.begin(), peer.doubters.end()));
    for (const PeerId& doubter : peer.doubters) PM_CHECK(peers_.contains(doubter));
    const membership::Row* row = members_.Find(id);
    PM_CHECK(row != nullptr && row->connection == membership::Connection::kConnected);
  }
  PM_CHECK(links == links_.size());
  for (const PeerId& neighbor : overlay_.Active()) PM_CHECK(peers_.contains(neighbor));
  PM_CHECK(large_.waiting.size() <= kMaxWaitingStreams);
  std::uint64_t aside_bytes = 0;
  for (const auto& [stream, aside] : large_.aside) {
    PM_CHECK(!aside.runs.empty() && receipts_.Has(stream.origin));
    for (const RunAside& one : aside.runs) aside_bytes += one.run.bytes();
  }
  PM_CHECK(aside_bytes == large_.aside_bytes && aside_bytes <= kMaxAsideBytes + kMaxPublishBytes);
  for (const auto& [id, link] : links_) {
    PM_CHECK(peers_.contains(link.peer));
    PM_CHECK(link.control.size() <= kMaxControlQueue);
    PM_CHECK(!(link.stash && link.reading));
    PM_CHECK(!link.stash || id == peers_.at(link.peer).winner);
    PM_CHECK(!link.end_sent || link.end_queued);
    PM_CHECK(!link.farewell_sent || (link.end_sent && link.end_received));
    PM_CHECK(link.overrun || link.control_busy || (link.control.empty() && !link.snapshot_due));
    PM_CHECK(link.staged.size() <= kMaxSubscriptions);
  }
  std::map<PrincipalId, std::size_t> sessions;
  std::size_t subscriptions = 0, open = 0;
  for (const auto& [id, session] : sessions_) {
    open += !session.closing;
    session.outbox.CheckInvariants();
    ++sessions[session.principal];
    subscriptions += session.subscriptions.size();
    PM_CHECK(session.subscriptions.size() <= kMaxSubscriptionsPerSession);
    // Nothing waits while the session could take it.
    PM_CHECK(session.closing || session.busy || session.outbox.empty());
  }
  PM_CHECK(open <= kMaxSessions);  // refused ones are closing from the start
  PM_CHECK(subscriptions == interest_.local_subscriptions());
  PM_CHECK(principals_.size() <= kMaxPrincipals + kMaxSessions);
  for (const auto& [id, principal] : principals_) {
    PM_CHECK(principal.sessions == (sessions.contains(id) ? sessions.at(id) : 0));
  }
  std::set<SessionId> publishing;
  for (const Publish& held : held_) {
    PM_CHECK(sessions_.contains(held.session));
    PM_CHECK(publishing.insert(held.session).second);
  }
  PM_CHECK(receipts_.size() <= kMaxPeers && baselines_.size() <= kMaxPeers);
  for (const PendingSubscribe& pending : subscribes_) PM_CHECK(sessions_.contains(pending.session));
  PM_CHECK(pings_.size() <= kMaxPings);
  for (const PendingPing& ping : pings_) {
    const auto link = links_.find(ping.link);
    PM_CHECK(link != links_.end() && link->second.peer == ping.peer);
    PM_CHECK(ping.number <= link->second.heartbeats_sent);
  }
  PM_CHECK(!drained_ || draining_);
  // What is kept of deadlines is what a walk finds.
  const Instant links_wake = LinksWake(), queues_wake = QueuesWake();
  links_wake_.moved = queues_wake_.moved = true;
  PM_CHECK(links_wake == LinksWake() && queues_wake == QueuesWake());
}

std::uint64_t Node::Impl::Digest() const {
  peermesh::Digest digest;
  digest.Add(members_.Digest()).Add(book_.Digest()).Add(interest_.Digest()).Add(receipts_.Digest());
  digest.Add(overlay_.Digest()).Add(trees_.Digest()).Add(quorum_.Digest());
  digest.Add(large_.on).Add(large_.seeking).Add(large_.statement_number).Add(large_.waiting.size());
  digest.Add(rng_.Digest())
      .Add(own_incarnation_)
      .Add(draining_)
      .Add(held_.size())
      .Add(subscribes_.size())
      .Add(pings_.size());
  for (std::uint32_t channel = 0; channel < kChannels; ++channel)
    digest.Add(numbers_.next(channel));
  for (const auto& [id, link] : links_) {
    digest.Add(id.value)
        .Add(link.peer)
        .Add(link.epoch)
        .Add(link.last_heard)
        .Add(link.control.size());
  }
  for (const auto& [id, peer] : peers_) {
    digest.Add(id).Add(peer.winner.value).Add(peer.loser.value).Add(peer.outbox.bytes());
    peer.pressure.AddTo(digest);
  }
  for (const auto& [id, session] : sessions_) {
    digest.Add(id.value).Add(session.subscriptions.size()).Add(session.outbox.bytes());
    session.pressure.AddTo(digest);
  }
  digest.Add(stats_.published_messages)
      .Add(stats_.delivered_messages)
      .Add(stats_.received_messages);
  return digest.value();
}

}  // namespace peermesh::node
