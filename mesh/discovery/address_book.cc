#include "mesh/discovery/address_book.h"

#include <algorithm>
#include <utility>

#include "mesh/base/check.h"
#include "mesh/base/digest.h"
#include "mesh/base/growth.h"

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

// --- Seeds ---------------------------------------------------------------------------------------

void AddressBook::AddSeed(Instant now, std::string address) {
  if (seeds_.size() >= kMaxSeeds) return;
  Seed seed;
  seed.address = std::move(address);
  seed.target.due = now;
  MakeRoomForOne(seeds_);
  seeds_.push_back(std::move(seed));
  ReadSeedsDue();
  CheckIslandsFrom(now);
}

void AddressBook::SetSeeds(Instant now, const std::vector<std::string>& addresses) {
  std::vector<Seed> before = std::exchange(seeds_, {});
  std::vector<std::optional<std::size_t>> place(before.size());  // of each that stays
  for (const std::string& address : addresses) {
    std::size_t old = 0;
    while (old < before.size() && (place[old] || before[old].address != address)) ++old;
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
  ReadSeedsDue();
}

void AddressBook::ReadSeedsDue() {
  seeds_due_ = kNever;
  for (const Seed& seed : seeds_) seeds_due_ = std::min(seeds_due_, seed.target.due);
}

void AddressBook::ScheduleSeed(Instant now, Seed& seed) {
  seed.target.due = large_ && linked_ > 0 ? kNever : now + DrawWait(seed.target);
}

bool AddressBook::SettledElsewhere(const Seed& seed) const {
  if (!seed.peer) return false;
  const auto it = peers_.find(*seed.peer);
  return it != peers_.end() && (it->second.linked || it->second.dialling);
}

// --- Who is known --------------------------------------------------------------------------------

AddressBook::Known* AddressBook::FindKnown(PeerId peer) {
  return const_cast<Known*>(std::as_const(*this).FindKnown(peer));
}

const AddressBook::Known* AddressBook::FindKnown(PeerId peer) const {
  const auto it = std::lower_bound(known_.begin(), known_.end(), peer,
                                   [](const Known& a, const PeerId& b) { return a.peer < b; });
  return it != known_.end() && it->peer == peer ? &*it : nullptr;
}

AddressBook::Target* AddressBook::FindTarget(PeerId peer) {
  const auto it = peers_.find(peer);
  return it == peers_.end() ? nullptr : &it->second;
}

bool AddressBook::HasAddress(PeerId peer) const {
  const Known* const known = FindKnown(peer);
  return known != nullptr && !known->addresses->empty();
}

void AddressBook::Know(Instant now, PeerId peer, Addresses addresses) {
  PM_CHECK(addresses != nullptr && addresses->size() <= kMaxAddressesPerPeer);
  if (peer == self_) return;
  Known* known = FindKnown(peer);
  const bool fresh = known == nullptr;
  if (fresh) {
    if (known_.size() >= kMaxPeers) return;
    MakeRoomForOne(known_);
    const auto place = std::lower_bound(known_.begin(), known_.end(), peer,
                                        [](const Known& a, const PeerId& b) { return a.peer < b; });
    known = &*known_.insert(place, {peer, addresses});
  }
  const bool same = !fresh && *known->addresses == *addresses;
  Target* const target = FindTarget(peer);
  // A round goes on with what it has, rather than end without a word.
  if (addresses->empty() && target != nullptr && target->round > 0) return;
  known->addresses = std::move(addresses);
  known->rests = false;
  if (target != nullptr && !same) {
    target->next_address = 0;
    if (target->round > 0) target->round = static_cast<std::uint8_t>(known->addresses->size());
  }
  if (!large_) {
    KnowSmall(now, peer, !same);
  } else if (target != nullptr && known->addresses->empty() && !target->linked) {
    EndSeeking(*target);
    SetDue(peer, *target, kNever);
    DropIfIdle(peer);
  }
}

// `news`: other addresses than before. The same ones mean something to a peer that rests.
void AddressBook::KnowSmall(Instant now, PeerId peer, bool news) {
  Target& target = peers_[peer];
  if (target.linked || target.dialling || (!news && target.due != kNever)) return;
  target.next_address = 0;
  target.wait = Duration{};
  const Duration yield = self_ < peer ? Duration{} : kYield;
  SetDue(peer, target, HasAddress(peer) ? now + yield : kNever);
}

void AddressBook::Forget(PeerId peer) {
  ClearLost(peer);
  if (const Known* known = FindKnown(peer); known != nullptr) {
    known_.erase(known_.begin() + (known - known_.data()));
  }
  if (Target* const target = FindTarget(peer); target != nullptr) {
    SetDue(peer, *target, kNever);
    target->round = 0;
    target->dialling = false;
    if (!target->linked) peers_.erase(peer);  // else when the link goes
  }
  for (auto& [dial, flight] : flights_) {
    if (flight.peer == peer) flight.peer.reset();
  }
}

// --- Dials ---------------------------------------------------------------------------------------

void AddressBook::SetDue(PeerId peer, Target& target, Instant due, Pace pace) {
  if (target.due != kNever) {
    const std::size_t erased = (target.paced ? paced_ : due_).erase({target.due, peer});
    PM_CHECK(erased == 1);
  }
  target.due = due;
  target.paced = pace == Pace::kPaced;
  if (due != kNever) (target.paced ? paced_ : due_).emplace(due, peer);
}

AddressBook::Attempt AddressBook::Start(PeerId peer) {
  Target& target = peers_.at(peer);
  const Known* const known = FindKnown(peer);
  PM_CHECK(known != nullptr && !known->addresses->empty() && !target.dialling);
  const std::vector<std::string>& addresses = *known->addresses;
  const DialId dial{next_dial_++};
  Attempt attempt{dial, addresses[target.next_address % addresses.size()], peer};
  target.next_address = static_cast<std::uint8_t>((target.next_address + 1u) % addresses.size());
  target.dialling = true;
  SetDue(peer, target, kNever);
  flights_.emplace(dial, Flight{peer, std::nullopt});
  return attempt;
}

AddressBook::Attempt AddressBook::Start(std::size_t index) {
  Seed& seed = seeds_.at(index);
  PM_CHECK(!seed.target.dialling && !seed.self);
  const DialId dial{next_dial_++};
  seed.target.dialling = true;
  seed.target.due = kNever;
  flights_.emplace(dial, Flight{std::nullopt, index});
  return {dial, seed.address, std::nullopt};
}

std::vector<AddressBook::Attempt> AddressBook::TakeDue(Instant now) {
  MakeRandomDue(now);
  std::vector<PeerId> peers;
  for (const auto& [due, peer] : due_) {
    if (due > now) break;
    peers.push_back(peer);
  }
  if (!paced_.empty() && std::max(paced_.begin()->first, paced_from_) <= now) {
    peers.push_back(paced_.begin()->second);
    paced_from_ = now + kLostPause;
  }
  std::sort(peers.begin(), peers.end());
  std::vector<Attempt> due;
  for (const PeerId& peer : peers) due.push_back(Start(peer));
  if (seeds_due_ > now) return due;
  for (std::size_t i = 0; i < seeds_.size(); ++i) {
    if (seeds_[i].target.due > now) continue;
    if (SettledElsewhere(seeds_[i])) {
      ScheduleSeed(now, seeds_[i]);
    } else {
      due.push_back(Start(i));
    }
  }
  ReadSeedsDue();
  return due;
}

Instant AddressBook::NextWake() const {
  Instant next = std::min({seeds_due_, random_at_, island_at_});
  if (!due_.empty()) next = std::min(next, due_.begin()->first);
  if (!paced_.empty()) next = std::min(next, std::max(paced_.begin()->first, paced_from_));
  return next;
}

Duration AddressBook::DrawWait(Target& target) {
  const Duration low = kRedialMin;
  const Duration high = std::min(kRedialMax, std::max(target.wait, kRedialMin) * 3);
  target.wait = target.wait == Duration{} ? low : rng_.Between(low, high);
  PM_CHECK(target.wait >= kRedialMin && target.wait <= kRedialMax);
  return target.wait;
}

void AddressBook::Schedule(Instant now, PeerId peer, Target& target) {
  // Its addresses may have gone while the last one was dialled.
  SetDue(peer, target, HasAddress(peer) ? now + DrawWait(target) : kNever);
}

void AddressBook::Succeeded(DialId dial, PeerId peer) {
  const auto it = flights_.find(dial);
  PM_CHECK(it != flights_.end());
  PM_CHECK(peer != self_);
  const Flight flight = it->second;
  flights_.erase(it);
  if (flight.seed) {
    Seed& seed = seeds_.at(*flight.seed);
    seed.peer = peer;
    seed.target.dialling = false;
    seed.target.linked = true;
    seed.target.due = kNever;
    ReadSeedsDue();
  } else if (Target* const target = flight.peer ? FindTarget(*flight.peer) : nullptr) {
    target->dialling = false;
    target->round = 0;
    SetDue(*flight.peer, *target, kNever);
  }
}

std::optional<PeerId> AddressBook::Failed(Instant now, DialId dial) {
  const auto it = flights_.find(dial);
  PM_CHECK(it != flights_.end());
  const Flight flight = it->second;
  flights_.erase(it);
  if (flight.seed) {
    Seed& seed = seeds_.at(*flight.seed);
    PM_CHECK(seed.target.dialling);
    seed.target.dialling = false;
    if (!seed.target.linked) ScheduleSeed(now, seed);
    ReadSeedsDue();
  }
  return flight.peer ? PeerFailed(now, *flight.peer) : std::nullopt;
}

std::optional<PeerId> AddressBook::PeerFailed(Instant now, PeerId peer) {
  Target* const target = FindTarget(peer);
  if (target == nullptr) return std::nullopt;
  target->dialling = false;
  const bool given_up = target->round > 0 && --target->round == 0;
  if (!target->linked) {
    if (target->round > 0) {
      SetDue(peer, *target, now);
    } else if (!large_) {
      Schedule(now, peer, *target);
    } else if (target->tries > 0) {
      SeekAgain(now, peer, *target);
    } else {
      DropIfIdle(peer);
    }
  }
  return given_up ? std::optional(peer) : std::nullopt;
}

std::optional<PeerId> AddressBook::IsSelf(Instant now, DialId dial) {
  const auto it = flights_.find(dial);
  PM_CHECK(it != flights_.end());
  if (!it->second.seed) return Failed(now, dial);
  Seed& seed = seeds_.at(*it->second.seed);
  PM_CHECK(seed.target.dialling);
  seed.self = true;
  seed.target.dialling = false;
  seed.target.due = kNever;
  ReadSeedsDue();
  flights_.erase(it);
  return std::nullopt;
}

// --- Links ---------------------------------------------------------------------------------------

void AddressBook::MakeLostDue(Instant now) {
  const auto earlier = [&](Target& target) -> std::optional<Instant> {
    if (target.linked) return std::nullopt;
    target.wait = Duration{};  // also of one that is being dialled: its next try comes soon
    if (target.due == kNever || target.due <= now + kSpread) return std::nullopt;
    return now + rng_.Between(Duration{}, kSpread);
  };
  for (Seed& seed : seeds_) {
    if (const auto due = earlier(seed.target)) seed.target.due = *due;
  }
  for (auto& [peer, target] : peers_) {
    if (const auto due = earlier(target)) SetDue(peer, target, *due);
  }
  ReadSeedsDue();
}

void AddressBook::Linked(Instant now, PeerId peer) {
  PM_CHECK(peer != self_);
  const bool alone = linked_ == 0;
  ClearLost(peer);
  if (Known* const known = FindKnown(peer); known != nullptr) known->rests = false;
  Target& target = peers_[peer];
  bool sought = !target.linked && target.wait > Duration{};
  if (!target.linked) ++linked_;
  target.linked = true;
  target.linked_at = now;
  target.round = 0;
  SetDue(peer, target, kNever);
  for (Seed& seed : seeds_) {
    if (seed.peer != peer) continue;
    sought |= !seed.target.linked && seed.target.wait > Duration{};
    seed.target.linked = true;
    seed.target.due = kNever;
  }
  ReadSeedsDue();
  if (large_) {
    if (alone) RestSeeds(now);
  } else if (alone || sought) {
    MakeLostDue(now);
  }
}

void AddressBook::Unlinked(Instant now, PeerId peer) {
  const auto it = peers_.find(peer);
  if (it != peers_.end() && it->second.linked) {
    it->second.linked = false;
    PM_CHECK(linked_ > 0);
    --linked_;
    if (large_) {
      DropIfIdle(peer);
    } else {
      UnlinkedSmall(now, peer, it->second);
    }
  }
  const bool alone = large_ && linked_ == 0;
  if (alone) island_at_ = kNever;
  for (Seed& seed : seeds_) {
    const bool of_it = seed.peer == peer && seed.target.linked;
    if (of_it) seed.target.linked = false;
    if (!of_it && (!alone || seed.self || seed.target.due != kNever)) continue;
    if (!seed.target.linked && !seed.target.dialling) ScheduleSeed(now, seed);
  }
  ReadSeedsDue();
}

void AddressBook::UnlinkedSmall(Instant now, PeerId peer, Target& target) {
  if (FindKnown(peer) == nullptr) {
    peers_.erase(peer);
  } else if (target.dialling || !HasAddress(peer)) {
    SetDue(peer, target, kNever);
  } else if (const bool lasted = now - target.linked_at >= kLasting;
             lasted || target.wait == Duration{}) {
    // At once: either the process is gone and the dial is refused, which settles it, or it is
    // there.
    target.wait = lasted ? Duration{} : kRedialMin;
    SetDue(peer, target, now);
  } else {
    Schedule(now, peer, target);
  }
}

void AddressBook::Rest(PeerId peer) {
  ClearLost(peer);
  if (Known* const known = FindKnown(peer); known != nullptr) known->rests = true;
  if (Target* const target = FindTarget(peer); target != nullptr) {
    target->round = 0;
    SetDue(peer, *target, kNever);
    DropIfIdle(peer);
  }
}

std::optional<AddressBook::Attempt> AddressBook::Replace(Instant, PeerId peer) {
  const Target* const target = FindTarget(peer);
  if (target == nullptr || target->dialling || !HasAddress(peer)) return std::nullopt;
  return Start(peer);
}

void AddressBook::CheckInvariants() const {
  PM_CHECK(seeds_.size() <= kMaxSeeds && known_.size() <= kMaxPeers);
  PM_CHECK(peers_.size() <= kMaxPeers + kMaxLinks && !peers_.contains(self_));
  Instant seeds_due = kNever;
  for (const Seed& seed : seeds_) {
    seeds_due = std::min(seeds_due, seed.target.due);
    PM_CHECK(!(seed.target.dialling && seed.target.due != kNever));
    PM_CHECK(!(seed.self && seed.target.due != kNever));
    // Sought for ever: linked, in the air, or with a time; unless others answer for them.
    PM_CHECK(seed.self || seed.target.linked || seed.target.dialling || seed.target.due != kNever ||
             (large_ && linked_ > 0));
  }
  PM_CHECK(seeds_due == seeds_due_);
  std::size_t linked = 0, sought = 0, due = 0, paced = 0;
  for (const auto& [peer, target] : peers_) {
    linked += target.linked;
    sought += target.tries > 0;
    if (target.due != kNever) ++(target.paced ? paced : due);
    PM_CHECK(!(target.dialling && target.due != kNever));
    PM_CHECK(!(target.linked && (target.due != kNever || target.round > 0 || target.tries > 0)));
    PM_CHECK(target.due == kNever || HasAddress(peer));
    PM_CHECK(target.due == kNever || (target.paced ? paced_ : due_).contains({target.due, peer}));
    // Who asks for a peer is told in the end: it is dialled now, or next.
    PM_CHECK(target.round == 0 || target.dialling || target.due != kNever);
  }
  PM_CHECK(due == due_.size() && paced == paced_.size());
  PM_CHECK(linked == linked_ && sought == sought_ && sought_ <= kMaxLostSought);
  std::size_t lost = 0;
  for (const Known& known : known_) {
    lost += known.lost;
    PM_CHECK(known.addresses->size() <= kMaxAddressesPerPeer);
    PM_CHECK(large_ || peers_.contains(known.peer));
  }
  PM_CHECK(lost == lost_);
  PM_CHECK(large_ || (random_at_ == kNever && island_at_ == kNever && sought_ == 0));
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
    digest.Add(target.due).Add(target.linked).Add(target.dialling);
    digest.Add(target.round).Add(target.tries);
  };
  for (const Seed& seed : seeds_) add(seed.target);
  for (const Known& known : known_) {
    digest.Add(known.peer).Add(known.addresses->size()).Add(known.rests).Add(known.lost);
  }
  for (const auto& [peer, target] : peers_) {
    digest.Add(peer);
    add(target);
  }
  digest.Add(large_).Add(paced_from_).Add(random_at_).Add(island_at_);
  return digest.Add(next_dial_).Add(rng_.Digest()).value();
}

}  // namespace peermesh::discovery
