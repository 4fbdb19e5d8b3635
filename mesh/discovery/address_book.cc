#include "mesh/discovery/address_book.h"

#include <algorithm>
#include <utility>

#include "mesh/base/check.h"
#include "mesh/base/digest.h"

namespace peermesh::discovery {
namespace {

// How long the peer with the larger id leaves the first dial to the other: a few round trips and a
// handshake.
constexpr Duration kYield = std::chrono::milliseconds(300);
// A link that lived this long was a working one: guess, twice the longest handshake of crossed
// dials.
constexpr Duration kLasting = std::chrono::seconds(2);
// Everybody due at once is spread over this, so that a healed network is not met by one burst.
constexpr Duration kSpread = std::chrono::milliseconds(50);

}  // namespace

void AddressBook::AddSeed(Instant now, std::string address) {
  if (seeds_.size() >= kMaxSeeds) return;
  Seed seed;
  seed.target.addresses.push_back(std::move(address));
  seed.target.due = now;
  seeds_.push_back(std::move(seed));
}

void AddressBook::SetSeeds(Instant now, const std::vector<std::string>& addresses) {
  std::vector<Seed> before = std::exchange(seeds_, {});
  std::vector<std::optional<std::size_t>> place(before.size());  // of each that stays
  for (const std::string& address : addresses) {
    std::size_t old = 0;
    while (old < before.size() && (place[old] || before[old].target.addresses.front() != address))
      ++old;
    if (old == before.size()) {
      AddSeed(now, address);
    } else if (seeds_.size() < kMaxSeeds) {
      place[old] = seeds_.size();
      seeds_.push_back(std::move(before[old]));
    }
  }
  for (auto& [dial, flight] : flights_) {
    if (flight.seed) flight.seed = place[*flight.seed];
  }
}

void AddressBook::Learn(Instant now, PeerId peer, std::vector<std::string> addresses) {
  PM_CHECK(addresses.size() <= kMaxAddressesPerPeer);
  if (peer == self_) return;
  const auto [it, fresh] = peers_.try_emplace(peer);
  Target& target = it->second;
  if (fresh && peers_.size() > kMaxPeers) {
    peers_.erase(it);
    return;
  }
  if (!fresh && target.addresses == addresses && target.due != kNever) return;
  target.addresses = std::move(addresses);
  target.next_address = 0;
  if (target.linked || target.dialling) return;
  target.wait = Duration{};
  target.due = target.addresses.empty() ? kNever : now + (self_ < peer ? Duration{} : kYield);
}

void AddressBook::Forget(PeerId peer) {
  peers_.erase(peer);
  for (auto& [dial, flight] : flights_) {
    if (flight.peer == peer) flight.peer.reset();
  }
}

AddressBook::Attempt AddressBook::Start(Target& target, Flight flight) {
  PM_CHECK(!target.addresses.empty() && !target.dialling);
  const DialId dial{next_dial_++};
  Attempt attempt{dial, target.addresses[target.next_address % target.addresses.size()],
                  flight.peer};
  target.next_address = (target.next_address + 1) % target.addresses.size();
  target.dialling = true;
  target.due = kNever;
  flights_.emplace(dial, flight);
  return attempt;
}

std::vector<AddressBook::Attempt> AddressBook::TakeDue(Instant now) {
  std::vector<Attempt> due;
  for (auto& [peer, target] : peers_) {
    if (target.due <= now) due.push_back(Start(target, {peer, std::nullopt}));
  }
  for (std::size_t i = 0; i < seeds_.size(); ++i) {
    if (seeds_[i].target.due > now) continue;
    if (SettledElsewhere(seeds_[i])) {
      Schedule(now, seeds_[i].target);
    } else {
      due.push_back(Start(seeds_[i].target, {std::nullopt, i}));
    }
  }
  return due;
}

bool AddressBook::SettledElsewhere(const Seed& seed) const {
  if (!seed.peer) return false;
  const auto it = peers_.find(*seed.peer);
  return it != peers_.end() && (it->second.linked || it->second.dialling);
}

Instant AddressBook::NextWake() const {
  Instant next = kNever;
  for (const Seed& seed : seeds_) next = std::min(next, seed.target.due);
  for (const auto& [peer, target] : peers_) next = std::min(next, target.due);
  return next;
}

AddressBook::Target* AddressBook::TargetOf(const Flight& flight) {
  if (flight.seed) return &seeds_.at(*flight.seed).target;
  if (!flight.peer) return nullptr;
  const auto it = peers_.find(*flight.peer);
  return it == peers_.end() ? nullptr : &it->second;
}

void AddressBook::Schedule(Instant now, Target& target) {
  if (target.addresses.empty()) {  // they may have gone while the last one was dialled
    target.due = kNever;
    return;
  }
  const Duration low = kRedialMin;
  const Duration high = std::min(kRedialMax, std::max(target.wait, kRedialMin) * 3);
  target.wait = target.wait == Duration{} ? low : rng_.Between(low, high);
  PM_CHECK(target.wait >= kRedialMin && target.wait <= kRedialMax);
  target.due = now + target.wait;
}

void AddressBook::Succeeded(DialId dial, PeerId peer) {
  const auto it = flights_.find(dial);
  PM_CHECK(it != flights_.end());
  PM_CHECK(peer != self_);
  if (Target* target = TargetOf(it->second)) {
    target->dialling = false;
    target->due = kNever;
  }
  if (it->second.seed) {
    seeds_.at(*it->second.seed).peer = peer;
    seeds_.at(*it->second.seed).target.linked = true;
  }
  flights_.erase(it);
}

void AddressBook::Failed(Instant now, DialId dial) {
  const auto it = flights_.find(dial);
  PM_CHECK(it != flights_.end());
  if (Target* target = TargetOf(it->second)) {
    target->dialling = false;
    if (!target->linked) Schedule(now, *target);
  }
  flights_.erase(it);
}

void AddressBook::IsSelf(Instant now, DialId dial) {
  const auto it = flights_.find(dial);
  PM_CHECK(it != flights_.end());
  if (!it->second.seed) return Failed(now, dial);
  Seed& seed = seeds_.at(*it->second.seed);
  PM_CHECK(seed.target.dialling);
  seed.self = true;
  seed.target.dialling = false;
  seed.target.due = kNever;
  flights_.erase(it);
}

void AddressBook::MakeLostDue(Instant now) {
  const auto hurry = [&](Target& target) {
    if (target.linked) return;
    target.wait = Duration{};  // also of one that is being dialled: its next try comes soon
    if (target.due == kNever || target.due <= now + kSpread) return;
    target.due = now + rng_.Between(Duration{}, kSpread);
  };
  for (Seed& seed : seeds_) hurry(seed.target);
  for (auto& [peer, target] : peers_) hurry(target);
}

void AddressBook::Linked(Instant now, PeerId peer) {
  PM_CHECK(peer != self_);
  bool alone = true;
  for (const auto& [other, target] : peers_) alone &= !target.linked;
  Target& target = peers_[peer];
  bool sought = !target.linked && target.wait > Duration{};
  target.linked = true;
  target.linked_at = now;
  target.due = kNever;
  for (Seed& seed : seeds_) {
    if (seed.peer != peer) continue;
    sought |= !seed.target.linked && seed.target.wait > Duration{};
    seed.target.linked = true;
    seed.target.due = kNever;
  }
  if (alone || sought) MakeLostDue(now);
}

void AddressBook::Unlinked(Instant now, PeerId peer) {
  if (const auto it = peers_.find(peer); it != peers_.end() && it->second.linked) {
    Target& target = it->second;
    target.linked = false;
    if (target.dialling || target.addresses.empty()) {
      target.due = kNever;
    } else if (const bool lasted = now - target.linked_at >= kLasting;
               lasted || target.wait == Duration{}) {
      // At once: either the process is gone and the dial is refused, which settles it, or it is
      // there.
      target.wait = lasted ? Duration{} : kRedialMin;
      target.due = now;
    } else {
      Schedule(now, target);
    }
  }
  for (Seed& seed : seeds_) {
    if (seed.peer != peer || !seed.target.linked) continue;
    seed.target.linked = false;
    if (!seed.target.dialling) Schedule(now, seed.target);
  }
}

void AddressBook::Rest(PeerId peer) {
  const auto it = peers_.find(peer);
  if (it != peers_.end()) it->second.due = kNever;
}

std::optional<AddressBook::Attempt> AddressBook::Replace(Instant, PeerId peer) {
  const auto it = peers_.find(peer);
  if (it == peers_.end() || it->second.dialling || it->second.addresses.empty())
    return std::nullopt;
  return Start(it->second, {peer, std::nullopt});
}

void AddressBook::CheckInvariants() const {
  PM_CHECK(seeds_.size() <= kMaxSeeds);
  PM_CHECK(!peers_.contains(self_));
  for (const Seed& seed : seeds_) {
    PM_CHECK(!(seed.target.dialling && seed.target.due != kNever));
    PM_CHECK(!(seed.self && seed.target.due != kNever));
    // Sought for ever: linked, in the air, or with a time.
    PM_CHECK(seed.self || seed.target.linked || seed.target.dialling || seed.target.due != kNever);
  }
  for (const auto& [peer, target] : peers_) {
    PM_CHECK(!(target.dialling && target.due != kNever));
    PM_CHECK(!(target.linked && target.due != kNever));
    PM_CHECK(!(target.addresses.empty() && target.due != kNever));
    PM_CHECK(target.addresses.size() <= kMaxAddressesPerPeer);
  }
  PM_CHECK(peers_.size() <= kMaxPeers + kMaxLinks);
  for (const auto& [dial, flight] : flights_) {
    PM_CHECK(dial.value < next_dial_);
    PM_CHECK(!flight.seed ||
             (*flight.seed < seeds_.size() && seeds_[*flight.seed].target.dialling));
    PM_CHECK(!(flight.seed && flight.peer));
  }
}

std::uint64_t AddressBook::Digest() const {
  peermesh::Digest digest;
  const auto add = [&](const Target& target) {
    digest.Add(target.due).Add(target.addresses.size()).Add(target.linked).Add(target.dialling);
  };
  for (const Seed& seed : seeds_) add(seed.target);
  for (const auto& [peer, target] : peers_) {
    digest.Add(peer);
    add(target);
  }
  return digest.Add(next_dial_).Add(rng_.Digest()).value();
}

}  // namespace peermesh::discovery
