#include "mesh/overlay/passive_view.h"

#include <algorithm>
#include <cstring>

#include "mesh/base/check.h"

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

const PassiveView::Entry* PassiveView::Find(const PeerId& peer) const {
  if (entries_.empty()) return nullptr;
  const std::size_t buckets = places_ / kWays;
  const Entry* bucket = &entries_[KeyedHash(peer) % buckets * kWays];
  for (const Entry* entry = bucket; entry != bucket + kWays; ++entry) {
    if (entry->used && entry->peer == peer) return entry;
  }
  return nullptr;
}

PassiveView::Entry* PassiveView::Find(const PeerId& peer) {
  return const_cast<Entry*>(static_cast<const PassiveView*>(this)->Find(peer));
}

std::size_t PassiveView::HeardFrom(std::uint32_t source) const {
  return static_cast<std::size_t>(
      std::count_if(entries_.begin(), entries_.end(),
                    [source](const Entry& e) { return e.used && e.source == source; }));
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
  entries_.resize(places_);
  const std::size_t buckets = places_ / kWays;
  const std::uint64_t hash = KeyedHash(peer);
  Entry* const bucket = &entries_[hash % buckets * kWays];
  Entry* const end = bucket + kWays;
  Entry* place = nullptr;
  if (source != 0 && HeardFrom(source) >= places_ / 2) {
    place = std::find_if(bucket, end, [&](const Entry& e) { return e.used && e.source == source; });
    if (place == end) return false;
  } else {
    place = std::find_if(bucket, end, [](const Entry& e) { return !e.used; });
    if (place == end) {
      place = std::find_if(bucket, end, [&](const Entry& e) {
        return std::find(given.begin(), given.end(), e.peer) != given.end();
      });
    }
    if (place == end) {
      // The places of a bucket are told apart by bits the choice of the bucket did not use up.
      place = bucket + (hash >> 60) % kWays;
      if (rng.Below(2) == 0) return false;
    }
  }
  if (!place->used) ++size_;
  *place = Entry{.peer = peer, .source = source, .tried = 0, .used = true};
  return true;
}

bool PassiveView::Remove(const PeerId& peer) {
  Entry* const entry = Find(peer);
  if (entry == nullptr) return false;
  PM_CHECK(size_ > 0);
  --size_;
  *entry = Entry{};
  return true;
}

std::optional<PeerId> PassiveView::PickUntried(Rng& rng) {
  const auto fresh = [this](const Entry& e) { return e.used && e.tried != round_; };
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
  std::array<std::uint16_t, kMostPassive> used;
  std::size_t left = 0;
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    if (entries_[i].used) used[left++] = static_cast<std::uint16_t>(i);
  }
  while (count > 0 && left > 0) {
    std::uint16_t& drawn = used[rng.Below(left)];
    const PeerId& peer = entries_[drawn].peer;
    drawn = used[--left];
    if (std::find(sample.begin(), sample.end(), peer) != sample.end()) continue;
    sample.push_back(peer);
    --count;
  }
}

std::vector<PeerId> PassiveView::Ids() const {
  std::vector<PeerId> ids;
  for (const Entry& entry : entries_) {
    if (entry.used) ids.push_back(entry.peer);
  }
  std::sort(ids.begin(), ids.end());
  return ids;
}

void PassiveView::CheckInvariants() const {
  PM_CHECK(places_ % kWays == 0 && places_ < kMostPassive + kWays);
  PM_CHECK(entries_.empty() || entries_.size() == places_);
  PM_CHECK(size_ <= entries_.size());
  std::size_t used = 0;
  for (const Entry& entry : entries_) {
    if (!entry.used) continue;
    ++used;
    PM_CHECK(Find(entry.peer) == &entry);  // in its own bucket, and once
    PM_CHECK(entry.source == 0 || HeardFrom(entry.source) <= places_ / 2);
  }
  PM_CHECK(used == size_);
}

void PassiveView::AddTo(Digest& digest) const {
  digest.Add(key_[0]).Add(key_[1]).Add(size_).Add(round_);
  for (const Entry& entry : entries_) {
    if (!entry.used) continue;
    digest.Add(entry.peer).Add(entry.source).Add(entry.tried);
  }
}

}  // namespace peermesh::overlay
