// Order within each stream, and what becomes of numbers that do not come.
#include <algorithm>
#include <utility>

#include "mesh/base/check.h"
#include "mesh/broadcast/broadcast.h"

namespace peermesh::broadcast {

// Whether this stream may be noted. A third process of one origin takes the place of one that is
// only talked of, else of the oldest.
bool Broadcast::Admit(Instant now, const Stream& stream, bool signed_by_origin, Wishes& out) {
  if (windows_.IsClosed(stream.origin, stream.epoch)) return false;
  if (windows_.Find(stream) != nullptr) return true;
  const std::vector<Windows::Epoch> epochs = windows_.EpochsOf(stream.origin);
  for (const Windows::Epoch& epoch : epochs) {
    if (epoch.epoch == stream.epoch) return true;
  }
  if (epochs.size() < kMaxEpochs) return true;
  if (!signed_by_origin) return false;
  Windows::Epoch victim = epochs.front();
  for (const Windows::Epoch& epoch : epochs) {
    if (!epoch.proven) victim = epoch;
  }
  if (victim.proven && victim.epoch > stream.epoch) return false;
  for (Window* window : windows_.Of(stream.origin, victim.epoch)) {
    GiveUpAll(now, *window, out);
    windows_.Drop(*window);
  }
  if (victim.proven) windows_.Close(stream.origin, victim.epoch);
  return true;
}

Window* Broadcast::Open(Instant now, const Piece& piece, Wishes& out) {
  if (Window* known = windows_.Find(piece.stream)) return known;
  if (!Admit(now, piece.stream, true, out)) return nullptr;
  const bool fresh = IsNew(now) || windows_.WasDropped(piece.stream);
  return &windows_.Begin(now, piece.stream, fresh ? piece.first : 1, Standing::kClaimed);
}

// A genuine piece among numbers that were given up on mere words: they have been wrong.
void Broadcast::StepBack(Instant now, Window& window, const Piece& piece) {
  if (std::max(piece.first, window.firm) >= std::min(piece.next(), window.expected)) return;
  const std::uint64_t words = window.expected;
  window.expected = window.firm = std::max(window.firm, std::min(piece.after, words));
  Backlog* backlog = window.backlog.get();
  if (backlog == nullptr || window.expected == words) return;
  if (backlog->held.empty()) {
    backlog->holes.Clear(counts_);  // mere words as well
    Rearm(now, window);
    return;
  }
  Holes later = std::exchange(backlog->holes, Holes{});
  Hole hole{window.expected, words, now};
  hole.deadline = now + HoldBack();
  backlog->holes.Append(std::move(hole), counts_);
  for (Hole& each : later) {
    counts_.Remove(each.creator);
    backlog->holes.Append(std::move(each), counts_);
  }
  Rearm(now, window);
}

void Broadcast::Accept(Instant now, Window& window, std::uint32_t sender, const PeerId& from,
                       const PieceRef& piece, Wishes& out) {
  const std::uint64_t after = piece->after;
  const std::uint64_t next = piece->next();
  if (window.backlog == nullptr && after <= window.expected) {
    DeliverOne(window, piece, from, out);
    return;
  }
  Backlog& backlog = windows_.MakeBacklog(window);
  const Instant deadline = now + HoldBack();
  for (Hole& hole : backlog.holes) {
    if (hole.first < after) hole.deadline = std::min(hole.deadline, deadline);
  }
  if (after > backlog.top) {
    Hole hole{backlog.top, after, now};
    hole.deadline = deadline;
    if (sender != 0) {
      hole.due = now + FirstAsk();
      hole.AddAnnouncer(sender, false);
    }
    backlog.holes.Append(std::move(hole), counts_);
  }
  backlog.top = std::max(backlog.top, next);
  Judge(now, backlog.holes, *piece, sender);
  backlog.holes.Fill(after, next, counts_);
  if (backlog.held.emplace(std::pair{piece->first, next}, Held{piece, from}).second) {
    backlog.held_bytes += piece->bytes();
    held_bytes_ += piece->bytes();
  }
  Advance(now, window, out);
  KeepBounds(now, window, out);
}

// Who kept its word, and who did not. What comes shows that the rest may come too: it gets more
// time.
void Broadcast::Judge(Instant now, Holes& holes, const Piece& piece, std::uint32_t sender) {
  for (Hole& hole : holes) {
    if (!hole.Overlaps(piece.after, piece.next())) continue;
    hole.deadline = std::min(std::max(hole.deadline, now + HoldBack()), hole.since + kTailDeadline);
    for (Announcer& announcer : hole.announcers) {
      Neighbor* neighbor = announcer.promised ? ByNumber(announcer.neighbor) : nullptr;
      if (neighbor == nullptr) continue;
      if (announcer.neighbor == sender) {
        neighbor->KeptPromise();
        announcer.asked = kNever;
      } else if (announcer.asked != kNever && announcer.asked + kPatience <= now) {
        announcer.promised = false;
        ++stats_.promises_broken;
        neighbor->BrokePromise(now);
      }
    }
  }
}

// `from` says it has `range`, and has had it for as long as `waited`. Numbers between what is known
// and the range are missing as well: announcements begin where the piece before ended.
void Broadcast::Claim(Instant now, Neighbor& from, Window& window, const Range& range,
                      bool also_before, Duration waited, Wishes& out) {
  const std::uint64_t top = window.top();
  if (range.next > top) {
    if (counts_.Of(from.number) + 2 > kMaxHolesPerNeighbor || counts_.total() + 2 > kMaxHoles) {
      ++stats_.claims_ignored;
    } else {
      Backlog& backlog = windows_.MakeBacklog(window);
      Hole hole{top, range.next, now};
      hole.deadline = now + kTailDeadline;
      hole.creator = from.number;
      backlog.holes.Append(std::move(hole), counts_);
      backlog.top = range.next;
    }
  }
  if (window.backlog == nullptr) return;
  Holes& holes = window.backlog->holes;
  if (range.first < range.next) {
    holes.CutAt(range.first, counts_);
    holes.CutAt(range.next, counts_);
  }
  for (Hole& hole : holes) {
    if (hole.Overlaps(range.first, range.next)) {
      hole.AddAnnouncer(from.number, range.first <= hole.first && hole.next <= range.next);
    } else if (also_before && hole.first >= top && hole.next <= range.first) {
      hole.AddAnnouncer(from.number, false);
    }
    if (hole.due == kNever && !hole.announcers.empty())
      hole.due = std::max(now, std::min(hole.since, now - waited) + FirstAsk());
  }
  Rearm(now, window);
  KeepBounds(now, window, out);
}

void Broadcast::Advance(Instant now, Window& window, Wishes& out) {
  while (Backlog* backlog = window.backlog.get()) {
    Holes& holes = backlog->holes;
    if (!holes.empty() && holes.front().first <= window.expected) {
      PM_CHECK(holes.front().first == window.expected);
      if (!holes.front().given_up) break;
      const std::uint64_t next = holes.front().next;
      holes.PopFront(counts_);
      Report(now, window, next, !backlog->held.empty(), out);
    } else if (!backlog->held.empty()) {
      const auto first = backlog->held.begin();
      const Held held = std::move(first->second);
      backlog->held.erase(first);
      const std::uint64_t bytes = held.piece->bytes();
      PM_CHECK(backlog->held_bytes >= bytes && held_bytes_ >= bytes);
      backlog->held_bytes -= bytes;
      held_bytes_ -= bytes;
      DeliverOne(window, held.piece, held.from, out);
      PM_CHECK(holes.empty() || holes.front().first >= window.expected);
    } else {
      break;
    }
    if (holes.empty() && backlog->held.empty()) break;
  }
  Rearm(now, window);
}

void Broadcast::DeliverOne(Window& window, const PieceRef& piece, const PeerId& from, Wishes& out) {
  if (piece->next() <= window.expected) return;
  const std::uint64_t first = std::max(piece->first, window.expected);
  window.expected = window.firm = piece->next();
  // Of an earlier process of ours: passed on, but nothing to hear here.
  if (piece->stream.origin != self_) out.push_back(Deliver{piece, from, first});
}

void Broadcast::Report(Instant now, Window& window, std::uint64_t next, bool proved, Wishes& out) {
  const std::uint64_t from = window.expected;
  PM_CHECK(from < next);
  stats_.missing_messages += next - from;
  windows_.NoteLost(now, window, from, next);
  window.expected = next;
  if (proved) window.firm = next;
  if (window.stream->origin != self_) out.push_back(Missing{*window.stream, from, next - 1});
}

void Broadcast::GiveUp(Instant now, Hole& hole) {
  PM_CHECK(!hole.given_up);
  hole.given_up = true;
  for (const Announcer& announcer : hole.announcers) {
    if (!announcer.promised || announcer.asked == kNever) continue;
    Neighbor* neighbor = ByNumber(announcer.neighbor);
    if (neighbor == nullptr) continue;
    ++stats_.promises_broken;
    neighbor->BrokePromise(now);
  }
}

void Broadcast::GiveUpAll(Instant now, Window& window, Wishes& out) {
  if (window.backlog == nullptr) return;
  for (Hole& hole : window.backlog->holes) {
    if (!hole.given_up) GiveUp(now, hole);
  }
  Advance(now, window, out);
  PM_CHECK(window.backlog == nullptr);
}

// Too much waits: what it waits for is given up, from the front. When there are too many holes in
// all, the stream goes first that has to do something soonest, which is about the oldest.
void Broadcast::KeepBounds(Instant now, Window& window, Wishes& out) {
  while (const Backlog* backlog = window.backlog.get()) {
    const bool ahead = !backlog->held.empty() &&
                       backlog->held.rbegin()->second.piece->after > window.expected &&
                       backlog->held.rbegin()->second.piece->after - window.expected > kMaxAhead;
    if (!ahead && backlog->held_bytes <= kMaxHeldBytesPerStream && held_bytes_ <= kMaxHeldBytes &&
        backlog->held.size() <= kMaxHeldPerStream && backlog->holes.size() <= kMaxHolesPerStream) {
      break;
    }
    GiveUp(now, window.backlog->holes.front());
    Advance(now, window, out);
  }
  while (counts_.total() > kMaxHoles) {
    PM_CHECK(!timers_.empty());
    Window& soonest = *timers_.begin()->second;
    GiveUp(now, soonest.backlog->holes.front());
    Advance(now, soonest, out);
  }
}

// Notes when something has to be done about this stream's holes, if there are any.
void Broadcast::Rearm(Instant now, Window& window) {
  Backlog* backlog = window.backlog.get();
  if (backlog == nullptr) return;
  const Instant timer = backlog->holes.NextWake();
  if (timer != backlog->timer) {
    timers_.erase({backlog->timer, window.id});
    backlog->timer = timer;
    if (timer != kNever) timers_.emplace(std::pair{timer, window.id}, &window);
  }
  if (backlog->holes.empty() && backlog->held.empty()) windows_.DropBacklog(now, window);
}

}  // namespace peermesh::broadcast
