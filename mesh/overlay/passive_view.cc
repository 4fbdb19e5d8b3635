#include "mesh/overlay/passive_view.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "mesh/base/check.h"
#include "mesh/base/growth.h"

namespace peermesh::overlay {

PassiveView::PassiveView(std::size_t places, Rng& rng)
    : places_((places + kWays - 1) / kWays * kWays) {
  PM_CHECK(places >= 1 && places <= kMostPassive);
  key_[0] = rng.Next();
  key_[1] = rng.Next();
}

std::uint64_t PassiveView::KeyedHash(const PeerId& peer) const {
  std::uint64_t hash = key_[0];
  for (std::size_t i = 0; i < peer.bytes.size(); i += sizeof(hash)) {
    std::uint64_t word = 0;
    std::memcpy(&word, peer.bytes.data() + i, sizeof(word));
    hash = HashWord(hash ^ word) + key_[1];
  }
  return HashWord(hash);
}

std::size_t PassiveView::BucketOf(std::uint64_t hash) const {
  return hash % (places_ / kWays) * kWays;
}

// The first one at this place or behind it.
template <class Some>
auto PassiveView::FromPlace(Some& entries, std::size_t place) {
  return std::lower_bound(entries.begin(), entries.end(), place,
                          [](const Entry& e, std::size_t p) { return e.place < p; });
}

const PassiveView::Entry* PassiveView::Find(const PeerId& peer) const {
  const std::size_t bucket = BucketOf(KeyedHash(peer));
  for (auto at = FromPlace(entries_, bucket); at != entries_.end(); ++at) {
    if (at->place >= bucket + kWays) break;
    if (at->peer == peer) return &*at;
  }
  return nullptr;
}

PassiveView::Entry* PassiveView::Find(const PeerId& peer) {
  return const_cast<Entry*>(static_cast<const PassiveView*>(this)->Find(peer));
}

std::size_t PassiveView::HeardFrom(std::uint32_t source) const {
  return static_cast<std::size_t>(std::count_if(
      entries_.begin(), entries_.end(), [source](const Entry& e) { return e.source == source; }));
}

bool PassiveView::AddFirstHand(PeerId peer, Rng& rng) { return Add(peer, 0, {}, rng); }

bool PassiveView::AddHearsay(PeerId peer, const PeerId& source, std::span<const PeerId> given,
                             Rng& rng) {
  return Add(peer, static_cast<std::uint32_t>(KeyedHash(source)) | 1u, given, rng);
}

bool PassiveView::Add(const PeerId& peer, std::uint32_t source, std::span<const PeerId> given,
                      Rng& rng) {
  if (Entry* known = Find(peer); known != nullptr) {
    if (source == 0) known->source = 0;
    return false;
  }
  const std::uint64_t hash = KeyedHash(peer);
  const std::size_t bucket = BucketOf(hash);
  const auto begin = FromPlace(entries_, bucket), end = FromPlace(entries_, bucket + kWays);
  auto old = end;  // whose place it takes
  if (source != 0 && HeardFrom(source) >= places_ / 2) {
    old = std::find_if(begin, end, [&](const Entry& e) { return e.source == source; });
    if (old == end) return false;
  } else if (end - begin == kWays) {
    old = std::find_if(begin, end, [&](const Entry& e) {
      return std::find(given.begin(), given.end(), e.peer) != given.end();
    });
    if (old == end) {
      // The places of a bucket are told apart by bits the choice of the bucket did not use up.
      old = begin + static_cast<std::ptrdiff_t>((hash >> 60) % kWays);
      if (rng.Below(2) == 0) return false;
    }
  }
  if (old != end) {
    *old = Entry{.peer = peer, .source = source, .tried = 0, .place = old->place};
    return true;
  }
  std::size_t place = bucket;  // the first free one
  for (auto at = begin; at != end && at->place == place; ++at) ++place;
  MakeRoomForOne(entries_);
  entries_.insert(
      FromPlace(entries_, place),
      Entry{.peer = peer, .source = source, .tried = 0, .place = static_cast<std::uint8_t>(place)});
  return true;
}

bool PassiveView::Remove(const PeerId& peer) {
  const Entry* const entry = Find(peer);
  if (entry == nullptr) return false;
  entries_.erase(entries_.begin() + (entry - entries_.data()));
  return true;
}

std::optional<PeerId> PassiveView::PickUntried(Rng& rng) {
  const auto fresh = [this](const Entry& e) { return e.tried != round_; };
  const auto count = std::count_if(entries_.begin(), entries_.end(), fresh);
  if (count == 0) return std::nullopt;
  std::uint64_t skip = rng.Below(static_cast<std::uint64_t>(count));
  for (Entry& entry : entries_) {
    if (!fresh(entry) || skip-- > 0) continue;
    entry.tried = round_;
    return entry.peer;
  }
  PM_CHECK(false);
}

void PassiveView::MarkTried(const PeerId& peer) {
  if (Entry* const entry = Find(peer); entry != nullptr) entry->tried = round_;
}

void PassiveView::Sample(std::size_t count, Rng& rng, std::vector<PeerId>& sample) const {
  std::array<std::uint16_t, kMostPassive> undrawn;
  std::size_t left = entries_.size();
  std::iota(undrawn.begin(), undrawn.begin() + static_cast<std::ptrdiff_t>(left), std::uint16_t{0});
  while (count > 0 && left > 0) {
    std::uint16_t& drawn = undrawn[rng.Below(left)];
    const PeerId& peer = entries_[drawn].peer;
    drawn = undrawn[--left];
    if (std::find(sample.begin(), sample.end(), peer) != sample.end()) continue;
    sample.push_back(peer);
    --count;
  }
}

std::vector<PeerId> PassiveView::Ids() const {
  std::vector<PeerId> ids;
  ids.reserve(entries_.size());
  for (const Entry& entry : entries_) ids.push_back(entry.peer);
  std::sort(ids.begin(), ids.end());
  return ids;
}

void PassiveView::CheckInvariants() const {
  PM_CHECK(places_ % kWays == 0 && places_ <= kMostPassive);
  PM_CHECK(entries_.size() <= places_);
  std::size_t next = 0;
  for (const Entry& entry : entries_) {
    PM_CHECK(entry.place >= next && entry.place < places_);
    next = std::size_t{entry.place} + 1;
    PM_CHECK(Find(entry.peer) == &entry);  // in its own bucket, and once
    PM_CHECK(entry.source == 0 || HeardFrom(entry.source) <= places_ / 2);
  }
}

void PassiveView::AddTo(Digest& digest) const {
  digest.Add(key_[0]).Add(key_[1]).Add(entries_.size()).Add(round_);
  for (const Entry& entry : entries_) {
    digest.Add(entry.peer).Add(entry.source).Add(entry.tried);
  }
}

}  // namespace peermesh::overlay
