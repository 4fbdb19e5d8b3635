#include "mesh/broadcast/missing.h"

#include <algorithm>
#include <utility>

#include "mesh/base/check.h"

namespace peermesh::broadcast {

bool Hole::AddAnnouncer(std::uint32_t neighbor, bool promised) {
  PM_CHECK(neighbor != 0);
  for (Announcer& announcer : announcers) {
    if (announcer.neighbor != neighbor) continue;
    announcer.promised |= promised;
    return false;
  }
  if (announcers.size() >= kMaxAnnouncers) return false;
  announcers.push_back({neighbor, promised, kNever});
  return true;
}

void HoleCounts::Add(std::uint32_t creator) {
  ++total_;
  if (creator == 0) return;
  for (Count& count : counts_) {
    if (count.creator == creator) {
      ++count.count;
      return;
    }
  }
  counts_.push_back({creator, 1});
}

void HoleCounts::Remove(std::uint32_t creator) {
  PM_CHECK(total_ > 0);
  --total_;
  if (creator == 0) return;
  const auto it = std::find_if(counts_.begin(), counts_.end(),
                               [&](const Count& count) { return count.creator == creator; });
  PM_CHECK(it != counts_.end() && it->count > 0);
  if (--it->count == 0) {
    *it = counts_.back();
    counts_.pop_back();
  }
}

std::size_t HoleCounts::Of(std::uint32_t creator) const {
  for (const Count& count : counts_) {
    if (count.creator == creator) return count.count;
  }
  return 0;
}

void Holes::Append(Hole hole, HoleCounts& counts) {
  PM_CHECK(hole.first < hole.next);
  PM_CHECK(list_.empty() || list_.back().next <= hole.first);
  counts.Add(hole.creator);
  list_.push_back(std::move(hole));
}

void Holes::Fill(std::uint64_t first, std::uint64_t next, HoleCounts& counts) {
  if (first >= next) return;
  for (std::size_t i = 0; i < list_.size();) {
    Hole& hole = list_[i];
    if (hole.first >= next) return;
    if (!hole.Overlaps(first, next)) {
      ++i;
      continue;
    }
    hole.tries = 0;
    if (first <= hole.first && hole.next <= next) {
      counts.Remove(hole.creator);
      list_.erase(list_.begin() + static_cast<std::ptrdiff_t>(i));
    } else if (first <= hole.first) {
      hole.first = next;
      return;
    } else if (hole.next <= next) {
      hole.next = first;
      ++i;
    } else {
      Hole rest = hole;
      rest.first = next;
      hole.next = first;
      counts.Add(rest.creator);
      list_.insert(list_.begin() + static_cast<std::ptrdiff_t>(i) + 1, std::move(rest));
      return;
    }
  }
}

void Holes::CutAt(std::uint64_t number, HoleCounts& counts) {
  if (list_.size() >= kMaxHolesPerStream) return;
  for (std::size_t i = 0; i < list_.size(); ++i) {
    Hole& hole = list_[i];
    if (number <= hole.first) return;
    if (number >= hole.next) continue;
    Hole rest = hole;
    rest.first = number;
    hole.next = number;
    counts.Add(rest.creator);
    list_.insert(list_.begin() + static_cast<std::ptrdiff_t>(i) + 1, std::move(rest));
    return;
  }
}

void Holes::PopFront(HoleCounts& counts) {
  PM_CHECK(!list_.empty());
  counts.Remove(list_.front().creator);
  list_.erase(list_.begin());
}

void Holes::Clear(HoleCounts& counts) {
  for (const Hole& hole : list_) counts.Remove(hole.creator);
  list_.clear();
}

Instant Holes::NextWake() const {
  Instant next = kNever;
  for (const Hole& hole : list_) {
    if (!hole.given_up) next = std::min(next, std::min(hole.due, hole.deadline));
  }
  return next;
}

void Holes::CheckInvariants() const {
  std::uint64_t end = 0;
  for (const Hole& hole : list_) {
    PM_CHECK(hole.first >= end && hole.first < hole.next);
    PM_CHECK(hole.deadline != kNever);  // it ends, one way or the other
    PM_CHECK(hole.announcers.size() <= kMaxAnnouncers);
    end = hole.next;
  }
}

void Holes::AddTo(Digest& digest) const {
  for (const Hole& hole : list_) {
    digest.Add(hole.first).Add(hole.next).Add(hole.since).Add(hole.due).Add(hole.deadline);
    digest.Add(hole.creator).Add(hole.tries).Add(hole.given_up);
    for (const Announcer& announcer : hole.announcers)
      digest.Add(announcer.neighbor).Add(announcer.promised).Add(announcer.asked);
  }
}

}  // namespace peermesh::broadcast
