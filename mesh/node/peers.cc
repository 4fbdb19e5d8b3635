// Finding peers and telling of them: dialling, signed records, membership changes, leaving.
#include <algorithm>
#include <bit>
#include <utility>

#include "mesh/node/node_impl.h"

namespace peermesh::node {
namespace {

using membership::StateReason;

StateReason ReasonOf(DialFailure why) {
  switch (why) {
    case DialFailure::kRefused: return StateReason::kConnectionRefused;
    case DialFailure::kUnreachable: return StateReason::kDialUnreachable;
    case DialFailure::kTimeout: return StateReason::kDialTimeout;
    case DialFailure::kRejected:
    case DialFailure::kWrongPeer:
    case DialFailure::kSelf: return StateReason::kDialRejected;
    case DialFailure::kTransport: return StateReason::kLinkBroken;
  }
  return StateReason::kLinkBroken;
}

// After a renewal links are replaced one by one within this time, so that peers do not all shake
// hands at once: guess, a tenth of a second for each of 20 links.
constexpr Duration kReplaceSpread = std::chrono::seconds(2);

}  // namespace

void Node::Impl::DialDue(Instant now, Effects& out) {
  for (discovery::AddressBook::Attempt& attempt : book_.TakeDue(now)) {
    ++stats_.dials;
    if (attempt.expected) {
      members_.Dialling(now, *attempt.expected);
      dialled_[attempt.dial] = *attempt.expected;
    }
    out.push_back(Dial{attempt.dial, std::move(attempt.address), attempt.expected});
  }
}

void Node::Impl::On(Instant now, const DialFailed& failed, Effects& out) {
  ++stats_.dials_failed;
  PeerId peer{};
  if (const auto it = dialled_.find(failed.dial); it != dialled_.end()) {
    peer = it->second;
    members_.DialFailed(now, peer, ReasonOf(failed.why));
    dialled_.erase(it);
  }
  std::optional<PeerId> given_up;
  if (failed.why == DialFailure::kSelf) {
    given_up = book_.IsSelf(now, failed.dial);
    if (peer == PeerId{}) return;  // a seed list may well name ourselves
  } else {
    given_up = book_.Failed(now, failed.dial);
  }
  if (given_up) {
    if (const auto asked = large_.borrowed.find(*given_up); asked != large_.borrowed.end()) {
      asked->second = now;
    }
    overlay_.CannotReach(now, *given_up, large_.overlay_wishes);
    Apply(now, large_.overlay_wishes, out);
  }
  out.push_back(Note{NoteKind::kDialFailed, peer, {}, {}, static_cast<std::uint8_t>(failed.why)});
}

void Node::Impl::On(Instant, RecordSigned& own, Effects&) {
  PM_CHECK(own.record.id == config_.self);
  own_incarnation_ = std::max(own_incarnation_, own.record.incarnation);
  const membership::RecordRef before = std::exchange(own_record_, std::move(own.record));
  members_.SetSelf(own_record_->Version());
  if (draining_) return;  // news of us would take our goodbye back
  if (std::exchange(large_.refutes, false) && large_.partial()) {
    large_.news.Add(own_record_, {});  // neighbours do not pass it on
  } else {
    Broadcast(PeerRecords{{own_record_}});
    // Those that observed us need not any longer.
    for (auto [id, link] : links_) {
      if (!large_.on || !overlay_.HasActive() || overlay_.IsActive(link.peer)) continue;
      const std::uint64_t key = membership::ObserverKey(link.peer);
      const bool named = std::binary_search(large_.named.begin(), large_.named.end(), key);
      if (named || (before && membership::Names(*before, key))) {
        PushControl(link, PeerRecords{{own_record_}});
      }
    }
  }
}

void Node::Impl::On(Instant now, const CredentialsRenewed&, Effects&) {
  if (draining_) return;
  ++own_incarnation_;
  sign_due_ = large_.loud = true;
  links_wake_.moved = true;
  for (auto [id, link] : links_) {
    // Where our dial would lose (NewerWins) the other side, whose link it is, dials before it
    // expires.
    const bool ours = link.direction == Direction::kOutbound || config_.self < link.peer;
    if (ours && peers_.at(link.peer).winner == id)
      link.replace_at = now + rng_.Between({}, kReplaceSpread);
  }
}

// A bucket whose rate changed begins full: a debt under the old rate might take the new one an hour
// to pay. It costs one burst a change.
void Node::Impl::On(Instant now, const Reconfigured& fresh, Effects& out) {
  PM_CHECK(fresh.seeds.size() <= kMaxSeeds);
  book_.SetSeeds(now, fresh.seeds);
  const Limits before = std::exchange(config_.limits, fresh.limits);
  const auto refill = [](limits::Gcra& bucket, const limits::Rate& old, const limits::Rate& rate) {
    if (old != rate) bucket = limits::Gcra();
  };
  for (auto& [id, principal] : principals_) {
    refill(principal.messages, before.application_messages, config_.limits.application_messages);
    refill(principal.bytes, before.application_bytes, config_.limits.application_bytes);
    refill(principal.subscribes, before.subscribes, config_.limits.subscribes);
  }
  for (auto [id, peer] : peers_) {
    refill(peer.message_rate, before.peer_messages, config_.limits.peer_messages);
    refill(peer.byte_rate, before.peer_bytes, config_.limits.peer_bytes);
    if (peer.grant_at == kNever) continue;
    PayOwed(now, peer);
    MaybeGrant(now, peer, out);
  }
}

// False if it says nothing that we do not know, or there is no room.
bool Node::Impl::LearnRecord(Instant now, const membership::RecordRef& record, PeerId from,
                             bool news, Effects& out) {
  const PeerId id = record->id;
  if (id == config_.self) {
    // Somebody holds a record of an earlier process of ours that ours would not outdo: outdo it.
    const bool not_ours = record->incarnation == own_incarnation_ && record->epoch != config_.epoch;
    if (record->incarnation > own_incarnation_ || not_ours) {
      own_incarnation_ = record->incarnation + 1;
      sign_due_ = large_.loud = true;
    }
    return true;
  }
  const membership::Row* row = members_.Find(id);
  // Of somebody who is well, a change of neighbours alone is for these.
  const bool same = row != nullptr && row->record && row->record->epoch == record->epoch &&
                    membership::VersionOf(*row) == record->Version();
  const bool quiet = large_.on && same && row->state == membership::State::kAlive;
  if (!MakeRoomFor(id)) return true;
  if (!members_.Describe(now, record, StateReason::kHeardOf)) return false;
  quorum_.Describe(now, record);
  HearAgain(now, id);
  if (const auto peer = peers_.find(id); peer != peers_.end()) {
    // What we said of it is void: if it is still late it is accused again.
    if (!same && peer->second.accused == Accused::kLate) peer->second.accused = Accused::kNot;
    if (large_.on && from == id) SendEvidence(now, *FindLink(peer->second.winner), {id});
  }
  book_.Learn(now, id, record.addresses());
  overlay_.Learn(now, id);
  Reported& reported = reported_[id];
  reported.quiet = quiet || large_.partial();
  if (reported.quiet) {
    ApplyVerdicts(now, out);
    return true;
  }
  out.push_back(Persist{record});
  // News travels once over every link; who knows it already stops it.
  if (!large_.on) {
    Broadcast(PeerRecords{{record}}, from);
  } else if (from == id || now - started_ >= kNewcomer) {
    large_.news.Add(record, from, news ? News::Reach::kEverybody : News::Reach::kWhoKeepsIt);
  }
  // What we said of this peer before was about an earlier incarnation, or unknown to those we told.
  if (peers_.contains(id)) TellBelief(id, id);
  ApplyVerdicts(now, out);
  return true;
}

void Node::Impl::SendRecords(Instant now, Link& link) {
  if (large_.on) {
    // If a neighbour knows whom we know, others most likely know us; the first heartbeats tell. A
    // new neighbour gets a new record of us anyway.
    const bool known = own_record_ && now - started_ >= kNewcomer &&
                       std::any_of(links_.begin(), links_.end(), [this](const auto& entry) {
                         return overlay_.IsActive(entry.second.peer) && SameTable(entry.second);
                       });
    link.record_withheld = known;
    if (own_record_ && !known) PushControl(link, PeerRecords{{own_record_}});
    return;
  }
  std::vector<PeerId> ids{config_.self};
  for (const auto& [id, row] : members_.rows()) {
    // The other side's own is among them: it must know if what we hold is not its latest. Who is
    // gone is not passed on, or two peers that forget at different times would remind each other
    // for ever.
    if (row.state != membership::State::kDead && row.state != membership::State::kLeft) {
      ids.push_back(id);
    }
  }
  SendRecordsOf(link, ids);
}

void Node::Impl::SendRecordsOf(Link& link, const std::vector<PeerId>& ids) {
  PeerRecords frame;
  std::size_t bytes = 0;
  for (const PeerId& id : ids) {
    const membership::Row* row = members_.Find(id);
    const membership::RecordRef& record =
        id == config_.self || row == nullptr ? own_record_ : row->record;
    if (!record || record->id != id) continue;
    if (bytes > 0 && bytes + record->encoded.size() > kRecordsPerFrameBytes) {
      PushControl(link, std::exchange(frame, {}));
      bytes = 0;
    }
    bytes += record->encoded.size();
    frame.records.push_back(record);
  }
  if (!frame.records.empty()) PushControl(link, std::move(frame));
}

PeerBelief Node::Impl::BeliefAbout(PeerId id) const {
  PeerBelief belief;
  belief.id = id;
  if (const membership::Row* row = members_.Find(id)) {
    belief.incarnation = row->incarnation;
    belief.left = row->state == membership::State::kLeft;
  }
  const auto peer = peers_.find(id);
  belief.linked = peer != peers_.end() && !belief.left;
  belief.silent = belief.linked && links_.at(peer->second.winner).suspected;
  return belief;
}

void Node::Impl::SendBeliefs(Link& link) {
  if (large_.on) return;
  PeerStates frame;
  for (const auto& [id, row] : members_.rows()) {
    // Of those without a link only who left is news: whoever comes back would take it for dead.
    if (id == link.peer || (!peers_.contains(id) && row.state != membership::State::kLeft))
      continue;
    frame.beliefs.push_back(BeliefAbout(id));
    if (frame.beliefs.size() == kBeliefsPerFrame) PushControl(link, std::exchange(frame, {}));
  }
  if (!frame.beliefs.empty()) PushControl(link, std::move(frame));
}

// Turns what changed in the table into wishes.
void Node::Impl::ReportMembers(Instant now, Effects& out) {
  for (membership::Members::Change& change : members_.TakeChanges()) {
    const membership::PeerView& row = change.peer;
    const bool left = row.state == membership::State::kLeft;
    if (left && !peers_.contains(row.id)) book_.Rest(row.id);
    if (left || row.state == membership::State::kDead || change.removed) {
      for (PendingSubscribe& pending : subscribes_) pending.waiting.erase(row.id);
    }
    std::optional<Note> note;
    Count(row, change.removed);
    if (change.removed) {
      book_.Forget(row.id);
      TakeAside(now, row.id, out);
      receipts_.Forget(row.id);
      baselines_.Forget(row.id);
      quorum_.Forget(row.id);
      // Who lives had to make room for others: what it publishes is still taken.
      if (!membership::IsLiving(row.state)) trees_.Forget(row.id, row.epoch);
      // Nor is it lost to the overlay, which needs addresses only of those it counts on.
      if (!membership::IsLiving(row.state) || overlay_.IsCandidate(row.id) ||
          overlay_.Needs(row.id)) {
        overlay_.Forget(now, row.id, large_.overlay_wishes);
      }
      reported_.erase(row.id);
      out.push_back(Forget{row.id});
    } else if (Reported& reported = reported_[row.id]; reported.state != row.state) {
      reported.state = row.state;
      if (row.state == membership::State::kAlive) large_.met_at = now;
      NoteKind kind = NoteKind::kPeerSuspect;
      switch (row.state) {
        case membership::State::kAlive: kind = NoteKind::kPeerAlive; break;
        case membership::State::kSuspect: kind = NoteKind::kPeerSuspect; break;
        case membership::State::kDead: kind = NoteKind::kPeerDead; break;
        case membership::State::kLeft: kind = NoteKind::kPeerLeft; break;
        case membership::State::kUnreachable: kind = NoteKind::kPeerUnreachable; break;
      }
      note = Note{kind, row.id, {}, {}, static_cast<std::uint8_t>(row.reason)};
    }
    out.push_back(
        PeerChanged{std::move(change.peer), change.removed});  // first: it brings the name
    if (note) out.push_back(*note);
    deadlines_changed_ = true;
  }
  if (large_.overlay_wishes.empty()) return;
  // Somebody whom the overlay was about to ask is forgotten: it asks another.
  Apply(now, large_.overlay_wishes, out);
  for (auto [id, link] : links_) FlushControl(link, out);
}

// Keeps what a publisher is told in step with the table.
void Node::Impl::Count(const membership::PeerView& view, bool removed) {
  const membership::Row* row = members_.Find(view.id);
  const bool lives = !removed && (view.state == membership::State::kAlive ||
                                  view.state == membership::State::kSuspect);
  const std::uint64_t channels = lives && row != nullptr && row->record ? row->record->channels : 0;
  std::uint64_t& counted = reported_[view.id].channels;
  for (std::uint64_t changed = counted ^ channels; changed != 0; changed &= changed - 1) {
    const auto channel = static_cast<std::size_t>(std::countr_zero(changed));
    static_assert(kMaxPeers <= UINT16_MAX, "counts fit");
    if ((channels >> channel & 1) != 0) {
      ++interested_[channel];
    } else {
      --interested_[channel];
    }
  }
  for (auto& [channel, sparse] : large_.sparse) {
    sparse.known &= ((counted ^ channels) >> channel & 1) == 0;
  }
  counted = channels;
  const bool lost_touch = view.state == membership::State::kSuspect && !peers_.contains(view.id);
  if (!removed && (view.state == membership::State::kUnreachable || (lost_touch && !large_.on))) {
    out_of_touch_.insert(view.id);
  } else {
    out_of_touch_.erase(view.id);
  }
}

// --- Leaving -------------------------------------------------------------------------------------

void Node::Impl::On(Instant, const DrainRequested& drain, Effects& out) {
  drain_deadline_ = std::min(drain_deadline_, drain.deadline);
  if (draining_) return;
  draining_ = true;
  for (Publish& waiting : std::exchange(large_.publishes, {})) held_.push_back(std::move(waiting));
  for (const Publish& held : std::exchange(held_, {})) {
    out.push_back(Answer{held.request, held.session, Refusal::kDraining});
    ++stats_.publish_refused_other;
  }
  // Everybody learns of it now; what is queued still goes out.
  Broadcast(Goodbye{GoodbyeReason::kLeaving});
  if (!large_.on) return;
  large_.farewell_due = true;
  Say(config_.self, membership::Claim::kLeft, StateReason::kGoodbye, out);
}

void Node::Impl::CheckDrained(Instant now, Effects& out) {
  if (!draining_ || drained_) return;
  bool waiting = large_.farewell_due;
  for (const auto& [id, peer] : peers_)
    waiting |= !peer.outbox.empty() || !peer.relay.empty() || links_.at(peer.sending).data_busy;
  for (const auto& [id, session] : sessions_) waiting |= !session.outbox.empty() || session.busy;
  for (const auto& [id, link] : links_) waiting |= link.control_busy || !link.control.empty();
  waiting |= !large_.news.empty();
  if (waiting && now < drain_deadline_) return;
  drained_ = true;
  for (const auto& [id, link] : links_) out.push_back(Close{id});
  out.push_back(Drained{});
}

}  // namespace peermesh::node
