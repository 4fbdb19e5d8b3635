#include "mesh/broadcast/windows.h"

#include <algorithm>
#include <limits>

#include "mesh/base/check.h"

namespace peermesh::broadcast {
namespace {

Duration MemoryOf(Standing standing) {
  return standing == Standing::kRetiring ? kRetiredMemory : kStreamMemory;
}

}  // namespace

bool Window::Knows(const Piece& piece) const {
  std::uint64_t number = std::max(piece.first, expected);
  if (backlog != nullptr && number < piece.next()) {
    const auto& held = backlog->held;
    auto it = held.upper_bound({number, std::numeric_limits<std::uint64_t>::max()});
    if (it != held.begin()) --it;
    for (; it != held.end() && it->first.first <= number; ++it)
      number = std::max(number, it->first.second);
  }
  return number >= piece.next();
}

Window* Windows::Find(const Stream& stream) {
  const auto it = map_.find(stream);
  return it == map_.end() ? nullptr : &it->second;
}

const Window* Windows::Find(const Stream& stream) const {
  const auto it = map_.find(stream);
  return it == map_.end() ? nullptr : &it->second;
}

void Windows::Link(Instant now, Window& window) {
  PM_CHECK(window.backlog == nullptr);
  List& list = ListOf(window);
  window.touched = now;
  window.older = list.newest;
  window.newer = nullptr;
  (list.newest == nullptr ? list.oldest : list.newest->newer) = &window;
  list.newest = &window;
  ++list.idle;
}

void Windows::Unlink(Window& window) {
  List& list = ListOf(window);
  PM_CHECK(list.idle > 0);
  (window.older == nullptr ? list.oldest : window.older->newer) = window.newer;
  (window.newer == nullptr ? list.newest : window.newer->older) = window.older;
  window.older = window.newer = nullptr;
  --list.idle;
}

void Windows::Move(Instant now, Window& window, Standing to) {
  const bool idle = window.backlog == nullptr;
  if (idle) Unlink(window);
  claimed_ -= window.standing == Standing::kClaimed;
  window.standing = to;
  claimed_ += to == Standing::kClaimed;
  if (idle) Link(now, window);
}

Window& Windows::Begin(Instant now, const Stream& stream, std::uint64_t expected,
                       Standing standing) {
  List& claimed = lists_[static_cast<std::size_t>(Standing::kClaimed)];
  if (standing == Standing::kClaimed && claimed_ >= kMaxClaimedStreams) {
    PM_CHECK(claimed.oldest != nullptr);
    Drop(*claimed.oldest);
  }
  if (map_.size() >= kMaxStreams) {
    Window* victim = claimed.oldest;
    for (const Standing other : {Standing::kRetiring, Standing::kProven}) {
      if (victim == nullptr) victim = lists_[static_cast<std::size_t>(other)].oldest;
    }
    PM_CHECK(victim != nullptr);
    Drop(*victim);
  }
  const auto [it, fresh] = map_.try_emplace(stream);
  PM_CHECK(fresh);
  Window& window = it->second;
  window.stream = &it->first;
  window.id = next_id_++;
  window.expected = expected;
  window.firm = expected;
  window.standing = standing;
  claimed_ += standing == Standing::kClaimed;
  Link(now, window);
  return window;
}

void Windows::Prove(Instant now, Window& window) {
  if (window.standing != Standing::kClaimed) {
    if (window.backlog == nullptr) Move(now, window, window.standing);  // to the end of its list
    return;
  }
  Move(now, window, Standing::kProven);
  const Stream& stream = *window.stream;
  for (auto it = map_.lower_bound(Stream{stream.origin, 0, 0});
       it != map_.end() && it->first.origin == stream.origin; ++it) {
    Window& other = it->second;
    if (it->first.epoch < stream.epoch && other.standing == Standing::kProven)
      Move(now, other, Standing::kRetiring);
    if (it->first.epoch > stream.epoch && other.standing == Standing::kProven)
      Move(now, window, Standing::kRetiring);
  }
}

Backlog& Windows::MakeBacklog(Window& window) {
  if (window.backlog == nullptr) {
    Unlink(window);
    window.backlog = std::make_unique<Backlog>();
    window.backlog->top = window.expected;
  }
  return *window.backlog;
}

void Windows::DropBacklog(Instant now, Window& window) {
  PM_CHECK(window.backlog != nullptr);
  PM_CHECK(window.backlog->holes.empty() && window.backlog->held.empty());
  PM_CHECK(window.backlog->timer == kNever);
  window.backlog.reset();
  Link(now, window);
}

void Windows::Drop(Window& window) {
  PM_CHECK(window.backlog == nullptr);
  const Stream stream = *window.stream;
  if (window.standing == Standing::kRetiring) Close(stream.origin, stream.epoch);
  if (window.standing == Standing::kProven) {
    if (Note* note = NoteOf(stream.origin); note != nullptr && note->epoch <= stream.epoch) {
      if (note->epoch < stream.epoch) note->channels = 0;
      note->epoch = stream.epoch;
      note->channels |= std::uint64_t{1} << stream.channel;
    }
  }
  Unlink(window);
  claimed_ -= window.standing == Standing::kClaimed;
  map_.erase(stream);
}

void Windows::Expire(Instant now) {
  for (std::size_t i = 0; i < kStandings; ++i) {
    while (lists_[i].oldest != nullptr &&
           lists_[i].oldest->touched + MemoryOf(static_cast<Standing>(i)) <= now) {
      Drop(*lists_[i].oldest);
    }
  }
}

Instant Windows::NextWake() const {
  Instant next = kNever;
  for (std::size_t i = 0; i < kStandings; ++i) {
    if (lists_[i].oldest == nullptr) continue;
    next = std::min(next, lists_[i].oldest->touched + MemoryOf(static_cast<Standing>(i)));
  }
  return next;
}

std::vector<Windows::Epoch> Windows::EpochsOf(const PeerId& origin) const {
  std::vector<Epoch> epochs;
  for (auto it = map_.lower_bound(Stream{origin, 0, 0});
       it != map_.end() && it->first.origin == origin; ++it) {
    if (epochs.empty() || epochs.back().epoch != it->first.epoch)
      epochs.push_back({it->first.epoch, false});
    epochs.back().proven |= it->second.standing != Standing::kClaimed;
  }
  PM_CHECK(epochs.size() <= kMaxEpochs);
  return epochs;
}

std::vector<Window*> Windows::Of(const PeerId& origin, std::uint64_t epoch) {
  std::vector<Window*> windows;
  for (auto it = map_.lower_bound(Stream{origin, epoch, 0});
       it != map_.end() && it->first.origin == origin && it->first.epoch == epoch; ++it) {
    windows.push_back(&it->second);
  }
  return windows;
}

Windows::Note* Windows::NoteOf(const PeerId& origin) {
  const auto it = notes_.find(origin);
  if (it != notes_.end()) return &it->second;
  if (notes_.size() >= kMaxPeers) return nullptr;
  return &notes_[origin];
}

void Windows::Close(const PeerId& origin, std::uint64_t epoch) {
  if (Note* note = NoteOf(origin)) {
    note->closed = std::max(note->closed, epoch);
    if (note->epoch <= note->closed) note->channels = 0;
  }
}

bool Windows::IsClosed(const PeerId& origin, std::uint64_t epoch) const {
  const auto it = notes_.find(origin);
  return it != notes_.end() && epoch <= it->second.closed;
}

bool Windows::WasDropped(const Stream& stream) const {
  const auto it = notes_.find(stream.origin);
  return it != notes_.end() && it->second.epoch == stream.epoch &&
         (it->second.channels >> stream.channel & 1) != 0;
}

void Windows::NoteLost(Instant now, const Window& window, std::uint64_t first, std::uint64_t next) {
  PM_CHECK(first < next);
  if (lost_.size() >= kMaxLost) lost_.erase(lost_.begin());
  lost_.push_back({window.id, first, next, now});
}

bool Windows::TakeLost(Instant now, const Window& window, std::uint64_t first, std::uint64_t next) {
  const auto old = std::find_if(lost_.begin(), lost_.end(),
                                [&](const Lost& lost) { return lost.at + kRetiredMemory > now; });
  lost_.erase(lost_.begin(), old);
  if (lost_.empty()) lost_.shrink_to_fit();
  for (std::size_t i = lost_.size(); i-- > 0;) {
    const Lost lost = lost_[i];
    if (lost.window != window.id || lost.first >= next || first >= lost.next) continue;
    lost_.erase(lost_.begin() + static_cast<std::ptrdiff_t>(i));
    if (lost.first < first) lost_.push_back({lost.window, lost.first, first, now});
    if (next < lost.next && lost_.size() < kMaxLost)
      lost_.push_back({lost.window, next, lost.next, now});
    return true;
  }
  return false;
}

void Windows::CheckInvariants() const {
  PM_CHECK(map_.size() <= kMaxStreams && claimed_ <= kMaxClaimedStreams);
  PM_CHECK(notes_.size() <= kMaxPeers && lost_.size() <= kMaxLost);
  std::size_t idle = 0;
  for (const auto& [stream, window] : map_) {
    PM_CHECK(window.stream == &stream && window.id < next_id_);
    PM_CHECK(stream.channel < kChannels && stream.epoch > 0);
    PM_CHECK(window.firm <= window.expected);
    if (window.backlog == nullptr) {
      ++idle;
      continue;
    }
    const Backlog& backlog = *window.backlog;
    backlog.holes.CheckInvariants();
    // Whatever waits, waits for the hole at its very front.
    PM_CHECK(!backlog.holes.empty() && backlog.holes.front().first == window.expected);
    PM_CHECK(!backlog.holes.front().given_up);
    PM_CHECK(backlog.top >= backlog.holes.back().next);
    PM_CHECK(backlog.timer == backlog.holes.NextWake());
    std::uint64_t bytes = 0;
    for (const auto& [place, held] : backlog.held) {
      PM_CHECK(place.first < place.second && place.second <= backlog.top);
      bytes += held.piece->bytes();
    }
    PM_CHECK(bytes == backlog.held_bytes);
  }
  for (const List& list : lists_) {
    std::size_t count = 0;
    for (const Window* window = list.oldest; window != nullptr; window = window->newer) ++count;
    PM_CHECK(count == list.idle);
    idle -= count;
  }
  PM_CHECK(idle == 0);
}

void Windows::AddTo(Digest& digest) const {
  for (const auto& [stream, window] : map_) {
    digest.Add(stream.origin).Add(stream.epoch).Add(stream.channel).Add(window.id);
    digest.Add(window.expected).Add(window.firm).Add(window.touched);
    digest.Add(static_cast<std::uint64_t>(window.standing));
    if (window.backlog == nullptr) continue;
    window.backlog->holes.AddTo(digest);
    digest.Add(window.backlog->top).Add(window.backlog->timer);
    for (const auto& [place, held] : window.backlog->held)
      digest.Add(place.first).Add(place.second).Add(held.from);
  }
  for (const List& list : lists_) {
    for (const Window* window = list.oldest; window != nullptr; window = window->newer)
      digest.Add(window->id);
  }
  for (const auto& [origin, note] : notes_)
    digest.Add(origin).Add(note.closed).Add(note.epoch).Add(note.channels);
  for (const Lost& lost : lost_)
    digest.Add(lost.window).Add(lost.first).Add(lost.next).Add(lost.at);
  digest.Add(next_id_);
}

}  // namespace peermesh::broadcast
