// Broadcasts: what is published beyond the full mesh, signed, passed on and delivered.
//
// A publish becomes one piece for each of its channels. Pieces have queues of their own beside
// those of messages that go straight: a slow neighbour loses its place in the tree, not messages,
// because what did not fit is announced to it and sent when it asks.
#include <algorithm>
#include <memory>

#include "mesh/node/node_impl.h"

namespace peermesh::node {

// Appends the stretch to the piece being built.
void Node::Impl::BroadcastStretch(const flow::Delivery& like) {
  if (!large_.piece) {
    large_.piece = std::make_unique<broadcast::Piece>();
    large_.piece->stream = {config_.self, config_.epoch, like.channel};
    large_.piece->after = large_.broadcast_next.next(like.channel);
    large_.piece->first = stretch_.front().sequence;
    large_.piece->publish_time_us = like.publish_time_us;
    large_.piece->batch = like.batch;
  }
  PM_CHECK(large_.piece->stream.channel == like.channel);
  PM_CHECK(large_.piece->next() == stretch_.front().sequence);
  for (const flow::Item& item : stretch_) large_.piece->rows.push_back(item.row);
}

void Node::Impl::SignBuilt(Effects& out) {
  if (!large_.piece) return;
  PM_CHECK(large_.piece->IsWellFormed());
  const std::uint32_t channel = large_.piece->stream.channel;
  // Who got messages of this channel straight must know at once that these are not among them.
  if (large_.piece->after < large_.piece->first) {
    for (auto [id, peer] : peers_) {
      links_.at(peer.sending).marks_due = true;
      dirty_peers_.insert(id);
    }
  }
  large_.broadcast_next.Set(channel, large_.piece->next());
  out.push_back(SignPiece{std::move(*large_.piece)});
  large_.piece.reset();
}

void Node::Impl::On(Instant now, PieceSigned& signed_piece, Effects& out) {
  PM_CHECK(signed_piece.piece != nullptr && signed_piece.piece->stream.origin == config_.self);
  trees_.Publish(now, std::move(signed_piece.piece), large_.broadcast_wishes);
  Apply(now, large_.broadcast_wishes, out);
}

void Node::Impl::OnFrame(Instant now, Link& link, broadcast::Message& frame, Effects& out) {
  if (!overlay_.IsActive(link.peer)) {
    overlay_.NotNeighbor(now, link.peer, large_.overlay_wishes);
    return Apply(now, large_.overlay_wishes, out);
  }
  const LinkId id = link.id;
  if (!trees_.Receive(now, link.peer, frame, large_.broadcast_wishes)) {
    large_.broadcast_wishes.clear();
    return Misbehaved(now, id, out);
  }
  Apply(now, large_.broadcast_wishes, out);
}

// The driver has checked their signatures.
void Node::Impl::ReceiveRelayed(Instant now, const Link& link, std::vector<Relayed>& relayed,
                                Effects& out) {
  const PeerId from = link.peer;
  Peer& peer = peers_.at(from);
  for (Relayed& one : relayed) {
    PM_CHECK(one.piece != nullptr && one.piece->IsWellFormed());
    if (one.piece->stream.origin == config_.self) continue;  // it came back
    for (const std::uint32_t row : one.piece->rows) {
      peer.owed_bytes += one.piece->batch->rows[row].record_length;
      stats_.received_bytes += one.piece->batch->rows[row].record_length;
    }
    peer.owed_messages += one.piece->rows.size();
    stats_.received_messages += one.piece->rows.size();
    trees_.Receive(now, from, std::move(one.piece), one.hops, large_.broadcast_wishes);
  }
  Apply(now, large_.broadcast_wishes, out);
}

// Empties `wishes`.
void Node::Impl::Apply(Instant now, broadcast::Wishes& wishes, Effects& out) {
  for (std::size_t at = 0; at < wishes.size(); ++at) {
    broadcast::Wish wish = std::move(wishes[at]);
    if (const auto* push = std::get_if<broadcast::Push>(&wish)) {
      QueuePiece(now, *push);
    } else if (auto* send = std::get_if<broadcast::Send>(&wish)) {
      const auto peer = peers_.find(send->peer);
      if (peer != peers_.end()) {
        PushControl(*FindLink(peer->second.winner), std::move(send->message));
      }
    } else if (const auto* deliver = std::get_if<broadcast::Deliver>(&wish)) {
      if (!WaitsForStraight(*deliver)) {
        DeliverPiece(now, *deliver, out);
        continue;
      }
      WaitingPieces& waiting = large_.waiting[deliver->piece->stream];
      if (waiting.pieces.empty()) waiting.until = now + kWaitForStraight;
      waiting.pieces.push_back(*deliver);
      if (large_.waiting.size() > kMaxWaitingStreams) DeliverWaiting(now, {}, out);
    } else if (const auto* missing = std::get_if<broadcast::Missing>(&wish)) {
      AnnounceGap(now, missing->stream, {missing->from, missing->to}, LossReason::kMissing, out);
    }
  }
  wishes.clear();
  if (!large_.aside.empty()) TakeAside(now, {}, out);
}

void Node::Impl::QueuePiece(Instant now, const broadcast::Push& push) {
  const auto it = peers_.find(push.peer);
  if (it == peers_.end()) return;
  Peer& peer = it->second;
  peer.relay.Push({{push.piece, push.hops}, push.piece->batch});
  Weigh(now, peer.relay_pressure, peer.relay.bytes(), {});
  dirty_peers_.insert(push.peer);
}

void Node::Impl::TakeRelayed(Peer& peer, std::uint64_t budget, DataFrame& frame) {
  for (QueuedPiece& queued : peer.relay.TakeUpTo(budget)) {
    const broadcast::Piece& piece = *queued.relayed.piece;
    stats_.sent_messages += piece.rows.size();
    for (const std::uint32_t row : piece.rows)
      stats_.sent_bytes += piece.batch->rows[row].record_length;
    frame.relayed.push_back(std::move(queued.relayed));
  }
}

// The queue to a neighbour is full: the older half is announced to it instead.
void Node::Impl::OverflowRelay(Instant now, Peer& peer, Effects& out) {
  const PeerId id = FindLink(peer.winner)->peer;
  while (peer.relay.bytes() > peer.relay_pressure.half()) {
    trees_.NotSent(now, id, peer.relay.PopFront().relayed.piece, large_.broadcast_wishes);
  }
  Apply(now, large_.broadcast_wishes, out);
}

void Node::Impl::DeliverPiece(Instant now, const broadcast::Deliver& deliver, Effects& out) {
  const broadcast::Piece& piece = *deliver.piece;
  if (deliver.first == piece.first) AnnounceNotCome(now, piece, out);
  flow::Delivery like;
  like.origin = piece.stream.origin;
  like.epoch = piece.stream.epoch;
  like.channel = piece.stream.channel;
  like.publish_time_us = piece.publish_time_us;
  like.batch = piece.batch;
  PM_CHECK(deliver.first >= piece.first && deliver.first < piece.next());
  for (std::uint64_t number = deliver.first; number < piece.next();) {
    const auto row_of = [&](std::uint64_t n) { return piece.rows[n - piece.first]; };
    const std::string_view subject = piece.batch->subject(piece.batch->rows[row_of(number)]);
    stretch_.clear();
    do {
      stretch_.push_back({row_of(number), number});
      ++number;
    } while (number < piece.next() &&
             piece.batch->subject(piece.batch->rows[row_of(number)]) == subject);
    interest_.Match(subject, matched_);
    BuildLocal(now, like);
  }
  receipts_.Follow(piece.stream.origin, piece.stream.epoch, piece.stream.channel, piece.first,
                   piece.next());
  FlushBuilt(now);
}

}  // namespace peermesh::node
