// Links: up, down, replacement without a break, heartbeats, and the control lane.
//
// Two links to one peer. Both ends keep the same one: a newer epoch beats an older, the one dialled
// later beats the other of two that one side dialled, and of two dialled by different sides the one
// dialled by the smaller id stays. The winner carries data once the other side has said LinkReady
// on it; the loser carries what was under way, then `end`. A receiver reads the loser to its end
// before it looks at the winner, so order survives. Who has sent its own end and read the other's
// says Goodbye{kReplaced}, and only when both have said it the loser is closed: a link closed
// earlier would take unread messages with it.
#include <algorithm>
#include <bit>

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

// Part of a certificate's remaining life after which the dialler replaces the link: later than the
// last moment of a timely renewal (80 %), early enough for many tries.
constexpr int kReplaceAtPercent = 85;

bool NewerWins(PeerId self, const Link& old, const Link& fresh) {
  PM_CHECK(old.id != fresh.id && old.peer == fresh.peer && old.epoch == fresh.epoch);
  // The order in which they came up may differ between the ends; the dialler's count does not.
  if (old.direction == fresh.direction) return fresh.dial_count >= old.dial_count;
  const bool fresh_dialled_by_us = fresh.direction == Direction::kOutbound;
  return fresh_dialled_by_us == (self < fresh.peer);
}

}  // namespace

Link* Node::Impl::FindLink(LinkId id) {
  const auto it = links_.find(id);
  return it == links_.end() ? nullptr : &it->second;
}

void Node::Impl::On(Instant now, LinkUp& up, Effects& out) {
  PM_CHECK(up.link && !links_.contains(up.link));
  PM_CHECK(bool(up.dial) == (up.direction == Direction::kOutbound));
  PM_CHECK(up.epoch != 0);
  if (RefuseLink(now, up, out)) return;
  if (up.dial) {
    book_.Succeeded(up.dial, up.peer);
    dialled_.erase(up.dial);
  }
  ++stats_.links_up;
  links_wake_.moved = queues_wake_.moved = true;
  Link& link = links_[up.link];
  link.id = up.link;
  link.peer = up.peer;
  link.direction = up.direction;
  link.epoch = up.epoch;
  link.dial_count = up.dial ? up.dial.value : up.dial_count;
  link.since = link.last_heard = link.answered = now;
  link.next_heartbeat = now;
  link.expires = up.expires;
  if (up.expires != kNever && up.expires > now && up.direction == Direction::kOutbound) {
    link.replace_at = now + (up.expires - now) / 100 * kReplaceAtPercent;
  }
  const auto known = peers_.find(up.peer);
  const bool first = known == peers_.end();
  const bool restarted = !first && links_.at(known->second.winner).epoch < up.epoch;
  if (first) {
    FirstLink(link);
  } else {
    SecondLink(now, peers_.at(up.peer), link, out);
    if (!links_.contains(up.link)) return;
  }
  const membership::Row* row = members_.Find(up.peer);
  const bool was_lost = row != nullptr && row->state == membership::State::kDead;
  members_.LinkUp(now, up.peer, up.name, up.epoch, up.software, up.certificate_expiry,
                  static_cast<std::uint8_t>(links_.at(peers_.at(up.peer).winner).direction));
  book_.Linked(now, up.peer);
  Greet(now, link);
  MaybeGrant(now, peers_.at(up.peer), out);
  dirty_peers_.insert(up.peer);
  if (first) TellBelief(up.peer, up.peer);
  if (first || restarted) MeetInOverlay(now, up.peer, was_lost, out);
}

void Node::Impl::TellBelief(PeerId about, std::optional<PeerId> except) {
  if (!large_.on) Broadcast(PeerStates{{BeliefAbout(about)}}, except);
}

// A link we do not want: with ourselves, one too many, or while we leave.
bool Node::Impl::RefuseLink(Instant now, const LinkUp& up, Effects& out) {
  const bool self = up.peer == config_.self;
  if (!self && links_.size() < kMaxLinks && !draining_) return false;
  out.push_back(Close{up.link});
  if (!up.dial) return true;
  // To the address book the dial came to nothing, or it would wait for the end of a link that never
  // was.
  if (self) {
    book_.IsSelf(now, up.dial);
  } else {
    book_.Failed(now, up.dial);
  }
  if (const auto it = dialled_.find(up.dial); it != dialled_.end()) {
    members_.DialFailed(now, it->second, StateReason::kDialRejected);
    dialled_.erase(it);
  }
  return true;
}

void Node::Impl::FirstLink(const Link& link) {
  Peer& peer = peers_[link.peer];
  PM_CHECK(!peer.winner);
  peer.winner = peer.sending = link.id;
  receipts_.Begin(link.peer, link.epoch);
  for (PendingSubscribe& pending : subscribes_) pending.waiting.insert(link.peer);
}

// The peer restarted; its old process cannot answer any more. It lives on in the new link.
void Node::Impl::ReplaceProcess(Instant now, const Link& fresh, Effects& out) {
  const Peer& peer = peers_.at(fresh.peer);
  for (const LinkId old : {peer.winner, peer.loser}) {
    if (!old) continue;
    links_.erase(old);
    out.push_back(Close{old});
    ++stats_.links_down;
  }
  TakeAside(now, fresh.peer, out);
  ForgetPeer(fresh.peer);
  members_.ForgetBeliefsOf(now, fresh.peer);
  overlay_.Unlinked(now, fresh.peer, overlay::Loss::kInOrder, large_.overlay_wishes);
  Apply(now, large_.overlay_wishes, out);
  FirstLink(fresh);
}

void Node::Impl::SecondLink(Instant now, Peer& peer, Link& link, Effects& out) {
  const Link& old = *FindLink(peer.winner);
  const PeerId id = link.peer;
  const LinkId fresh = link.id;
  if (link.epoch > old.epoch) return ReplaceProcess(now, link, out);
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
  if (NewerWins(config_.self, old, link)) {
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

// The loser goes when both ends have read each other's end on it.
void Node::Impl::MaybeRetire(Instant now, Peer& peer, Effects& out) {
  if (!peer.loser) return;
  Link& loser = *FindLink(peer.loser);
  if (!loser.end_sent || !loser.end_received) return;
  if (!std::exchange(loser.farewell_sent, true)) {
    PushControl(loser, Goodbye{GoodbyeReason::kReplaced});
    FlushControl(loser, out);
  }
  if (loser.farewell_received) DropLink(now, loser.id, StateReason::kLinkClosed, true, out);
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
  if (id == peer.loser && it->second.end_sent && it->second.end_received) {
    ++stats_.links_replaced;
    out.push_back(Note{NoteKind::kLinkReplaced, peer_id, {}, id});
  }
  // Who has not answered for so long closed it because it hears nothing.
  const bool in_order = why == StateReason::kLinkClosed && !IsLate(now, it->second);
  if (large_.on && !in_order) {
    // What was on its way is lost, and should no other link be made nobody would ever say so.
    for (auto fed = it->second.channels_fed; fed != 0; fed &= fed - 1) {
      const auto channel = static_cast<std::uint32_t>(std::countr_zero(fed));
      if (large_.broken_off.size() >= kMaxWaitingStreams) break;
      large_.broken_off.insert({peer_id, it->second.epoch, channel});
    }
  }
  links_.erase(it);
  deadlines_changed_ = links_wake_.moved = queues_wake_.moved = true;
  if (!peer.loser) {
    LosePeer(now, peer_id, why, in_order, out);
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
  members_.Keep(peer_id, static_cast<std::uint8_t>(rest.direction));
  dirty_peers_.insert(peer_id);
  MaybeGrant(now, peer, out);
}

// What was queued for the peer is lost; the marks of its next link will tell it so.
void Node::Impl::ForgetPeer(PeerId id) {
  const auto it = peers_.find(id);
  PM_CHECK(it != peers_.end());
  Peer& peer = it->second;
  if (peer.pressure.holding() || peer.relay_pressure.holding()) pressure_eased_ = true;
  while (!peer.outbox.empty()) {
    const flow::Run run = peer.outbox.PopFront();
    stats_.dropped_messages[static_cast<std::size_t>(LossReason::kLinkLost)] += run.items.size();
  }
  if (peer.sent_straight) baselines_.End(id, peer.accounted);
  interest_.ClearRemote(id);
  queues_wake_.moved = true;
  peers_.erase(it);
  for (auto [other, its] : peers_) std::erase(its.doubters, id);
  dirty_peers_.erase(id);
  ConfirmedBy(id);
}

// The last link to a peer is gone.
void Node::Impl::LosePeer(Instant now, PeerId id, StateReason why, bool in_order, Effects& out) {
  const bool observed = Observes(now, id);
  ForgetPeer(id);
  members_.LinkDown(now, id, why);
  members_.ForgetBeliefsOf(now, id);
  book_.Unlinked(now, id);
  const membership::Row* row = members_.Find(id);
  const bool left = row != nullptr && row->state == membership::State::kLeft;
  if (left) book_.Rest(id);
  TellBelief(id);
  overlay_.Unlinked(now, id, in_order || left ? overlay::Loss::kInOrder : overlay::Loss::kFailed,
                    large_.overlay_wishes);
  Apply(now, large_.overlay_wishes, out);
  if (large_.on && observed && !in_order && !left) {
    Accuse(id, why, out);
    book_.Lost(now, id);
  }
  if (!in_order) ListenerLost(now, id);
  DeliverWaiting(now, id, out);
}

// --- Heartbeats and the control lane -------------------------------------------------------------

// What a new link begins with, whatever the other side may still know: it costs little and is
// always right.
void Node::Impl::Greet(Instant now, Link& link) {
  PushControl(link, LinkReady{});
  SendHeartbeat(now, link);
  SendSnapshot(link);
  SendRecords(now, link);
  SendBeliefs(link);
  MaybeMoveData(peers_.at(link.peer));
}

void Node::Impl::PushHeartbeat(Instant now, Link& link, bool asks) {
  Heartbeat beat;
  beat.number = ++link.heartbeats_sent;
  beat.echo = link.heard_number;
  beat.echo_delay = link.heard_number == 0 ? Duration{} : now - link.heard_number_at;
  beat.interest_generation = interest_.generation();
  beat.interest_hash = interest_.hash();
  beat.asks = asks;
  if (large_.on && !large_.partial()) beat.table_hash = members_.TableHash();
  if (link.id == peers_.at(link.peer).winner) beat.have = trees_.TakeAnnouncements(now, link.peer);
  link.heartbeat_sent_at[beat.number % kHeartbeatMemory] = ShortTime(now);
  PushControl(link, std::move(beat));
}

// The two ends beat in turns, so that whatever waits for a heartbeat goes over in half a period,
// one way or the other: the accepting side begins so (OnFrame) and keeps to it as far as clocks
// differ.
void Node::Impl::SendHeartbeat(Instant now, Link& link) {
  link.next_heartbeat = now + kHeartbeat;
  links_wake_.moved = true;
  const Instant between = link.heard_number_at + kHeartbeat * 3 / 2;
  if (link.direction == Direction::kInbound && link.heard_number != 0 &&
      between > link.next_heartbeat - kInTurns && between < link.next_heartbeat + kInTurns) {
    link.next_heartbeat = between;
  }
  PushHeartbeat(now, link, false);
  // Marks on the data lane, in order with the data: a hole nobody announced shows within a
  // heartbeat.
  Peer& peer = peers_.at(link.peer);
  if (peer.sending == link.id && !link.end_queued) link.marks_due = true;
  dirty_peers_.insert(link.peer);
}

void Node::Impl::WakeLinks(Instant now, Effects& out) {
  if (!overrun_ && LinksWake() > now && QueuesWake() > now) return;
  std::vector<LinkId> silent, overrun;
  overrun_ = false;
  for (auto [id, link] : links_) {
    if (link.overrun) {
      overrun.push_back(id);
      continue;
    }
    if (link.last_heard + Patience(kDeadAfter) <= now) {
      silent.push_back(id);
      continue;
    }
    if (!link.suspected && link.last_heard + Patience(kSuspectAfter) <= now)
      Suspect(now, link, out);
    if (link.next_heartbeat <= now) {
      Watch(now, link, out);
      SendHeartbeat(now, link);
    }
    if (link.replace_at <= now) WakeReplacement(now, link, out);
  }
  for (const LinkId id : silent) {
    if (FindLink(id) != nullptr) DropLink(now, id, StateReason::kHeartbeatTimeout, true, out);
  }
  for (const LinkId id : overrun) {
    if (FindLink(id) != nullptr) DropLink(now, id, StateReason::kStalled, true, out);
  }
  LoseTogether(now, out);
  std::vector<LinkId> late;
  for (const auto& [id, peer] : peers_) {
    if (peer.replace_by <= now) late.push_back(peer.loser);
  }
  for (const LinkId id : late) {
    if (FindLink(id) != nullptr) DropLink(now, id, StateReason::kStalled, true, out);
  }
}

// Dials once more. Should that come to nothing: again after the same part of what is left, not in a
// busy loop.
void Node::Impl::WakeReplacement(Instant now, Link& link, Effects& out) {
  constexpr Duration kShortest = std::chrono::seconds(1);
  link.replace_at = kNever;
  links_wake_.moved = true;
  if (draining_) return;
  if (const auto attempt = book_.Replace(now, link.peer)) {
    ++stats_.dials;
    dialled_[attempt->dial] = link.peer;
    out.push_back(Dial{attempt->dial, attempt->address, attempt->expected});
  }
  if (link.expires == kNever) {
    link.replace_at = now + kRedialMax;
  } else if (const Duration left = link.expires - now; left > kShortest) {
    link.replace_at = now + std::max<Duration>(left / 100 * kReplaceAtPercent, kShortest);
  }
}

void Node::Impl::PushControl(Link& link, ControlFrame frame) {
  if (link.overrun) return;
  if (link.control.size() >= kMaxControlQueue) {
    link.overrun = overrun_ = true;
    link.control.clear();
    return;
  }
  link.control.push_back(std::move(frame));
  if (!link.control_busy) to_flush_.push_back(link.id);
}

// Beyond the full mesh neighbours pass it on to everybody.
void Node::Impl::Broadcast(const ControlFrame& frame, std::optional<PeerId> except) {
  const bool neighbors_only = large_.on && overlay_.HasActive();
  for (auto [id, link] : links_) {
    if (link.peer == except || (neighbors_only && !overlay_.IsActive(link.peer))) continue;
    PushControl(link, frame);
  }
}

void Node::Impl::FlushControl(Link& link, Effects& out) {
  if (link.control_busy) return;
  if (link.control.empty() && link.snapshot_due) SendSnapshot(link);
  if (link.control.empty()) return;
  link.control_busy = true;
  out.push_back(SendControl{link.id, std::move(link.control.front())});
  link.control.pop_front();
  if (link.control.empty()) link.control = {};  // most links are silent for most of the time
}

void Node::Impl::On(Instant now, const SendDone& done, Effects& out) {
  Link* link = FindLink(done.link);
  if (link == nullptr) return;
  if (done.lane == Lane::kControl) {
    PM_CHECK(link->control_busy);
    link->control_busy = false;
    if (!link->control.empty() || link->snapshot_due) to_flush_.push_back(link->id);
    return;
  }
  PM_CHECK(link->data_busy);
  link->data_busy = false;
  dirty_peers_.insert(link->peer);
  if (link->end_sent) MaybeRetire(now, peers_.at(link->peer), out);
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
