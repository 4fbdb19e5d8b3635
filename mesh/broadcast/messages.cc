// What neighbours say to each other beside the pieces.
#include <algorithm>

#include "mesh/base/check.h"
#include "mesh/broadcast/broadcast.h"

namespace peermesh::broadcast {
namespace {

bool IsHonest(const std::vector<Range>& ranges) {
  if (ranges.size() > kMaxRanges) return false;
  return std::all_of(ranges.begin(), ranges.end(), [](const Range& range) {
    return range.stream.channel < kChannels && range.stream.epoch > 0 && range.first > 0 &&
           range.first <= range.next;
  });
}

bool IsHonest(const Message& message) {
  if (const auto* have = std::get_if<IHave>(&message)) return IsHonest(have->ranges);
  if (const auto* graft = std::get_if<Graft>(&message)) return IsHonest(graft->ranges);
  if (const auto* positions = std::get_if<Positions>(&message)) return IsHonest(positions->ranges);
  return true;
}

}  // namespace

bool Broadcast::Receive(Instant now, PeerId from, const Message& message, Wishes& out) {
  if (!IsHonest(message)) return false;
  Neighbor* neighbor = Find(from);
  if (neighbor == nullptr) return true;  // it was one a moment ago, or will be
  std::visit([&](const auto& kind) { Handle(now, *neighbor, kind, out); }, message);
  return true;
}

void Broadcast::Handle(Instant now, Neighbor& from, const IHave& message, Wishes& out) {
  stats_.heard_of += message.ranges.size();
  for (const Range& range : message.ranges) {
    if (range.first == range.next || range.stream.origin == self_) continue;
    from.NeedNotHear(range.stream, range.first, range.next);
    Window* window = windows_.Find(range.stream);
    if (window != nullptr && range.next <= window->expected) {
      Improve(now, from, range, *window, out);
      continue;
    }
    if (!from.IsBelieved(now) || !Admit(now, range.stream, false, out)) {
      ++stats_.claims_ignored;
      continue;
    }
    if (window == nullptr) {
      const bool fresh = IsNew(now) || windows_.WasDropped(range.stream);
      window = &windows_.Begin(now, range.stream, fresh ? range.first : 1, Standing::kClaimed);
      if (fresh) window->firm = 0;
    }
    const Duration waited = std::clamp<Duration>(message.waited, Duration{}, kMaxWaited);
    Claim(now, from, *window, range, true, waited, out);
  }
}

// It has what is here already: perhaps it would be the better branch, or is wanted beside the
// others.
void Broadcast::Improve(Instant now, Neighbor& from, const Range& range, const Window& window,
                        Wishes& out) {
  const std::uint32_t channel = range.stream.channel;
  if (from.IsEager(channel) || from.WasPrunedLately(now, channel)) return;
  const Cache::Entry* entry = cache_.Find(window.id, range.next - 1);
  if (entry == nullptr || entry->hops == 0) return;  // ours goes to whom we like
  Neighbor* sender = ByNumber(entry->sender);
  const bool calm = trees_.IsCalm(now, channel, window.id);
  const bool wanted =
      calm && entry->copies < config_.eager_parents && trees_.TakeSeek(now, channel);
  const bool shorter = neighbors_.size() >= kMinOptimise && entry->hops > kOptimise &&
                       range.hops < entry->hops - kOptimise && sender != nullptr &&
                       sender->IsEager(channel) && calm;
  if (!wanted && !shorter) return;
  PM_CHECK(wanted || sender != &from);
  from.MakeEager(channel);
  ++stats_.grafts_sent;
  // Of this piece nothing more is wanted.
  out.push_back(Send{from.id, Graft{{Range{range.stream, range.next, range.next, 0}}}});
  if (wanted) return;
  ++stats_.optimised;
  PruneIt(now, *sender, channel, out);
}

void Broadcast::Handle(Instant now, Neighbor& from, const Graft& message, Wishes& out) {
  for (const Range& range : message.ranges) {
    stats_.grafts_in_back_off += from.WasPrunedLately(now, range.stream.channel);
    from.MakeEager(range.stream.channel);
  }
  Serve(now, from, message, out);
}

void Broadcast::Serve(Instant now, Neighbor& to, const Graft& message, Wishes& out) {
  std::vector<const Cache::Entry*> entries;
  std::uint64_t bytes = 0;
  for (const Range& range : message.ranges) {
    if (range.first == range.next) continue;
    if (!to.TakeServe(now)) {
      ++stats_.grafts_ignored;
      continue;
    }
    const Window* window = windows_.Find(range.stream);
    const std::size_t before = entries.size();
    if (window != nullptr)
      cache_.Collect(window->id, range.first, range.next, kMaxServedPieces, entries);
    ++(entries.size() > before ? stats_.grafts_served : stats_.grafts_unserved);
  }
  PM_CHECK(entries.size() <= kMaxServedPieces);
  for (const Cache::Entry* entry : entries) {
    bytes += entry->piece->bytes();
    if (bytes > kMaxServedBytes) return;
    to.NeedNotHear(entry->piece->stream, entry->piece->after, entry->piece->next());
    out.push_back(Push{to.id, entry->piece, entry->hops + 1});
  }
}

void Broadcast::Handle(Instant now, Neighbor& from, const Prune& message, Wishes&) {
  from.Pruned(now, message.channels);
  trees_.Remove(from.number, message.channels);
}

void Broadcast::Handle(Instant now, Neighbor& from, const Positions& message, Wishes& out) {
  const bool is_new = IsNew(now);
  for (const Range& range : message.ranges) {
    if (range.stream.origin == self_) continue;
    from.NeedNotHear(range.stream, range.first, range.next);
    Window* window = windows_.Find(range.stream);
    if (window != nullptr && range.next <= window->expected) continue;
    if (!from.IsBelieved(now) || !Admit(now, range.stream, false, out)) {
      ++stats_.claims_ignored;
      continue;
    }
    if (window != nullptr) {
      Claim(now, from, *window, range, false, {}, out);
    } else if (is_new || windows_.WasDropped(range.stream)) {
      // A stream begins where it is met: by word only, so any piece may correct it.
      windows_.Begin(now, range.stream, range.next, Standing::kClaimed).firm = 0;
    } else if (range.next > 1) {
      Claim(now, from, windows_.Begin(now, range.stream, 1, Standing::kClaimed), range, false, {},
            out);
    }
  }
  heard_positions_ |= message.last;
}

}  // namespace peermesh::broadcast
