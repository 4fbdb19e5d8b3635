#include "tests/mesh/broadcast/swarm.h"

#include <algorithm>
#include <set>
#include <utility>

#include "mesh/base/check.h"
#include "mesh/base/digest.h"

namespace peermesh::broadcast {

PeerId PeerOf(std::uint32_t number) {
  PeerId id;
  const std::uint64_t mixed = HashWord(number + 1);
  for (std::size_t i = 0; i < 8; ++i) id.bytes[i] = static_cast<std::uint8_t>(mixed >> 8 * i);
  for (std::size_t i = 0; i < 4; ++i) id.bytes[8 + i] = static_cast<std::uint8_t>(number >> 8 * i);
  return id;
}

PieceRef MakePiece(const Stream& stream, std::uint64_t after, std::uint64_t first, std::size_t rows,
                   std::size_t bytes) {
  auto batch = std::make_shared<Batch>();
  batch->rows.resize(rows);
  auto piece = std::make_shared<Piece>();
  for (std::size_t i = 0; i < rows; ++i) {
    batch->rows[i].record_length = static_cast<std::uint32_t>(bytes);
    piece->rows.push_back(static_cast<std::uint32_t>(i));
  }
  batch->bytes = rows * bytes;
  piece->stream = stream;
  piece->after = after;
  piece->first = first;
  piece->batch = std::move(batch);
  return piece;
}

Swarm::Swarm(const Options& options)
    : options_(options), rng_(Rng::Seed{options.seed, 2, 3, 4}), peers_(options.peers) {
  const std::uint32_t n = options.peers;
  for (std::uint32_t i = 0; i < n; ++i) {
    peers_[i].broadcast = std::make_unique<Broadcast>(PeerOf(i), Config{options.eager_parents},
                                                      Rng(Rng::Seed{options.seed, i, 1, 1}));
    numbers_[PeerOf(i)] = i;
  }
  // Random rings; for an odd degree the last one is every second link of a ring.
  std::vector<std::uint32_t> ring(n);
  for (std::uint32_t i = 0; i < n; ++i) ring[i] = i;
  for (std::uint32_t degree = 0; degree < options.degree; degree += 2) {
    for (std::uint32_t i = n; i > 1; --i) std::swap(ring[i - 1], ring[rng_.Below(i)]);
    const std::uint32_t step = degree + 1 == options.degree ? 2 : 1;
    for (std::uint32_t i = 0; i + step <= n; i += step) Connect(ring[i], ring[(i + 1) % n]);
  }
  for (std::uint32_t i = 0; i < n; ++i) {
    for (const Link& link : peers_[i].links) {
      peers_[i].broadcast->NeighborUp(now_, PeerOf(link.to), wishes_);
      if (options.round_trips) peers_[i].broadcast->RoundTrip(PeerOf(link.to), 2 * link.delay);
      Turn(i);
    }
  }
}

void Swarm::Connect(std::uint32_t a, std::uint32_t b) {
  if (a == b || Find(a, b) != nullptr) return;
  const Duration delay = rng_.Between(options_.delay_min, options_.delay_max);
  peers_[a].links.push_back({b, delay});
  peers_[b].links.push_back({a, delay});
}

Swarm::Link* Swarm::Find(std::uint32_t from, std::uint32_t to) {
  for (Link& link : peers_[from].links) {
    if (link.to == to) return &link;
  }
  return nullptr;
}

std::size_t Swarm::Publish(std::uint32_t peer, std::uint32_t channel) {
  const Stream stream{PeerOf(peer), 1, channel};
  std::vector<std::size_t>& numbers = published_[stream];
  numbers.push_back(outcomes_.size());
  const std::uint64_t number = numbers.size();
  const PieceRef piece = MakePiece(stream, number, number);
  outcomes_.push_back({peer, now_, 0, 0, 0, 0, Duration{}, piece->bytes()});
  peers_[peer].broadcast->Publish(now_, piece, wishes_);
  Turn(peer);
  return outcomes_.size() - 1;
}

void Swarm::Hear(std::uint32_t peer, const Stream& stream, std::uint64_t first, std::uint64_t next,
                 bool delivered) {
  const auto [it, fresh] = peers_[peer].heard.try_emplace(stream, first);
  if (first != it->second || next <= first)
    violations_.push_back("peer " + std::to_string(peer) + " expected " +
                          std::to_string(it->second) + " and heard of " + std::to_string(first) +
                          (delivered ? " delivered" : " missing"));
  it->second = next;
  const auto& numbers = published_[stream];
  for (std::uint64_t number = first; number < next; ++number) {
    if (number == 0 || number > numbers.size()) {
      violations_.push_back("a number nobody published");
      return;
    }
    Outcome& outcome = outcomes_[numbers[number - 1]];
    if (!delivered) {
      ++outcome.missing;
      continue;
    }
    ++outcome.delivered;
    outcome.last = std::max(outcome.last, now_ - outcome.at);
  }
}

void Swarm::Turn(std::uint32_t number) {
  Peer& peer = peers_[number];
  for (Wish& wish : wishes_) {
    if (auto* push = std::get_if<Push>(&wish)) {
      const std::uint32_t to = numbers_.at(push->peer);
      const Link* link = Find(number, to);
      PM_CHECK(link != nullptr);
      ++peer.pushed;
      if (!link->up) continue;
      if (options_.lose_per_1000 > 0 && rng_.Below(1000) < options_.lose_per_1000) continue;
      events_.push({now_ + link->delay, order_++, to, number, push->hops, push->piece, nullptr});
    } else if (auto* send = std::get_if<Send>(&wish)) {
      const std::uint32_t to = numbers_.at(send->peer);
      const Link* link = Find(number, to);
      PM_CHECK(link != nullptr);
      if (!link->up) continue;
      events_.push({now_ + link->delay, order_++, to, number, 0, nullptr,
                    std::make_shared<const Message>(std::move(send->message))});
    } else if (auto* deliver = std::get_if<Deliver>(&wish)) {
      Hear(number, deliver->piece->stream, deliver->first, deliver->piece->next(), true);
    } else {
      const Missing& missing = std::get<Missing>(wish);
      Hear(number, missing.stream, missing.from, missing.to + 1, false);
    }
  }
  wishes_.clear();
  const Instant wake = peer.broadcast->NextWake();
  if (wake < peer.wake) {
    peer.wake = wake;
    events_.push({std::max(wake, now_), order_++, number, number, 0, nullptr, nullptr});
  }
}

void Swarm::Take(const Event& event) {
  Peer& peer = peers_[event.to];
  if (!peer.alive) return;
  if (event.piece == nullptr && event.message == nullptr) {
    if (event.at < peer.wake) return;  // it was put off
    peer.wake = kNever;
    if (peer.broadcast->NextWake() <= now_) peer.broadcast->Wake(now_, wishes_);
  } else {
    const Link* link = Find(event.to, event.from);
    if (!link->up || !peers_[event.from].alive) return;
    if (event.piece != nullptr) {
      Outcome& outcome = outcomes_[published_[event.piece->stream][event.piece->first - 1]];
      ++outcome.copies;
      const std::uint64_t before = outcome.delivered;
      peer.broadcast->Receive(now_, PeerOf(event.from), event.piece, event.hops, wishes_);
      Turn(event.to);
      if (outcome.delivered > before) outcome.hops = std::max(outcome.hops, event.hops);
      return;
    }
    if (!peer.broadcast->Receive(now_, PeerOf(event.from), *event.message, wishes_))
      violations_.push_back("an honest message was refused");
  }
  Turn(event.to);
}

void Swarm::Run(Duration time) {
  const Instant end = now_ + time;
  while (!events_.empty() && events_.top().at <= end) {
    const Event event = events_.top();
    events_.pop();
    PM_CHECK(event.at >= now_);
    now_ = event.at;
    Take(event);
  }
  now_ = end;
}

void Swarm::Kill(std::uint32_t number) {
  peers_[number].alive = false;
  for (Link& link : peers_[number].links) {
    Link* back = Find(link.to, number);
    if (back->up && peers_[link.to].alive) {
      peers_[link.to].broadcast->NeighborDown(now_, PeerOf(number), wishes_);
      Turn(link.to);
    }
    back->up = link.up = false;
  }
}

void Swarm::CutLinks(std::uint32_t side) {
  for (std::uint32_t i = 0; i < size(); ++i) {
    for (Link& link : peers_[i].links) {
      if (!link.up || (i < side) == (link.to < side)) continue;
      link.up = false;
      peers_[i].broadcast->NeighborDown(now_, PeerOf(link.to), wishes_);
      Turn(i);
    }
  }
}

void Swarm::HealLinks() {
  std::vector<std::pair<std::uint32_t, std::uint32_t>> healed;
  for (std::uint32_t i = 0; i < size(); ++i) {
    for (Link& link : peers_[i].links) {
      if (link.up || !peers_[i].alive || !peers_[link.to].alive) continue;
      link.up = true;
      healed.emplace_back(i, link.to);
    }
  }
  for (const auto& [from, to] : healed) {
    peers_[from].broadcast->NeighborUp(now_, PeerOf(to), wishes_);
    Turn(from);
  }
}

Stats Swarm::total() const {
  Stats sum;
  for (const Peer& peer : peers_) {
    const Stats& stats = peer.broadcast->stats();
    sum.duplicates += stats.duplicates;
    sum.heard_of += stats.heard_of;
    sum.grafts_sent += stats.grafts_sent;
    sum.grafts_served += stats.grafts_served;
    sum.grafts_unserved += stats.grafts_unserved;
    sum.grafts_ignored += stats.grafts_ignored;
    sum.grafts_in_back_off += stats.grafts_in_back_off;
    sum.missing_messages += stats.missing_messages;
    sum.optimised += stats.optimised;
  }
  return sum;
}

template <class Visit>
void Swarm::Spread(std::uint32_t source, const Visit& visit) const {
  using Place = std::tuple<Duration, std::uint32_t, std::uint32_t>;
  std::priority_queue<Place, std::vector<Place>, std::greater<>> next;
  std::vector<bool> seen(size());
  next.push({Duration{}, 0, source});
  while (!next.empty()) {
    const auto [time, hops, peer] = next.top();
    next.pop();
    if (seen[peer]) continue;
    seen[peer] = true;
    visit(time, hops);
    for (const Link& link : peers_[peer].links) {
      if (link.up && peers_[link.to].alive && !seen[link.to])
        next.push({time + link.delay, hops + 1, link.to});
    }
  }
}

Duration Swarm::FloodTime(std::uint32_t source) const {
  Duration longest{};
  Spread(source, [&](Duration time, std::uint32_t) { longest = std::max(longest, time); });
  return longest;
}

std::uint32_t Swarm::FloodHops(std::uint32_t source) const {
  std::uint32_t most = 0;
  Spread(source, [&](Duration, std::uint32_t hops) { most = std::max(most, hops); });
  return most;
}

std::size_t Swarm::Reachable(std::uint32_t source) const {
  std::size_t count = 0;
  Spread(source, [&](Duration, std::uint32_t) { ++count; });
  return count;
}

std::size_t Swarm::Unsettled() const {
  std::size_t count = 0;
  for (const auto& [stream, numbers] : published_) {
    const std::uint32_t origin = numbers_.at(stream.origin);
    for (std::uint32_t i = 0; i < size(); ++i) {
      if (i == origin || !peers_[i].alive) continue;
      const auto heard = peers_[i].heard.find(stream);
      count += heard == peers_[i].heard.end() || heard->second != numbers.size() + 1;
    }
  }
  return count;
}

std::uint64_t Swarm::Digest() const {
  peermesh::Digest digest;
  for (const Peer& peer : peers_) digest.Add(peer.broadcast->Digest());
  return digest.value();
}

void Swarm::CheckInvariants() const {
  for (const Peer& peer : peers_) {
    if (peer.alive) peer.broadcast->CheckInvariants();
  }
}

}  // namespace peermesh::broadcast
