#include "mesh/broadcast/cache.h"

#include <algorithm>
#include <utility>

#include "mesh/base/check.h"

namespace peermesh::broadcast {
namespace {

// How far back ContiguousFrom looks: who is further behind has the rest from its next question.
constexpr int kMostSteps = 1024;

}  // namespace

void Cache::Insert(Instant now, std::uint64_t window, PieceRef piece, std::uint32_t hops,
                   std::uint32_t sender) {
  PM_CHECK(piece != nullptr && piece->batch != nullptr);
  PM_CHECK(window != 0);
  Expire(now);
  const auto [it, fresh] = entries_.try_emplace(Key{window, piece->first});
  if (!fresh) return;
  Entry& entry = it->second;
  entry.charge = piece->bytes();
  const std::string* buffer = piece->batch->buffer.get();
  if (buffer != nullptr && buffer != last_buffer_)
    entry.charge = std::max<std::uint64_t>(entry.charge, buffer->size());
  entry.charge += kCacheEntryBytes;
  last_buffer_ = buffer;
  entry.piece = std::move(piece);
  entry.hops = hops;
  entry.sender = sender;
  entry.at = now;
  entry.window = window;
  bytes_ += entry.charge;
  (newest_ == nullptr ? oldest_ : newest_->newer) = &entry;
  newest_ = &entry;
  while (bytes_ > kCacheBytes) DropOldest();
}

void Cache::DropOldest() {
  PM_CHECK(oldest_ != nullptr && bytes_ >= oldest_->charge);
  bytes_ -= oldest_->charge;
  const Key key{oldest_->window, oldest_->piece->first};
  oldest_ = oldest_->newer;
  if (oldest_ == nullptr) {
    newest_ = nullptr;
    last_buffer_ = nullptr;  // it may be gone, and its address used again
  }
  const std::size_t erased = entries_.erase(key);
  PM_CHECK(erased == 1);
}

void Cache::Expire(Instant now) {
  while (oldest_ != nullptr && oldest_->at + kCacheTime <= now) DropOldest();
}

const Cache::Entry* Cache::Find(std::uint64_t window, std::uint64_t number) const {
  auto it = entries_.upper_bound(Key{window, number});
  if (it != entries_.end() && it->first.window == window && it->second.piece->after <= number)
    return &it->second;
  if (it == entries_.begin()) return nullptr;
  --it;
  return it->first.window == window && number < it->second.piece->next() ? &it->second : nullptr;
}

Cache::Entry* Cache::Find(std::uint64_t window, std::uint64_t number) {
  return const_cast<Entry*>(std::as_const(*this).Find(window, number));
}

void Cache::Collect(std::uint64_t window, std::uint64_t first, std::uint64_t next, std::size_t most,
                    std::vector<const Entry*>& into) const {
  auto it = entries_.upper_bound(Key{window, first});
  if (it != entries_.begin()) {
    const auto before = std::prev(it);
    if (before->first.window == window && before->second.piece->next() > first) it = before;
  }
  for (; it != entries_.end() && it->first.window == window; ++it) {
    if (it->second.piece->after >= next || into.size() >= most) return;
    into.push_back(&it->second);
  }
}

std::uint64_t Cache::ContiguousFrom(std::uint64_t window, std::uint64_t next) const {
  auto it = entries_.lower_bound(Key{window, next});
  for (int step = 0; step < kMostSteps && it != entries_.begin(); ++step) {
    --it;
    if (it->first.window != window || it->second.piece->next() < next) break;
    next = std::min(next, it->second.piece->after);
  }
  return next;
}

void Cache::CheckInvariants() const {
  std::uint64_t sum = 0;
  std::size_t count = 0;
  Instant before = Instant::min();
  for (const Entry* entry = oldest_; entry != nullptr; entry = entry->newer) {
    PM_CHECK(entry->at >= before);
    before = entry->at;
    sum += entry->charge;
    ++count;
    PM_CHECK(entry->newer != nullptr || entry == newest_);
  }
  PM_CHECK(sum == bytes_ && bytes_ <= kCacheBytes);
  PM_CHECK(count == entries_.size());
}

void Cache::AddTo(Digest& digest) const {
  for (const auto& [key, entry] : entries_) {
    digest.Add(key.window).Add(key.first).Add(entry.piece->next()).Add(entry.hops);
    digest.Add(entry.sender).Add(entry.copies).Add(entry.at);
  }
  digest.Add(bytes_);
}

}  // namespace peermesh::broadcast
