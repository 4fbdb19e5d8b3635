// Links: up, down, replacement without a break, heartbeats, and the data lane.
//
// Two links to one peer. Both ends keep the same one: a newer epoch beats an older, the newer of two that one
// side dialled beats the older, and of two dialled by different sides the one dialled by the smaller id stays.
// The winner carries data once the other side has said LinkReady on it; the loser carries what was under way,
// then `end`. A receiver reads the loser to its end before it looks at the winner, so order survives.
#include <algorithm>

#include "mesh/node/node_impl.h"

namespace peermesh::node {
namespace {

using membership::StateReason;

StateReason ReasonOf(DownReason why) {
  switch (why) {
    case DownReason::kClosedByPeer: return StateReason::kLinkClosed;
    case DownReason::kTransport: return StateReason::kLinkBroken;
    case DownReason::kClosedByUs: return StateReason::kLinkClosed;
    case DownReason::kProtocol: return StateReason::kProtocolError;
    case DownReason::kStalled: return StateReason::kStalled;
  }
  return StateReason::kLinkBroken;
}

// Part of a certificate's remaining life after which the dialler replaces the link: later than the last
// moment of a timely renewal (80 %), early enough for many tries.
constexpr int kReplaceAtPercent = 85;

}  // namespace

Node::Impl::Link* Node::Impl::FindLink(LinkId id) {
  const auto it = links_.find(id);
  return it == links_.end() ? nullptr : &it->second;
}

void Node::Impl::On(Instant now, LinkUp& up, Effects& out) {
  PM_CHECK(up.link && !links_.contains(up.link));
  if (up.dial) {
    book_.Succeeded(up.dial, up.peer);
    dialled_.erase(up.dial);
  }
  if (up.peer == config_.self || links_.size() >= kMaxLinks || (draining_ && goodbye_said_)) {
    out.push_back(Close{up.link});
    return;
  }
  ++stats_.links_up;
  Link& link = links_[up.link];
  link.id = up.link;
  link.peer = up.peer;
  link.direction = up.direction;
  link.epoch = up.epoch;
  link.age = next_age_++;
  link.up_at = link.last_heard = now;
  link.next_heartbeat = now;
  link.expires = up.expires;
  if (up.expires != kNever && up.expires > now && up.direction == Direction::kOutbound) {
    link.replace_at = now + (up.expires - now) * kReplaceAtPercent / 100;
  }
  const bool first = !peers_.contains(up.peer);
  if (first) {
    FirstLink(link);
  } else {
    SecondLink(now, peers_.at(up.peer), link, out);
    if (!links_.contains(up.link)) return;
  }
  members_.LinkUp(now, up.peer, up.name, up.epoch, up.software, up.certificate_expiry,
                  static_cast<std::uint8_t>(up.direction));
  book_.Linked(now, up.peer);
  Greet(now, link);
  MaybeGrant(now, peers_.at(up.peer), out);
  dirty_peers_.insert(up.peer);
  if (first) Broadcast(PeerStates{{BeliefAbout(up.peer)}}, up.peer);
}

void Node::Impl::FirstLink(const Link& link) {
  Peer& peer = peers_[link.peer];
  peer.winner = peer.sending = link.id;
  receipts_.Begin(link.peer, link.epoch);
  // What was published before this link is not on it: account from here.
  peer.accounted = numbers_;
}

bool Node::Impl::NewerWins(const Link& old, const Link& fresh) const {
  PM_CHECK(old.age < fresh.age);
  if (old.direction == fresh.direction) return true;
  const bool fresh_dialled_by_us = fresh.direction == Direction::kOutbound;
  return fresh_dialled_by_us == (config_.self < fresh.peer);
}

void Node::Impl::SecondLink(Instant now, Peer& peer, Link& link, Effects& out) {
  Link& old = *FindLink(peer.winner);
  const PeerId id = link.peer;
  const LinkId fresh = link.id;
  if (link.epoch > old.epoch) {
    // The peer restarted; its old process cannot answer any more.
    const LinkId winner = peer.winner, loser = peer.loser;
    if (loser) DropLink(now, loser, StateReason::kLinkBroken, true, out);
    // Dropping the last old link would lose the peer; it lives on in the new link.
    links_.erase(winner);
    out.push_back(Close{winner});
    ++stats_.links_down;
    ForgetPeer(id);
    FirstLink(*FindLink(fresh));
    return;
  }
  if (link.epoch < old.epoch || peer.loser) {
    PushControl(link, Goodbye{GoodbyeReason::kDuplicate});
    FlushControl(link, out);
    out.push_back(Close{fresh});
    links_.erase(fresh);
    ++stats_.links_down;
    out.push_back(Note{NoteKind::kDuplicateLinkClosed, id, {}, fresh});
    return;
  }
  peer.replace_by = now + kReplaceTimeout;
  if (NewerWins(old, link)) {
    peer.loser = peer.winner;
    peer.winner = fresh;  // data stays on the old one until this one is confirmed
  } else {
    peer.loser = fresh;
    link.marks_due = false;  // nothing but the end will be sent here
  }
}

// Data moves to the winner once the other side has confirmed it.
void Node::Impl::MaybeMoveData(Peer& peer) {
  if (!peer.loser) return;
  Link& winner = *FindLink(peer.winner);
  Link& loser = *FindLink(peer.loser);
  if (peer.sending == peer.loser && !winner.ready) return;
  loser.end_queued = true;
}

// The loser goes when both ends have ended on it.
void Node::Impl::MaybeRetire(Instant now, Peer& peer, Effects& out) {
  if (!peer.loser) return;
  Link& loser = *FindLink(peer.loser);
  if (!loser.end_sent || !loser.end_received) return;
  ++stats_.links_replaced;
  out.push_back(Note{NoteKind::kLinkReplaced, loser.peer, {}, loser.id});
  PushControl(loser, Goodbye{GoodbyeReason::kReplaced});
  FlushControl(loser, out);
  DropLink(now, loser.id, StateReason::kLinkClosed, true, out);
}

void Node::Impl::On(Instant now, const LinkDown& down, Effects& out) {
  if (FindLink(down.link) != nullptr) DropLink(now, down.link, ReasonOf(down.why), false, out);
}

void Node::Impl::DropLink(Instant now, LinkId id, StateReason why, bool close, Effects& out) {
  const auto it = links_.find(id);
  PM_CHECK(it != links_.end());
  if (close) out.push_back(Close{id});
  ++stats_.links_down;
  const PeerId peer_id = it->second.peer;
  Peer& peer = peers_.at(peer_id);
  links_.erase(it);
  members_changed_ = true;
  if (!peer.loser) {
    LosePeer(now, peer_id, why);
    return;
  }
  const LinkId other = id == peer.winner ? peer.loser : peer.winner;
  Link& rest = *FindLink(other);
  if (id == peer.winner && (rest.end_sent || rest.end_received)) {
    // We, or they, have already said that nothing more comes on the one that is left.
    peer.winner = peer.sending = other;
    peer.loser = {};
    peer.replace_by = kNever;
    DropLink(now, other, why, true, out);
    return;
  }
  peer.winner = other;
  peer.loser = {};
  peer.replace_by = kNever;
  rest.end_queued = false;
  if (peer.sending != other) {
    peer.sending = other;
    rest.marks_due = true;
  }
  dirty_peers_.insert(peer_id);
  MaybeGrant(now, peer, out);
}

// What was queued for the peer is lost; the marks of its next link will tell it so.
void Node::Impl::ForgetPeer(PeerId id) {
  const auto it = peers_.find(id);
  PM_CHECK(it != peers_.end());
  Peer& peer = it->second;
  if (peer.pressure.holding()) pressure_eased_ = true;
  while (!peer.outbox.empty()) {
    const flow::Run run = peer.outbox.PopFront();
    stats_.dropped_messages[static_cast<std::size_t>(LossReason::kLinkLost)] += run.items.size();
  }
  interest_.ClearRemote(id);
  peers_.erase(it);
  dirty_peers_.erase(id);
  ConfirmedBy(id);
}

// The last link to a peer is gone.
void Node::Impl::LosePeer(Instant now, PeerId id, StateReason why) {
  ForgetPeer(id);
  members_.LinkDown(now, id, why);
  members_.ForgetBeliefsOf(now, id);
  book_.Unlinked(now, id);
  const membership::PeerView* row = members_.Find(id);
  if (row != nullptr && row->state == membership::State::kLeft) book_.Rest(id);
  Broadcast(PeerStates{{BeliefAbout(id)}});
}

// --- Heartbeats and the control lane --------------------------------------------------------------------------

// What a new link begins with, whatever the other side may still know: it costs little and is always right.
void Node::Impl::Greet(Instant now, Link& link) {
  PushControl(link, LinkReady{});
  SendHeartbeat(now, link);
  SendSnapshot(link);
  SendRecords(link);
  SendBeliefs(link);
  MaybeMoveData(peers_.at(link.peer));
}

void Node::Impl::SendHeartbeat(Instant now, Link& link) {
  link.next_heartbeat = now + kHeartbeat;
  Heartbeat beat;
  beat.number = ++link.heartbeats_sent;
  beat.echo = link.heard_number;
  beat.echo_delay = link.heard_number == 0 ? Duration{} : now - link.heard_number_at;
  beat.interest_generation = interest_.generation();
  beat.interest_hash = interest_.hash();
  link.heartbeat_sent_at[beat.number % kHeartbeatMemory] = now;
  PushControl(link, beat);
  // Marks on the data lane, in order with the data: a hole nobody announced shows within a heartbeat.
  Peer& peer = peers_.at(link.peer);
  if (peer.sending == link.id && !link.end_queued) link.marks_due = true;
  dirty_peers_.insert(link.peer);
}

void Node::Impl::WakeLinks(Instant now, Effects& out) {
  std::vector<LinkId> silent;
  for (auto& [id, link] : links_) {
    if (link.last_heard + kDeadAfter <= now) {
      silent.push_back(id);
      continue;
    }
    if (!link.suspected && link.last_heard + kSuspectAfter <= now) {
      link.suspected = true;
      if (peers_.at(link.peer).winner == id) members_.Silent(now, link.peer);
    }
    if (link.next_heartbeat <= now) SendHeartbeat(now, link);
    if (link.replace_at <= now) {
      link.replace_at = kNever;
      if (const auto attempt = book_.Replace(now, link.peer)) {
        ++stats_.dials;
        out.push_back(Dial{attempt->dial, attempt->address, attempt->expected});
      }
      // Should that come to nothing: again after the same part of what is left, not in a busy loop.
      const Duration left = link.expires == kNever ? Duration::max() : link.expires - now;
      if (left > std::chrono::seconds(1)) {
        const Duration wait = std::max<Duration>(left * kReplaceAtPercent / 100, std::chrono::seconds(1));
        link.replace_at = link.expires == kNever ? now + kRedialMax : now + wait;
      }
    }
  }
  for (const LinkId id : silent) {
    if (FindLink(id) != nullptr) DropLink(now, id, StateReason::kHeartbeatTimeout, true, out);
  }
  std::vector<LinkId> late;
  for (const auto& [id, peer] : peers_) {
    if (peer.replace_by <= now) late.push_back(peer.loser);
  }
  for (const LinkId id : late) {
    if (FindLink(id) != nullptr) DropLink(now, id, StateReason::kStalled, true, out);
  }
}

void Node::Impl::PushControl(Link& link, ControlFrame frame) {
  if (link.control.size() < kMaxControlQueue) {
    link.control.push_back(std::move(frame));
  } else {
    // It has not read for so long that silence will end the link; make it certain.
    link.last_heard = Instant::min() + kDeadAfter;
    link.control.clear();
    members_changed_ = true;
  }
}

void Node::Impl::Broadcast(const ControlFrame& frame, std::optional<PeerId> except) {
  for (auto& [id, link] : links_) {
    if (link.peer != except) PushControl(link, frame);
  }
}

void Node::Impl::FlushControl(Link& link, Effects& out) {
  if (link.control_busy || link.control.empty()) return;
  link.control_busy = true;
  out.push_back(SendControl{link.id, std::move(link.control.front())});
  link.control.pop_front();
}

void Node::Impl::On(Instant now, const SendDone& done, Effects& out) {
  Link* link = FindLink(done.link);
  if (link == nullptr) return;
  if (done.lane == Lane::kControl) {
    PM_CHECK(link->control_busy);
    link->control_busy = false;
    return;
  }
  PM_CHECK(link->data_busy);
  link->data_busy = false;
  dirty_peers_.insert(link->peer);
  if (link->end_sent) MaybeRetire(now, peers_.at(link->peer), out);
}

// --- The data lane ----------------------------------------------------------------------------------------------

void Node::Impl::AddMarks(const Peer& peer, DataFrame& frame) const {
  for (std::uint32_t channel = 0; channel < kChannels; ++channel) {
    flow::Run mark;
    mark.channel = channel;
    mark.first = mark.next = peer.accounted.next(channel);
    mark.mark = true;
    if (mark.first > 1) frame.runs.push_back(std::move(mark));
  }
}

void Node::Impl::FlushData(Instant now, PeerId, Peer& peer, Effects& out) {
  const bool was_holding = peer.pressure.holding();
  if (peer.outbox.empty()) peer.block = {};
  peer.pressure.Update(now, peer.outbox.bytes(), peer.block);
  if (peer.pressure.overfull(peer.outbox.bytes())) Overflow(peer, out);
  // First what ends the old link, then what goes over the new one.
  if (peer.loser) {
    Link& loser = *FindLink(peer.loser);
    if (loser.end_queued && !loser.end_sent && !loser.data_busy) {
      loser.data_busy = loser.end_sent = true;
      DataFrame end;
      end.end = true;
      out.push_back(SendData{loser.id, std::move(end)});
      peer.sending = peer.winner;
    }
  }
  Link& link = *FindLink(peer.sending);
  if (!link.data_busy && !link.end_queued && (!peer.outbox.empty() || link.marks_due)) {
    DataFrame frame;
    // Marks say what the next run begins with, so they go out only when nothing is queued before them; a
    // run's own first number says the same for its channel.
    if (link.marks_due && peer.outbox.empty()) {
      AddMarks(peer, frame);
      link.marks_due = false;
    }
    for (flow::Run& run : peer.outbox.TakeUpTo(kFlushBytes)) {
      stats_.sent_messages += run.items.size();
      for (const flow::Item& item : run.items) stats_.sent_bytes += run.batch->rows[item.row].record_length;
      frame.runs.push_back(std::move(run));
    }
    if (!frame.runs.empty()) {
      link.data_busy = true;
      out.push_back(SendData{link.id, std::move(frame)});
    }
    peer.pressure.Update(now, peer.outbox.bytes(), peer.block);
  }
  if (was_holding && !peer.pressure.holding()) pressure_eased_ = true;
}

// The queue to a peer is full and its hold-back used up: the older half goes, and the peer is told.
void Node::Impl::Overflow(Peer& peer, Effects& out) {
  std::map<std::uint32_t, flow::Run> lost;  // one announcement per channel
  std::uint64_t messages = 0;
  while (peer.outbox.bytes() > peer.pressure.half()) {
    const flow::Run run = peer.outbox.PopFront();
    messages += run.items.size();
    const auto [it, fresh] = lost.try_emplace(run.channel);
    if (fresh) it->second.first = run.first;
    it->second.next = run.next;
  }
  for (auto& [channel, run] : lost) {
    run.channel = channel;
    run.lost = run.next - run.first;
    run.lost_reason = LossReason::kSlowLink;
    peer.outbox.PushFront(std::move(run));
  }
  stats_.dropped_messages[static_cast<std::size_t>(LossReason::kSlowLink)] += messages;
  out.push_back(Note{NoteKind::kLinkSlow, FindLink(peer.winner)->peer, {}, peer.winner,
                     static_cast<std::uint8_t>(LossReason::kSlowLink), messages});
}

bool Node::Impl::MayRead(const Peer& peer, const Link& link) const {
  if (link.reading || link.stash || link.end_received) return false;
  if (link.id == peer.winner && peer.loser && !links_.at(peer.loser).end_received) return false;
  return true;
}

// Grants the next data frame unless the last one filled somebody's queue, or came faster than allowed.
void Node::Impl::MaybeGrant(Instant now, Peer& peer, Effects& out) {
  std::erase_if(peer.waits_for, [&](SessionId id) {
    const auto it = sessions_.find(id);
    return it == sessions_.end() || !it->second.pressure.holding();
  });
  if (!peer.waits_for.empty() || peer.grant_at != kNever) return;
  Link& winner = *FindLink(peer.winner);
  if (peer.loser) {
    Link& loser = *FindLink(peer.loser);
    if (MayRead(peer, loser)) {
      loser.reading = true;
      out.push_back(ReadNext{loser.id});
    }
    if (!loser.end_received) return;
  }
  if (winner.stash) {
    DataFrame early = std::move(*winner.stash);
    winner.stash.reset();
    Receive(now, winner, early, out);
    return;
  }
  if (MayRead(peer, winner)) {
    winner.reading = true;
    out.push_back(ReadNext{winner.id});
  }
}

void Node::Impl::On(Instant now, DataIn& in, Effects& out) {
  Link* link = FindLink(in.link);
  if (link == nullptr) return;
  PM_CHECK(link->reading);
  link->reading = false;
  link->last_heard = now;
  Peer& peer = peers_.at(link->peer);
  if (link->id == peer.winner && peer.loser && !FindLink(peer.loser)->end_received) {
    link->stash = std::move(in.frame);
    return;
  }
  Receive(now, *link, in.frame, out);
}

void Node::Impl::Receive(Instant now, Link& link, DataFrame& frame, Effects& out) {
  Peer& peer = peers_.at(link.peer);
  std::vector<SessionId> fed;
  std::uint64_t messages = 0, bytes = 0;
  for (flow::Run& run : frame.runs) {
    messages += run.items.size();
    for (const flow::Item& item : run.items) bytes += run.batch->rows[item.row].record_length;
    ReceiveRun(now, link, run, fed, out);
  }
  stats_.received_messages += messages;
  stats_.received_bytes += bytes;
  if (frame.end) {
    link.end_received = true;
    MaybeRetire(now, peer, out);
  }
  // A frame may be larger than a burst: it is taken whole, and the next one waits until it is paid for.
  const auto wait_for = [&](limits::Gcra& bucket, const limits::Rate& rate, std::uint64_t units) {
    const auto cost = std::min<std::int64_t>(static_cast<std::int64_t>(units), std::max<std::int64_t>(rate.burst, 1));
    const auto until = bucket.TryTake(rate, cost, now);
    if (until && *until != kNever) peer.grant_at = peer.grant_at == kNever ? *until : std::max(peer.grant_at, *until);
  };
  wait_for(peer.message_rate, config_.limits.peer_messages, messages);
  wait_for(peer.byte_rate, config_.limits.peer_bytes, bytes);
  peer.waits_for.insert(peer.waits_for.end(), fed.begin(), fed.end());
  std::sort(peer.waits_for.begin(), peer.waits_for.end());
  peer.waits_for.erase(std::unique(peer.waits_for.begin(), peer.waits_for.end()), peer.waits_for.end());
  MaybeGrant(now, peer, out);
}

void Node::Impl::ReceiveRun(Instant now, Link& link, flow::Run& run, std::vector<SessionId>& fed,
                            Effects& out) {
  const PeerId origin = link.peer;
  const std::uint64_t channel_bit = std::uint64_t{1} << run.channel;
  if (const auto hole = receipts_.Expect(origin, run.channel, run.first)) {
    // Before the first word on this channel a link was lost; after it there is no excuse.
    const bool seen = (link.channels_seen & channel_bit) != 0;
    AnnounceGap(origin, link.epoch, run.channel, hole->from, hole->to,
                seen ? LossReason::kMissing : LossReason::kLinkLost, out);
  }
  link.channels_seen |= channel_bit;
  if (run.lost > 0) {
    AnnounceGap(origin, link.epoch, run.channel, run.first, run.first + run.lost - 1, run.lost_reason, out);
    receipts_.Settle(origin, run.channel, run.first + run.lost);
  }
  flow::Delivery like;
  like.origin = origin;
  like.epoch = link.epoch;
  like.channel = run.channel;
  like.publish_time_us = run.publish_time_us;
  like.batch = run.batch;
  for (const flow::Item& item : run.items) {
    if (!receipts_.Accept(origin, run.channel, item.sequence)) {
      ++stats_.duplicates;
      continue;
    }
    interest_.Match(run.batch->subject(run.batch->rows[item.row]), matched_);
    BuildLocal(like, item.row, item.sequence);
  }
  receipts_.Settle(origin, run.channel, run.next);
  for (const auto& [session, delivery] : built_) fed.push_back(session);
  FlushBuilt();
  for (const SessionId id : fed) {
    // Sessions decide at once, so that the grant for the next frame knows.
    Session& session = sessions_.at(id);
    session.pressure.Update(now, session.outbox.bytes(), session.block);
  }
}

void Node::Impl::Misbehaved(Instant now, LinkId id, Effects& out) {
  Link* link = FindLink(id);
  if (link == nullptr) return;
  ++stats_.peer_misbehaved;
  out.push_back(Note{NoteKind::kPeerMisbehaved, link->peer, {}, id});
  PushControl(*link, Goodbye{GoodbyeReason::kMisbehaved});
  FlushControl(*link, out);
  DropLink(now, id, StateReason::kProtocolError, true, out);
}

}  // namespace peermesh::node
