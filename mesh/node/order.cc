// The order of what goes straight and what is broadcast.
//
// Both share their numbers. A piece tells which numbers before it were not broadcast (`after`): a
// receiver with a link to the origin waits for their account. A run tells which were (`behind`): a
// receiver whose trees still expect some of them puts its messages aside. What a run says of
// numbers before those is taken at once, because the broadcast may wait for it. Either waits for
// what has smaller numbers, so they never wait for each other; and none waits for long.
//
// Bounds: kMaxWaitingStreams streams each way, kMaxAsideBytes in all.
#include <algorithm>

#include "mesh/node/node_impl.h"

namespace peermesh::node {
namespace {

bool HasLink(const FlatMap<PeerId, Peer>& peers, const FlatMap<LinkId, Link>& links,
             const broadcast::Stream& stream) {
  const auto origin = peers.find(stream.origin);
  return origin != peers.end() && links.at(origin->second.winner).epoch == stream.epoch;
}

}  // namespace

// What a run that is built now comes behind: nothing, if what was broadcast has long arrived.
std::uint64_t Node::Impl::Behind(Instant now, std::uint32_t channel) const {
  const std::uint64_t next = large_.broadcast_next.next(channel);
  return next > 1 && now < large_.broadcast_at + trees_.HoldBack() ? next : 0;
}

bool Node::Impl::WaitsForBroadcast(const broadcast::Stream& stream, std::uint64_t behind) const {
  if (behind == 0) return false;
  const std::optional<std::uint64_t> expected = trees_.Expected(stream);
  return (expected && *expected < behind) || large_.waiting.contains(stream);
}

// True if the run waits, or all of it that comes behind broadcasts.
bool Node::Impl::PutAside(Instant now, const broadcast::Stream& stream, flow::Run& run, bool seen,
                          Effects& out) {
  if (!large_.aside.contains(stream)) {
    if (!WaitsForBroadcast(stream, run.behind)) return false;
    if (run.first < run.behind) {
      flow::Run before;
      before.channel = run.channel;
      before.first = std::exchange(run.first, run.behind);
      before.next = run.behind;
      before.lost = std::min(run.lost, before.next - before.first);
      before.lost_reason = run.lost_reason;
      before.mark = std::exchange(run.mark, false);
      run.lost -= before.lost;
      std::vector<SessionId> fed;
      ReceiveRun(now, stream, before, seen, fed, out);
      seen = true;
      if (!WaitsForBroadcast(stream, run.behind)) return false;  // it waited for this account
    }
  }
  RunsAside& aside = large_.aside[stream];
  if (aside.runs.empty()) aside.until = now + trees_.HoldBack();
  large_.aside_bytes += run.bytes();
  aside.runs.push_back({std::move(run), seen});
  deadlines_changed_ = true;
  return true;
}

// Those whose broadcasts have come, whose time is up, or whose origin is gone, in order.
void Node::Impl::TakeAside(Instant now, std::optional<PeerId> gone, Effects& out) {
  const bool too_many =
      large_.aside.size() > kMaxWaitingStreams || large_.aside_bytes > kMaxAsideBytes;
  std::vector<SessionId> fed;
  for (auto it = large_.aside.begin(); it != large_.aside.end();) {
    const broadcast::Stream stream = it->first;
    RunsAside& aside = it->second;
    const bool due = too_many || aside.until <= now || stream.origin == gone;
    while (!aside.runs.empty() &&
           (due || !WaitsForBroadcast(stream, aside.runs.front().run.behind))) {
      RunAside next = std::move(aside.runs.front());
      aside.runs.pop_front();
      large_.aside_bytes -= next.run.bytes();
      ReceiveRun(now, stream, next.run, next.seen, fed, out);
    }
    it = aside.runs.empty() ? large_.aside.erase(it) : std::next(it);
  }
}

// What went straight before this piece did not come in time, or its link broke.
void Node::Impl::AnnounceNotCome(Instant now, const broadcast::Piece& piece, Effects& out) {
  const broadcast::Stream& stream = piece.stream;
  const bool broke = !large_.broken_off.empty() && large_.broken_off.erase(stream) != 0;
  if (piece.after == piece.first || !(broke || HasLink(peers_, links_, stream))) return;
  if (receipts_.Next(stream.origin, stream.channel) == 0) return;
  if (const auto lost = receipts_.Lose(stream.origin, stream.channel, piece.after, piece.first)) {
    AnnounceGap(now, stream, *lost, LossReason::kLinkLost, out);
  }
}

// Messages before this piece may still be on their way over the origin's own link.
bool Node::Impl::WaitsForStraight(const broadcast::Deliver& deliver) const {
  const broadcast::Piece& piece = *deliver.piece;
  if (large_.waiting.contains(piece.stream)) return true;  // in order
  if (piece.after == piece.first || deliver.first > piece.first) return false;
  return HasLink(peers_, links_, piece.stream) &&
         receipts_.Next(piece.stream.origin, piece.stream.channel) < piece.first;
}

// Those whose account has come, whose origin is gone, or whose time is up.
void Node::Impl::DeliverWaiting(Instant now, std::optional<PeerId> gone, Effects& out) {
  const bool too_many = large_.waiting.size() > kMaxWaitingStreams;
  for (auto it = large_.waiting.begin(); it != large_.waiting.end();) {
    const std::vector<broadcast::Deliver> pieces = std::move(it->second.pieces);
    const Instant until = it->second.until;
    const broadcast::Stream stream = it->first;
    it = large_.waiting.erase(it);
    const bool due = too_many || until <= now || stream.origin == gone;
    std::size_t done = 0;
    while (done < pieces.size() && (due || !WaitsForStraight(pieces[done]))) {
      DeliverPiece(now, pieces[done++], out);
    }
    if (done == pieces.size()) continue;
    WaitingPieces& rest = large_.waiting[stream];
    rest.pieces.assign(pieces.begin() + static_cast<std::ptrdiff_t>(done), pieces.end());
    rest.until = until;
    it = large_.waiting.upper_bound(stream);
  }
}

}  // namespace peermesh::node
