#include "mesh/broadcast/broadcast.h"

#include <algorithm>
#include <limits>

#include "mesh/base/check.h"
#include "mesh/base/digest.h"

namespace peermesh::broadcast {
namespace {

// No honest path is longer; keeps the sum from wrapping.
constexpr std::uint32_t kMostHops = 1u << 16;

}  // namespace

Broadcast::Broadcast(PeerId self, Config config, Rng /*rng*/) : self_(self), config_(config) {
  PM_CHECK(config.eager_parents >= 1 && config.eager_parents <= kMaxParents);
  PM_CHECK(config.announce > kAnnounceSooner && config.announce <= kMaxWaited);
}

Neighbor* Broadcast::Find(const PeerId& peer) {
  for (Neighbor& neighbor : neighbors_) {
    if (neighbor.id == peer) return &neighbor;
  }
  return nullptr;
}

const Neighbor* Broadcast::Find(const PeerId& peer) const {
  return const_cast<Broadcast*>(this)->Find(peer);
}

Neighbor* Broadcast::ByNumber(std::uint32_t number) {
  const auto it = std::lower_bound(
      neighbors_.begin(), neighbors_.end(), number,
      [](const Neighbor& neighbor, std::uint32_t n) { return neighbor.number < n; });
  return it != neighbors_.end() && it->number == number ? &*it : nullptr;
}

bool Broadcast::IsNew(Instant now) const {
  if (heard_positions_) return false;
  return first_neighbor_at_ == kNever || now < first_neighbor_at_ + kBeginning;
}

void Broadcast::NeighborUp(Instant now, PeerId peer, Wishes& out) {
  PM_CHECK(peer != self_);
  NeighborDown(now, peer, out);
  PM_CHECK(neighbors_.size() < kMaxLinks);
  if (first_neighbor_at_ == kNever) first_neighbor_at_ = now;
  // Few come, and each is large: no room for as many again.
  if (neighbors_.size() == neighbors_.capacity()) neighbors_.reserve(neighbors_.size() + 1);
  Neighbor& neighbor = neighbors_.emplace_back();
  neighbor.id = peer;
  neighbor.number = next_number_++;
  PM_CHECK(next_number_ != 0);
  Positions positions;
  for (const auto& [stream, window] : windows_.all()) {
    // Hearsay is not passed on.
    if (window.standing == Standing::kClaimed || window.firm == 0) continue;
    if (positions.ranges.size() == kMaxRanges)
      out.push_back(Send{peer, std::exchange(positions, Positions{})});
    positions.ranges.push_back(
        {stream, cache_.ContiguousFrom(window.id, window.firm), window.firm, 0});
  }
  positions.last = !IsNew(now);
  if (positions.last || !positions.ranges.empty()) out.push_back(Send{peer, std::move(positions)});
}

void Broadcast::NeighborDown(Instant, PeerId peer, Wishes&) {
  const auto it = std::find_if(neighbors_.begin(), neighbors_.end(),
                               [&](const Neighbor& neighbor) { return neighbor.id == peer; });
  if (it == neighbors_.end()) return;
  trees_.Remove(it->number, ~std::uint64_t{0});
  neighbors_.erase(it);
}

void Broadcast::RoundTrip(PeerId peer, Duration round_trip) {
  Neighbor* neighbor = Find(peer);
  if (neighbor == nullptr || round_trip <= Duration::zero()) return;
  neighbor->round_trip = neighbor->round_trip == Duration::zero()
                             ? round_trip
                             : (neighbor->round_trip * 7 + round_trip) / 8;
  std::vector<Duration> known;
  for (const Neighbor& each : neighbors_) {
    if (each.round_trip > Duration::zero()) known.push_back(each.round_trip);
  }
  PM_CHECK(!known.empty());
  const auto middle = known.begin() + static_cast<std::ptrdiff_t>(known.size() / 2);
  std::nth_element(known.begin(), middle, known.end());
  median_ = *middle;
}

void Broadcast::Publish(Instant now, PieceRef piece, Wishes& out) {
  PM_CHECK(piece != nullptr && piece->IsWellFormed());
  PM_CHECK(piece->stream.origin == self_);
  if (windows_.Find(piece->stream) == nullptr) {
    const bool admitted = Admit(now, piece->stream, true, out);
    PM_CHECK(admitted);  // our own epochs only grow
    windows_.Begin(now, piece->stream, piece->first, Standing::kClaimed);
  }
  Window& window = *windows_.Find(piece->stream);
  PM_CHECK(window.backlog == nullptr && window.expected <= piece->first);
  windows_.Prove(now, window);
  window.expected = window.firm = piece->next();
  trees_.First(now, piece->stream.channel, 0, window.id);
  cache_.Insert(now, window.id, piece, 0, 0);
  Forward(now, 0, piece, 0, out);
}

void Broadcast::Receive(Instant now, PeerId from, PieceRef piece, std::uint32_t hops, Wishes& out) {
  PM_CHECK(piece != nullptr && piece->IsWellFormed());
  ++stats_.pieces;
  // A piece at the end of all numbers is its origin's joke.
  Window* window = piece->next() > piece->first ? Open(now, *piece, out) : nullptr;
  if (window == nullptr) {
    ++stats_.refused;
    return;
  }
  Neighbor* sender = Find(from);
  const std::uint32_t number = sender == nullptr ? 0 : sender->number;
  if (sender != nullptr) sender->NeedNotHear(piece->stream, piece->after, piece->next());
  StepBack(now, *window, *piece);
  hops = std::clamp(hops, 1u, kMostHops);
  if (window->Knows(*piece)) {
    if (windows_.TakeLost(now, *window, piece->first, piece->next())) {
      ++stats_.late;  // for us; others may still wait for it
      cache_.Insert(now, window->id, piece, hops, number);
      Forward(now, number, piece, hops, out);
      return;
    }
    ++stats_.duplicates;
    if (sender != nullptr) Duplicate(now, *sender, *window, *piece, out);
    return;
  }
  if (sender != nullptr) {
    sender->MakeEager(piece->stream.channel);
  }
  trees_.First(now, piece->stream.channel, number, window->id);
  windows_.Prove(now, *window);
  cache_.Insert(now, window->id, piece, hops, number);
  Forward(now, number, piece, hops, out);  // passed on before anything else is done about it
  Accept(now, *window, number, from, piece, out);
}

void Broadcast::Forward(Instant now, std::uint32_t from, const PieceRef& piece, std::uint32_t hops,
                        Wishes& out) {
  const std::uint32_t channel = piece->stream.channel;
  const bool flood = hops == 0 && config_.eager_parents >= 2;
  for (Neighbor& neighbor : neighbors_) {
    if (neighbor.number == from) continue;
    if (flood || neighbor.IsEager(channel)) {
      out.push_back(Push{neighbor.id, piece, hops + 1});
    } else {
      Tell(now, neighbor, {piece->stream, piece->after, piece->next(), hops}, out);
    }
  }
}

// `piece` came once more than needed, perhaps.
void Broadcast::Duplicate(Instant now, Neighbor& sender, const Window& window, const Piece& piece,
                          Wishes& out) {
  const std::uint32_t channel = piece.stream.channel;
  // Without an entry it is more than a minute old, or never was in one piece: no way to count.
  Cache::Entry* entry = cache_.Find(window.id, piece.first);
  if (entry == nullptr) return;
  // Several origins at once: what is one too many for this piece may be needed for the next.
  const bool mixed = config_.eager_parents > 1 && !trees_.IsCalm(now, channel, window.id);
  if (++entry->copies <= config_.eager_parents + (mixed ? 2 : 0)) return;
  // What was on its way when it was pruned.
  if (!sender.IsEager(channel) && sender.WasPrunedLately(now, channel)) return;
  const bool own = piece.stream.origin == self_;
  if (own || !trees_.IsParent(channel, sender.number)) PruneIt(now, sender, channel, out);
}

void Broadcast::PruneIt(Instant now, Neighbor& neighbor, std::uint32_t channel, Wishes& out) {
  const std::uint64_t channels = std::uint64_t{1} << channel;
  neighbor.Pruned(now, channels);
  trees_.Remove(neighbor.number, channels);
  ++stats_.prunes_sent;
  out.push_back(Send{neighbor.id, Prune{channels}});
}

void Broadcast::NotSent(Instant now, PeerId peer, PieceRef piece, Wishes& out) {
  PM_CHECK(piece != nullptr);
  Neighbor* neighbor = Find(peer);
  const Window* window = windows_.Find(piece->stream);
  if (neighbor == nullptr || window == nullptr) return;
  const Cache::Entry* entry = cache_.Find(window->id, piece->first);
  if (entry == nullptr) return;  // it could not be had any more
  Tell(now, *neighbor, {piece->stream, piece->after, piece->next(), entry->hops}, out);
}

void Broadcast::Forget(PeerId origin, std::uint64_t epoch) {
  for (Window* window : windows_.Of(origin, epoch)) {
    if (Backlog* backlog = window->backlog.get()) {
      backlog->holes.Clear(counts_);
      backlog->held.clear();
      PM_CHECK(held_bytes_ >= backlog->held_bytes);
      held_bytes_ -= backlog->held_bytes;
      backlog->held_bytes = 0;
      Rearm(window->touched, *window);
    }
    windows_.Drop(*window);
  }
  windows_.Close(origin, epoch);
}

void Broadcast::Wake(Instant now, Wishes& out) {
  FlushDue(now, out);
  Asks asks;
  while (!timers_.empty() && timers_.begin()->first.first <= now) {
    Window& window = *timers_.begin()->second;
    StepHoles(now, window, asks);
    Advance(now, window, out);
  }
  for (auto& [number, ranges] : asks) {
    stats_.grafts_sent += ranges.size();
    out.push_back(Send{ByNumber(number)->id, Graft{std::move(ranges)}});
  }
  if (cache_.NextWake() <= now) cache_.Expire(now);
  windows_.Expire(now);
}

Instant Broadcast::NextWake() const {
  Instant next = std::min(announce_at_, std::min(cache_.NextWake(), windows_.NextWake()));
  if (!timers_.empty()) next = std::min(next, timers_.begin()->first.first);
  return next;
}

bool Broadcast::IsEager(PeerId peer, std::uint32_t channel) const {
  const Neighbor* neighbor = Find(peer);
  return neighbor != nullptr && channel < kChannels && neighbor->IsEager(channel);
}

std::optional<std::uint64_t> Broadcast::Expected(const Stream& stream) const {
  const Window* window = windows_.Find(stream);
  if (window == nullptr) return std::nullopt;
  return window->expected;
}

void Broadcast::CheckInvariants() const {
  PM_CHECK(neighbors_.size() <= kMaxLinks);
  std::uint32_t before = 0;
  for (const Neighbor& neighbor : neighbors_) {
    PM_CHECK(neighbor.id != self_ && neighbor.number > before);
    PM_CHECK(neighbor.number < next_number_ && announce_at_ <= neighbor.announce_at);
    before = neighbor.number;
    neighbor.CheckInvariants();
  }
  trees_.CheckInvariants();
  windows_.CheckInvariants();
  cache_.CheckInvariants();
  std::uint64_t held = 0;
  std::size_t holes = 0, timers = 0;
  for (const auto& [stream, window] : windows_.all()) {
    if (window.backlog == nullptr) continue;
    held += window.backlog->held_bytes;
    holes += window.backlog->holes.size();
    ++timers;
    const auto timer = timers_.find({window.backlog->timer, window.id});
    PM_CHECK(timer != timers_.end() && timer->second == &window);
    PM_CHECK(window.backlog->held_bytes <= kMaxHeldBytesPerStream);
    PM_CHECK(window.backlog->holes.size() <= kMaxHolesPerStream);
  }
  PM_CHECK(held == held_bytes_ && held_bytes_ <= kMaxHeldBytes);
  PM_CHECK(holes == counts_.total() && holes <= kMaxHoles);
  PM_CHECK(timers == timers_.size());
}

std::uint64_t Broadcast::Digest() const {
  peermesh::Digest digest;
  for (const Neighbor& neighbor : neighbors_) neighbor.AddTo(digest);
  trees_.AddTo(digest);
  windows_.AddTo(digest);
  cache_.AddTo(digest);
  for (const auto& [key, window] : timers_) digest.Add(key.first).Add(key.second);
  digest.Add(next_number_).Add(announce_at_).Add(held_bytes_).Add(counts_.total());
  digest.Add(static_cast<std::uint64_t>(median_.count())).Add(first_neighbor_at_);
  return digest.Add(heard_positions_).value();
}

}  // namespace peermesh::broadcast
