// The data lane: what goes out over a link, what comes in, and when the next frame may.
#include <algorithm>

#include "mesh/node/node_impl.h"

namespace peermesh::node {

// Says what everything so far became of, with nothing queued in between: what was sent is behind
// this frame on the same lane, the rest up to now was not meant for the peer. The first marks of a
// link account for all that was ever meant for it; later ones for what this link carried.
void Node::Impl::AddMarks(Peer& peer, Link& link, DataFrame& frame) {
  PM_CHECK(peer.outbox.empty() && peer.interest_known);
  const bool first = !std::exchange(link.marked, true);
  const routing::ChannelNumbers* const base = first ? &baselines_.Of(link.peer) : nullptr;
  for (std::uint32_t channel = 0; channel < kChannels; ++channel) {
    if (!first && numbers_.next(channel) == 1) continue;  // never used
    const std::uint64_t accounted = peer.accounted.next(channel);
    flow::Run mark;
    mark.channel = channel;
    mark.first = first ? base->next(channel) : accounted;
    if (first) {
      // What was broadcast went another way, and what few listened for was not for a peer without
      // a link.
      const std::uint64_t meant =
          std::min(accounted,
                   std::max(large_.small_next.next(channel), baselines_.Ended(link.peer, channel)));
      mark.lost = meant > mark.first ? meant - mark.first : 0;
    }
    mark.lost_reason = mark.lost > 0 ? LossReason::kLinkLost : LossReason::kNone;
    mark.next = numbers_.next(channel);
    mark.mark = true;
    PM_CHECK(mark.IsWellFormed());
    peer.accounted.Set(channel, mark.next);
    if (first || mark.next > 1) frame.runs.push_back(std::move(mark));
  }
}

// Ends the old link, once what is being written there is out.
void Node::Impl::SendEnd(Peer& peer, Effects& out) {
  if (!peer.loser) return;
  Link& loser = *FindLink(peer.loser);
  if (!loser.end_queued || loser.end_sent || loser.data_busy) return;
  loser.data_busy = loser.end_sent = true;
  DataFrame end;
  end.end = true;
  out.push_back(SendData{loser.id, std::move(end)});
  peer.sending = peer.winner;
}

void Node::Impl::FlushData(Instant now, Peer& peer, Effects& out) {
  if (peer.outbox.empty()) peer.block = {};
  Weigh(now, peer.pressure, peer.outbox.bytes(), peer.block);
  if (peer.pressure.overfull(peer.outbox.bytes())) Overflow(peer, out);
  Weigh(now, peer.relay_pressure, peer.relay.bytes(), {});
  if (peer.relay_pressure.overfull(peer.relay.bytes())) OverflowRelay(now, peer, out);
  SendEnd(peer, out);
  Link& link = *FindLink(peer.sending);
  PM_CHECK(peer.interest_known || peer.outbox.empty());
  const bool straight = peer.interest_known && (!peer.outbox.empty() || link.marks_due);
  if (!link.data_busy && !link.end_queued && (straight || !peer.relay.empty())) {
    DataFrame frame;
    std::uint64_t bytes = 0;
    // Marks say what the next run begins with, so they go out only when nothing is queued before
    // them; a run's own first number says the same for its channel.
    if (straight && link.marks_due && peer.outbox.empty()) {
      AddMarks(peer, link, frame);
      link.marks_due = false;
    }
    for (flow::Run& run : peer.outbox.TakeUpTo(kFlushBytes)) {
      stats_.sent_messages += run.items.size();
      for (const flow::Item& item : run.items) bytes += run.batch->rows[item.row].record_length;
      frame.runs.push_back(std::move(run));
    }
    stats_.sent_bytes += bytes;
    if (bytes < kFlushBytes && !peer.relay.empty()) TakeRelayed(peer, kFlushBytes - bytes, frame);
    if (!frame.runs.empty() || !frame.relayed.empty()) {
      link.data_busy = true;
      out.push_back(SendData{link.id, std::move(frame)});
    }
    Weigh(now, peer.pressure, peer.outbox.bytes(), peer.block);
    Weigh(now, peer.relay_pressure, peer.relay.bytes(), {});
  }
}

// The queue to a peer is full and its hold-back used up: the older half goes, and the peer is told.
void Node::Impl::Overflow(Peer& peer, Effects& out) {
  std::map<std::uint32_t, flow::Run> lost;  // one announcement per channel
  std::uint64_t messages = 0;
  while (peer.outbox.bytes() > peer.pressure.half()) {
    const flow::Run run = peer.outbox.PopFront();
    PM_CHECK(run.IsWellFormed());
    messages += run.items.size();
    const auto [it, fresh] = lost.try_emplace(run.channel);
    if (fresh) it->second.first = run.first;
    PM_CHECK(fresh || it->second.next == run.first);  // runs of one channel leave no number out
    it->second.next = run.next;
  }
  for (auto& [channel, run] : lost) {
    run.channel = channel;
    run.lost = run.next - run.first;
    run.lost_reason = LossReason::kSlowLink;
    peer.outbox.PushFront(std::move(run));
  }
  stats_.dropped_messages[static_cast<std::size_t>(LossReason::kSlowLink)] += messages;
  out.push_back(Note{NoteKind::kLinkSlow,
                     FindLink(peer.winner)->peer,
                     {},
                     peer.winner,
                     static_cast<std::uint8_t>(LossReason::kSlowLink),
                     messages});
}

bool Node::Impl::MayRead(const Peer& peer, const Link& link) const {
  if (link.reading || link.stash || link.end_received) return false;
  if (link.id == peer.winner && peer.loser && !links_.at(peer.loser).end_received) return false;
  return true;
}

// Grants the next data frame unless the last one filled somebody's queue, or came faster than
// allowed.
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
  PM_CHECK(link->reading && !link->stash);
  link->reading = false;
  Peer& peer = peers_.at(link->peer);
  if (link->id == peer.winner && peer.loser && !FindLink(peer.loser)->end_received) {
    link->stash = std::make_unique<DataFrame>(std::move(in.frame));
    return;
  }
  Receive(now, *link, in.frame, out);
}

void Node::Impl::Receive(Instant now, Link& link, DataFrame& frame, Effects& out) {
  const PeerId from = link.peer;
  Peer& peer = peers_.at(from);
  std::vector<SessionId> fed;
  std::uint64_t messages = 0, bytes = 0;
  for (flow::Run& run : frame.runs) {
    PM_CHECK(run.IsWellFormed());
    messages += run.items.size();
    for (const flow::Item& item : run.items) bytes += run.batch->rows[item.row].record_length;
    const std::uint64_t channel_bit = std::uint64_t{1} << run.channel;
    const bool seen = (link.channels_seen & channel_bit) != 0;
    link.channels_seen |= channel_bit;
    if (!run.items.empty()) link.channels_fed |= channel_bit;
    const broadcast::Stream stream{from, link.epoch, run.channel};
    if (!PutAside(now, stream, run, seen, out)) ReceiveRun(now, stream, run, seen, fed, out);
  }
  if (!large_.aside.empty()) TakeAside(now, {}, out);
  stats_.received_messages += messages;
  stats_.received_bytes += bytes;
  peer.owed_messages += messages;
  peer.owed_bytes += bytes;
  // Who does not know yet that the mesh is large learns it from the end of the link.
  if (messages > 0 && link.their_table != 0) KeepBorrowed(now, peer);
  if (!frame.relayed.empty()) ReceiveRelayed(now, link, frame.relayed, out);
  PayOwed(now, peer);
  peer.waits_for.insert(peer.waits_for.end(), fed.begin(), fed.end());
  std::sort(peer.waits_for.begin(), peer.waits_for.end());
  peer.waits_for.erase(std::unique(peer.waits_for.begin(), peer.waits_for.end()),
                       peer.waits_for.end());
  if (frame.end) {
    link.end_received = true;
    MaybeRetire(now, peer, out);  // may end the life of `link`
  }
  to_grant_.push_back(from);
}

// A frame may be larger than a burst: it is read whole, and the next one waits until all of it is
// paid for.
void Node::Impl::PayOwed(Instant now, Peer& peer) {
  const Instant before = std::exchange(peer.grant_at, kNever);
  const auto pay = [&](limits::Gcra& bucket, const limits::Rate& rate, std::uint64_t& owed) {
    while (owed > 0) {
      const std::uint64_t part =
          rate.unlimited() ? owed : std::min(owed, static_cast<std::uint64_t>(rate.burst));
      PM_CHECK(part > 0);
      if (const auto until = bucket.TryTake(rate, static_cast<std::int64_t>(part), now)) {
        PM_CHECK(*until > now && *until != kNever);
        peer.grant_at = peer.grant_at == kNever ? *until : std::max(peer.grant_at, *until);
        return;
      }
      owed -= part;
    }
  };
  pay(peer.message_rate, config_.limits.peer_messages, peer.owed_messages);
  pay(peer.byte_rate, config_.limits.peer_bytes, peer.owed_bytes);
  queues_wake_.moved |= peer.grant_at != before;
}

void Node::Impl::ReceiveRun(Instant now, const broadcast::Stream& stream, flow::Run& run, bool seen,
                            std::vector<SessionId>& fed, Effects& out) {
  const PeerId origin = stream.origin;
  if (!large_.broken_off.empty()) large_.broken_off.erase(stream);
  if (const auto hole = receipts_.Expect(origin, run.channel, run.first)) {
    // Before the first word on this channel a link was lost; after it there is no excuse.
    AnnounceGap(now, stream, *hole, seen ? LossReason::kMissing : LossReason::kLinkLost, out);
  }
  if (const auto lost = receipts_.Lose(origin, run.channel, run.first, run.first + run.lost)) {
    AnnounceGap(now, stream, *lost, run.lost_reason, out);
  }
  flow::Delivery like;
  like.origin = origin;
  like.epoch = stream.epoch;
  like.channel = run.channel;
  like.publish_time_us = run.publish_time_us;
  like.batch = run.batch;
  auto expected = receipts_.Of(origin, run.channel);
  for (auto item = run.items.begin(); item != run.items.end();) {
    const std::string_view subject = run.batch->subject(run.batch->rows[item->row]);
    stretch_.clear();
    do {
      if (expected.Accept(item->sequence)) {
        stretch_.push_back(*item);
      } else {
        ++stats_.duplicates;
      }
      ++item;
    } while (item != run.items.end() && run.batch->subject(run.batch->rows[item->row]) == subject);
    if (stretch_.empty()) continue;
    interest_.Match(subject, matched_);
    BuildLocal(now, like);
  }
  receipts_.Settle(origin, run.channel, run.next);
  for (const auto& [session, built] : built_) fed.push_back(session);
  FlushBuilt(now);
  if (!large_.waiting.empty()) DeliverWaiting(now, {}, out);
}

}  // namespace peermesh::node
