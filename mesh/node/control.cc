// Control frames: heartbeats, interest, records, beliefs, goodbyes.
#include <algorithm>

#include "mesh/node/node_impl.h"
#include "mesh/routing/subject.h"

namespace peermesh::node {

void Node::Impl::On(Instant now, ControlIn& in, Effects& out) {
  Link* link = FindLink(in.link);
  if (link == nullptr) return;
  HeardFrom(now, *link, out);
  std::visit([&](auto& frame) { OnFrame(now, *link, frame, out); }, in.frame);
}

void Node::Impl::OnFrame(Instant now, Link& link, Heartbeat& frame, Effects& out) {
  link.heard_number = frame.number;
  link.heard_number_at = now;
  const bool remembered = frame.echo != 0 && frame.echo <= link.heartbeats_sent &&
                          link.heartbeats_sent - frame.echo < kHeartbeatMemory;
  if (remembered && frame.echo_delay >= Duration{}) {
    const Instant sent = LatestAt(now, link.heartbeat_sent_at[frame.echo % kHeartbeatMemory]);
    const Duration total = now - sent;
    link.answered = std::max(link.answered, sent);
    if (frame.echo_delay <= total) {
      members_.RoundTrip(link.peer, total - frame.echo_delay);
      if (overlay_.IsActive(link.peer)) trees_.RoundTrip(link.peer, total - frame.echo_delay);
    }
  }
  // The first answer comes at once, so a round trip is known as soon as the link is up.
  if (frame.number == 1) {
    SendHeartbeat(now, link);
    // Then at a moment of its own: whoever beats to all at once is missed by all at once, or late.
    if (link.direction == Direction::kOutbound) {
      link.next_heartbeat = now + rng_.Between({}, kHeartbeat);
      links_wake_.moved = true;
    }
  } else if (frame.asks) {
    PushHeartbeat(now, link, false);  // the rhythm of the others stays as it is
  } else if (frame.number == kFirstInTurn && link.direction == Direction::kInbound) {
    link.next_heartbeat = now + kHeartbeat / 2;
    links_wake_.moved = true;
  }
  PingAnswered(now, link, frame, out);
  health_.Succeeded();
  if (!frame.have.ranges.empty()) {
    const LinkId id = link.id;
    broadcast::Message have = std::move(frame.have);
    OnFrame(now, link, have, out);
    if (FindLink(id) == nullptr) return;
  }
  CompareTables(link, frame);
  // Comparing makes sense once this link has told the whole: what it says first may overtake the
  // other link.
  const Peer& peer = peers_.at(link.peer);
  if (!link.told || link.staging) return;
  PM_CHECK(peer.interest_known);
  const bool behind = frame.interest_generation > peer.interest_generation;
  const bool differs = frame.interest_generation == peer.interest_generation &&
                       frame.interest_hash != interest_.RemoteHash(link.peer);
  if (behind || differs) AskForSnapshot(link, out);
}

void Node::Impl::AskForSnapshot(Link& link, Effects& out) {
  link.staging = true;  // ask once; the snapshot ends it
  link.staged.clear();
  ++stats_.interest_resyncs;
  out.push_back(Note{NoteKind::kInterestResync, link.peer, {}, link.id});
  PushControl(link, InterestRequest{});
}

void Node::Impl::SendSnapshot(Link& link) {
  AnnounceInterest();  // so that generation and content agree
  link.snapshot_due = false;
  const std::vector<routing::LocalChange> all = interest_.Snapshot();
  std::size_t at = 0;
  do {
    InterestSnapshot part;
    part.generation = interest_.generation();
    part.first = at == 0;
    for (; at < all.size() && part.entries.size() < kInterestPerFrame; ++at) {
      part.entries.push_back({all[at].pattern, all[at].block_ms});
    }
    part.last = at == all.size();
    PushControl(link, std::move(part));
  } while (at < all.size());
}

void Node::Impl::OnFrame(Instant now, Link& link, InterestSnapshot& frame, Effects& out) {
  Peer& peer = peers_.at(link.peer);
  if (frame.first) link.staged.clear();
  for (Interest& entry : frame.entries) {
    if (!IsValidPattern(entry.pattern) || link.staged.size() >= kMaxSubscriptions) {
      return Misbehaved(now, link.id, out);
    }
    link.staged.push_back(std::move(entry));
  }
  link.staging = !frame.last;
  if (!frame.last) return;
  link.told = true;
  // One sent before a delta that came over the other of two links says nothing new.
  if (!peer.interest_known || frame.generation >= peer.interest_generation) {
    if (!std::exchange(peer.interest_known, true)) BeginAccount(link, peer);
    peer.interest_generation = frame.generation;
    if (!ApplySnapshot(link)) return Misbehaved(now, link.id, out);
  }
  link.staged.clear();
  Acknowledge(link, peer.interest_generation);
}

// From here on every number is sent, skipped or lost with a reason. What was published since the
// last account ended, with nobody to say whether the peer wanted it, is lost: the first marks tell.
// A process that is older than ours may have wanted all that we ever published.
void Node::Impl::BeginAccount(const Link& link, Peer& peer) {
  PM_CHECK(peer.outbox.empty());
  const bool older = link.epoch < config_.epoch;
  baselines_.Begin(link.peer, link.epoch, older ? routing::ChannelNumbers{} : numbers_);
  peer.accounted = numbers_;
  dirty_peers_.insert(link.peer);
}

// Replaces what was known by what is staged. What goes, goes first: the old and the new together
// may be more than a peer may have.
bool Node::Impl::ApplySnapshot(Link& link) {
  std::set<std::string> keep;
  for (const Interest& entry : link.staged) keep.insert(entry.pattern);
  for (const std::string& pattern : interest_.RemotePatterns(link.peer)) {
    if (!keep.contains(pattern)) interest_.UnsetRemote(link.peer, pattern);
  }
  for (const Interest& entry : link.staged) {
    if (!interest_.SetRemote(link.peer, entry.pattern, entry.block_ms)) return false;
  }
  return true;
}

// Says what was applied. One that still waits for its turn says it already.
void Node::Impl::Acknowledge(Link& link, std::uint64_t generation) {
  if (!link.control.empty()) {
    if (auto* waiting = std::get_if<InterestAck>(&link.control.back())) {
      waiting->generation = generation;
      return;
    }
  }
  PushControl(link, InterestAck{generation});
}

void Node::Impl::OnFrame(Instant now, Link& link, InterestDelta& frame, Effects& out) {
  Peer& peer = peers_.at(link.peer);
  if (peer.interest_known && frame.generation <= peer.interest_generation)
    return;  // came over both links
  // What this link tells as a whole comes first; a snapshot under way is newer, or its successor
  // follows.
  if (!peer.interest_known || link.staging) return;
  if (frame.generation != peer.interest_generation + 1) return AskForSnapshot(link, out);
  for (const std::string& pattern : frame.remove) interest_.UnsetRemote(link.peer, pattern);
  for (const Interest& entry : frame.add) {
    if (!IsValidPattern(entry.pattern) ||
        !interest_.SetRemote(link.peer, entry.pattern, entry.block_ms)) {
      return Misbehaved(now, link.id, out);
    }
  }
  peer.interest_generation = frame.generation;
  Acknowledge(link, frame.generation);
}

void Node::Impl::OnFrame(Instant, Link& link, InterestAck& frame, Effects&) {
  Peer& peer = peers_.at(link.peer);
  peer.acked = true;
  peer.acked_generation =
      std::max(peer.acked_generation, std::min(frame.generation, interest_.generation()));
  for (PendingSubscribe& pending : subscribes_) {
    if (pending.generation <= peer.acked_generation) pending.waiting.erase(link.peer);
  }
}

void Node::Impl::OnFrame(Instant, Link& link, InterestRequest&, Effects&) { SendSnapshot(link); }

// Tells every link what changed in the interest of our applications.
void Node::Impl::AnnounceInterest() {
  for (;;) {
    const std::vector<routing::LocalChange> changes = interest_.TakeChanges(kInterestPerFrame);
    if (changes.empty()) return;
    ChannelsChanged();
    InterestDelta delta;
    delta.generation = interest_.generation();
    for (const routing::LocalChange& change : changes) {
      if (change.removed) {
        delta.remove.push_back(change.pattern);
      } else {
        delta.add.push_back({change.pattern, change.block_ms});
      }
    }
    for (auto [id, link] : links_) {
      if (link.control.size() >= kBusyControlQueue) {
        // Applications subscribe faster than the link writes: one snapshot says it all later.
        erase_if(link.control,
                 [](const auto& f) { return std::holds_alternative<InterestDelta>(f); });
        link.snapshot_due = true;
        to_flush_.push_back(id);
      }
      if (!link.snapshot_due) PushControl(link, delta);
    }
  }
}

void Node::Impl::OnFrame(Instant now, Link& link, PeerRecords& frame, Effects& out) {
  const PeerId from = link.peer;
  for (const membership::RecordRef& record : frame.records) {
    if (frame.news && large_.partial() && record->id != config_.self) {
      const bool first = large_.strangers->records.TryAdd(now, record->id, record->incarnation);
      if (first) large_.news.Add(record, from);
      if (members_.Find(record->id) == nullptr) continue;
    }
    const bool learnt = LearnRecord(now, record, from, frame.news, out);
    if (learnt || frame.news || !large_.on || large_.partial()) continue;
    // Who tells of somebody that is gone, and not that it is, missed the news. Its own link may
    // have gone with a verdict on an earlier record of this frame.
    const auto teller = peers_.find(from);
    if (teller != peers_.end()) SendEvidence(now, *FindLink(teller->second.winner), {record->id});
  }
}

void Node::Impl::OnFrame(Instant now, Link& link, Goodbye& frame, Effects& out) {
  Peer& peer = peers_.at(link.peer);
  switch (frame.reason) {
    case GoodbyeReason::kLeaving:
      members_.Left(now, link.peer);
      TellBelief(link.peer, link.peer);
      overlay_.Forget(now, link.peer, large_.overlay_wishes);
      return Apply(now, large_.overlay_wishes, out);
    case GoodbyeReason::kReplaced:
      // The other side has read all we sent here. What it sent before its end we still have to
      // read.
      if (link.id == peer.loser) link.farewell_received = true;
      return MaybeRetire(now, peer, out);
    case GoodbyeReason::kSurplus:
      large_.surplus_heard = now;  // the mesh is larger than we knew
      [[fallthrough]];
    case GoodbyeReason::kLost:
    case GoodbyeReason::kDuplicate:
    case GoodbyeReason::kMisbehaved:
      return DropLink(now, link.id,
                      frame.reason == GoodbyeReason::kMisbehaved
                          ? membership::StateReason::kProtocolError
                          : membership::StateReason::kLinkClosed,
                      true, out);
  }
}

void Node::Impl::OnFrame(Instant, Link& link, LinkReady&, Effects&) {
  link.ready = true;
  Peer& peer = peers_.at(link.peer);
  MaybeMoveData(peer);
  dirty_peers_.insert(link.peer);
}

}  // namespace peermesh::node
