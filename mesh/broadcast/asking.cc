// When and whom to ask for what is missing.
#include <algorithm>

#include "mesh/base/check.h"
#include "mesh/broadcast/broadcast.h"

namespace peermesh::broadcast {

Duration Broadcast::FirstAsk() const {
  const Duration wait = 4 * std::min<Duration>(median_, std::chrono::seconds(1));
  return std::clamp<Duration>(wait + std::chrono::milliseconds(100), std::chrono::milliseconds(250),
                              std::chrono::seconds(2));
}

Duration Broadcast::NextAsk() const {
  return std::clamp<Duration>(std::min<Duration>(median_, std::chrono::seconds(1)) * 3 / 2,
                              std::chrono::milliseconds(100), std::chrono::seconds(1));
}

Duration Broadcast::HoldBack() const {
  return std::clamp(FirstAsk() + 3 * NextAsk(), kMinHoldBack, kMaxHoldBack);
}

void Broadcast::StepHoles(Instant now, Window& window, Asks& asks) {
  PM_CHECK(window.backlog != nullptr);
  for (Hole& hole : window.backlog->holes) {
    if (hole.given_up) continue;
    if (hole.deadline <= now || (hole.due <= now && !Ask(now, window, hole, asks)))
      GiveUp(now, hole);
  }
}

// Asks the next one that is there. False: everybody has been asked often enough, and nothing proves
// that these numbers exist.
bool Broadcast::Ask(Instant now, Window& window, Hole& hole, Asks& asks) {
  std::erase_if(hole.announcers, [&](const Announcer& announcer) {
    return ByNumber(announcer.neighbor) == nullptr;
  });
  const auto count = static_cast<std::uint32_t>(hole.announcers.size());
  hole.due = kNever;
  if (count == 0) return true;
  if (hole.tries >= kMaxRounds * count) return !window.backlog->held.empty();
  for (std::uint32_t i = 0; i < count; ++i) {
    Announcer& announcer = hole.announcers[hole.tries++ % count];
    Neighbor& neighbor = *ByNumber(announcer.neighbor);
    if (!neighbor.TakeAsk(now)) continue;
    if (announcer.asked == kNever) announcer.asked = now;
    neighbor.MakeEager(window.stream->channel);
    std::vector<Range>& ranges = asks[neighbor.number];
    if (!ranges.empty() && ranges.back().stream == *window.stream &&
        ranges.back().next == hole.first) {
      ranges.back().next = hole.next;
    } else {
      ranges.push_back({*window.stream, hole.first, hole.next, 0});
    }
    break;
  }
  // Three questions at most are open at a time.
  hole.due = now + (hole.tries % 3 == 0 ? kPatience : NextAsk());
  return true;
}

}  // namespace peermesh::broadcast
