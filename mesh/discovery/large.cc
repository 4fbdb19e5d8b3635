// The address book of a large mesh: who is wanted, who is lost, and islands.
#include <algorithm>

#include "mesh/base/check.h"
#include "mesh/discovery/address_book.h"

namespace peermesh::discovery {
namespace {

// Guess: as in a small mesh, so that a healed network is not met by one burst.
constexpr Duration kSpread = std::chrono::milliseconds(50);

}  // namespace

Duration AddressBook::Around(Duration time) { return rng_.Between(time * 3 / 4, time * 5 / 4); }

void AddressBook::SetLarge(Instant now, bool large) {
  if (large == large_) return;
  large_ = large;
  if (large) {
    BecomeLarge(now);
  } else {
    BecomeSmall(now);
  }
}

void AddressBook::BecomeLarge(Instant now) {
  for (auto& [peer, target] : peers_) {
    if (target.round == 0) SetDue(peer, target, kNever);
    target.wait = Duration{};
  }
  peers_.EraseIf([](const auto& entry) {
    const Target& target = entry.second;
    return !target.linked && !target.dialling && target.round == 0;
  });
  for (const Known& known : known_) {
    if (known.lost) BeginSeeking(now, known.peer);
  }
  if (lost_ > 0) random_at_ = now + Around(kRandomLost);
  if (linked_ > 0) RestSeeds(now);
}

void AddressBook::BecomeSmall(Instant now) {
  random_at_ = island_at_ = kNever;
  for (auto& [peer, target] : peers_) {
    EndSeeking(target);
    if (target.round == 0) SetDue(peer, target, kNever);
  }
  for (const Known& known : known_) {
    Target& target = peers_[known.peer];
    if (!known.rests && target.due == kNever) KnowSmall(now, known.peer, true);
  }
  for (Seed& seed : seeds_) {
    const Target& target = seed.target;
    if (!seed.self && !target.linked && !target.dialling && target.due == kNever) {
      ScheduleSeed(now, seed);
    }
  }
  ReadSeedsDue();
}

// In a large mesh nothing is kept of who is neither linked nor dialled nor sought.
void AddressBook::DropIfIdle(PeerId peer) {
  if (!large_) return;
  const auto it = peers_.find(peer);
  if (it == peers_.end()) return;
  const Target& target = it->second;
  if (target.linked || target.dialling || target.round > 0 || target.tries > 0) return;
  if (target.due == kNever) peers_.erase(peer);
}

// --- Wanted --------------------------------------------------------------------------------------

bool AddressBook::Want(Instant now, PeerId peer) {
  const Known* const known = FindKnown(peer);
  if (known == nullptr || known->addresses->empty()) return false;
  Target& target = peers_[peer];
  if (target.linked) return false;
  if (target.round > 0) return true;
  target.round = static_cast<std::uint8_t>(known->addresses->size());
  if (!target.dialling) SetDue(peer, target, now);
  return true;
}

void AddressBook::Unwant(PeerId peer) {
  Target* const target = FindTarget(peer);
  if (target == nullptr || target->round == 0) return;
  target->round = 0;
  // In a small mesh, and if it is lost, it is due anyway; it may as well be at once.
  if (large_ && target->tries == 0 && !target->dialling) SetDue(peer, *target, kNever);
  DropIfIdle(peer);
}

bool AddressBook::Wanted(PeerId peer) const {
  const auto it = peers_.find(peer);
  return it != peers_.end() && it->second.round > 0;
}

// --- Lost ----------------------------------------------------------------------------------------

void AddressBook::Lost(Instant now, PeerId peer) {
  Known* const known = FindKnown(peer);
  if (known == nullptr || known->lost) return;
  if (const Target* const target = FindTarget(peer); target != nullptr && target->linked) return;
  known->lost = true;
  ++lost_;
  if (!large_) return;
  if (random_at_ == kNever) random_at_ = now + Around(kRandomLost);
  BeginSeeking(now, peer);
}

void AddressBook::Found(PeerId peer) { ClearLost(peer); }

void AddressBook::ClearLost(PeerId peer) {
  Known* const known = FindKnown(peer);
  if (known == nullptr || !known->lost) return;
  known->lost = false;
  PM_CHECK(lost_ > 0);
  if (--lost_ == 0) random_at_ = kNever;
  Target* const target = FindTarget(peer);
  if (target == nullptr || !large_) return;
  EndSeeking(*target);
  if (target->round == 0) SetDue(peer, *target, kNever);
  DropIfIdle(peer);
}

void AddressBook::BeginSeeking(Instant now, PeerId peer) {
  if (sought_ >= kMaxLostSought || !HasAddress(peer)) return;
  Target& target = peers_[peer];
  PM_CHECK(target.tries == 0);
  target.tries = 1;
  ++sought_;
  if (target.dialling || target.round > 0) return;
  SetDue(peer, target, now + Around(kLostFirst), Pace::kPaced);
}

// One more try came to nothing.
void AddressBook::SeekAgain(Instant now, PeerId peer, Target& target) {
  PM_CHECK(target.tries > 0 && target.tries <= kLostTries);
  if (target.tries == kLostTries || !HasAddress(peer)) {
    EndSeeking(target);
    return DropIfIdle(peer);
  }
  ++target.tries;
  const Duration wait = std::min(kLostFirst * (1 << (target.tries - 1)), kLostLast);
  SetDue(peer, target, now + Around(wait), Pace::kPaced);
}

void AddressBook::EndSeeking(Target& target) {
  if (target.tries == 0) return;
  PM_CHECK(sought_ > 0);
  target.tries = 0;
  --sought_;
}

// The first from a random place on: ids are hashes, so that is fair enough.
std::optional<PeerId> AddressBook::PickLost() {
  if (lost_ == 0) return std::nullopt;
  const std::size_t first = rng_.Below(known_.size());
  for (std::size_t i = 0; i < known_.size(); ++i) {
    const Known& known = known_[(first + i) % known_.size()];
    if (!known.lost || known.addresses->empty()) continue;
    const Target* const target = FindTarget(known.peer);
    if (target == nullptr) return known.peer;
    if (!target->dialling && (target->due == kNever || target->paced)) return known.peer;
  }
  return std::nullopt;
}

void AddressBook::SeekAll(Instant now) {
  if (!large_) return MakeLostDue(now);
  for (Seed& seed : seeds_) {
    if (seed.self || seed.target.linked || seed.target.dialling) continue;
    seed.target.due = now;
    seed.target.wait = Duration{};
  }
  ReadSeedsDue();
  for (std::size_t i = 0; i < kLostAtOnce; ++i) {
    const std::optional<PeerId> peer = PickLost();
    if (!peer) break;
    SetDue(*peer, peers_[*peer], now + rng_.Between(Duration{}, kSpread));
  }
}

// --- Islands -------------------------------------------------------------------------------------

// There is a link: seeds are dialled one a minute from now on.
void AddressBook::RestSeeds(Instant now) {
  PM_CHECK(large_ && linked_ > 0);
  for (Seed& seed : seeds_) {
    seed.target.due = kNever;
    seed.target.wait = Duration{};
  }
  ReadSeedsDue();
  CheckIslandsFrom(now);
}

void AddressBook::CheckIslandsFrom(Instant now) {
  if (large_ && linked_ > 0 && island_at_ == kNever && !seeds_.empty()) {
    island_at_ = now + Around(kIslandCheck);
  }
}

// Of a seed whose owner is known to live there is news, so it is on no other island; its address
// may lead to another one, but that is rare.
std::optional<std::size_t> AddressBook::PickSeed() {
  std::vector<std::size_t> apart, near;
  for (std::size_t i = 0; i < seeds_.size(); ++i) {
    const Seed& seed = seeds_[i];
    if (seed.self || seed.target.linked || seed.target.dialling || SettledElsewhere(seed)) continue;
    const Known* const owner = seed.peer ? FindKnown(*seed.peer) : nullptr;
    (owner != nullptr && !owner->lost ? near : apart).push_back(i);
  }
  const std::uint64_t checks = std::max<std::uint64_t>(kNearSeed, known_.size() / kNearSeedPeers);
  if (apart.empty() && rng_.Below(checks) == 0) apart = std::move(near);
  if (apart.empty()) return std::nullopt;
  return apart[rng_.Below(apart.size())];
}

void AddressBook::MakeRandomDue(Instant now) {
  if (random_at_ <= now) {
    random_at_ = now + Around(kRandomLost);
    if (const auto peer = PickLost()) SetDue(*peer, peers_[*peer], now);
  }
  if (island_at_ <= now) {
    island_at_ = kNever;
    CheckIslandsFrom(now);
    if (const auto seed = PickSeed()) seeds_[*seed].target.due = now;
    ReadSeedsDue();
  }
}

}  // namespace peermesh::discovery
