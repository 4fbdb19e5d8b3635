// What neighbours are told that do not get pieces unasked.
#include <algorithm>
#include <utility>

#include "mesh/base/check.h"
#include "mesh/broadcast/broadcast.h"

namespace peermesh::broadcast {

void Broadcast::Tell(Instant now, Neighbor& neighbor, const Range& range, Wishes& out) {
  const Duration sooner = self_ < neighbor.id ? kAnnounceSooner : Duration{};
  if (neighbor.Announce(now, range, now + config_.announce - sooner)) Flush(now, neighbor, out);
  announce_at_ = std::min(announce_at_, neighbor.announce_at);
}

IHave Broadcast::TakeFrom(Instant now, Neighbor& neighbor) {
  neighbor.announce_at = kNever;
  stats_.announced += neighbor.announcements.size();
  return {std::exchange(neighbor.announcements, {}), now - neighbor.announced_last};
}

IHave Broadcast::TakeAnnouncements(Instant now, PeerId peer) {
  Neighbor* neighbor = Find(peer);
  if (neighbor == nullptr || neighbor->announcements.empty()) return {};
  return TakeFrom(now, *neighbor);
}

void Broadcast::Flush(Instant now, Neighbor& neighbor, Wishes& out) {
  out.push_back(Send{neighbor.id, TakeFrom(now, neighbor)});
}

void Broadcast::FlushDue(Instant now, Wishes& out) {
  if (announce_at_ > now) return;
  announce_at_ = kNever;
  for (Neighbor& neighbor : neighbors_) {
    if (neighbor.announce_at <= now) Flush(now, neighbor, out);
    announce_at_ = std::min(announce_at_, neighbor.announce_at);
  }
}

}  // namespace peermesh::broadcast
