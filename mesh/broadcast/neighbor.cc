#include "mesh/broadcast/neighbor.h"

#include <algorithm>

#include "mesh/base/check.h"

namespace peermesh::broadcast {
namespace {

// How many of the latest announcements are tried before a new one is added.
constexpr std::size_t kMostTried = 16;

}  // namespace

void Neighbor::Pruned(Instant now, std::uint64_t channels) {
  eager &= ~channels;
  pruned_ = now < pruned_at_ + kPruneBackOff ? pruned_ | channels : channels;
  pruned_at_ = now;
}

bool Neighbor::Announce(Instant now, const Range& range, Instant at) {
  PM_CHECK(range.first < range.next);
  announced_last = now;
  const std::size_t size = announcements.size();
  for (std::size_t i = size; i-- > size - std::min(size, kMostTried);) {
    Range& last = announcements[i];
    if (range.first > last.next || last.first > range.next || last.stream != range.stream) continue;
    last.first = std::min(last.first, range.first);
    last.next = std::max(last.next, range.next);
    last.hops = std::max(last.hops, range.hops);
    return false;
  }
  announcements.push_back(range);
  announce_at = std::min(announce_at, at);
  return announcements.size() >= kMaxAnnounced;
}

void Neighbor::NeedNotHear(const Stream& stream, std::uint64_t first, std::uint64_t next) {
  for (std::size_t i = 0; i < announcements.size(); ++i) {
    Range& range = announcements[i];
    if (range.first >= next || first >= range.next || range.stream != stream) continue;
    if (first <= range.first) {
      range.first = std::min(next, range.next);
    } else if (range.next <= next) {
      range.next = first;
    }
    if (range.first < range.next) continue;
    announcements.erase(announcements.begin() + static_cast<std::ptrdiff_t>(i));
    --i;
  }
  if (announcements.empty()) announce_at = kNever;
}

bool Neighbor::TakeAsk(Instant now) {
  if (now >= asked_since_ + kPatience) {
    asked_since_ = now;
    asked_ = 0;
  }
  if (asked_ >= kMaxAsked) return false;
  ++asked_;
  return true;
}

bool Neighbor::TakeServe(Instant now) {
  constexpr Duration kEach = Duration(std::chrono::seconds(1)) / kMaxServedPerSecond;
  const Instant from = std::max(served_until_, now);
  if (from - now > kEach * (kMaxServedPerSecond - 1)) return false;
  served_until_ = from + kEach;
  return true;
}

void Neighbor::BrokePromise(Instant now) {
  if (++broken_ < kMaxBroken) return;
  broken_ = 0;
  disbelieved_until_ = now + kDisbelief;
}

void Neighbor::CheckInvariants() const {
  PM_CHECK(number != 0);
  PM_CHECK(announcements.size() < kMaxAnnounced);
  PM_CHECK(announcements.empty() == (announce_at == kNever));
  PM_CHECK(asked_ <= kMaxAsked && broken_ < kMaxBroken);
  for (const Range& range : announcements) PM_CHECK(range.first < range.next);
}

void Neighbor::AddTo(Digest& digest) const {
  digest.Add(id).Add(number).Add(eager).Add(announce_at).Add(announced_last);
  digest.Add(static_cast<std::uint64_t>(round_trip.count()));
  for (const Range& range : announcements) {
    digest.Add(range.stream.origin).Add(range.stream.epoch).Add(range.stream.channel);
    digest.Add(range.first).Add(range.next).Add(range.hops);
  }
  digest.Add(pruned_).Add(pruned_at_).Add(asked_since_).Add(asked_).Add(broken_);
  digest.Add(served_until_).Add(disbelieved_until_);
}

}  // namespace peermesh::broadcast
