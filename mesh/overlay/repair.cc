// What the overlay does of its own accord: asking for neighbours, shuffling, swapping, waiting.
#include <algorithm>

#include "mesh/base/check.h"
#include "mesh/base/growth.h"
#include "mesh/overlay/overlay.h"

namespace peermesh::overlay {

void Overlay::Settle(Instant now, Wishes& out) {
  Repair(now, out);
  const bool alone = seeks_ && active_.size() < 2;
  if (!alone) {
    alone_since_ = kNever;
    isolated_ = false;
  } else if (alone_since_ == kNever) {
    alone_since_ = now;
  }
}

// Fewer than half and one: urgent. Also after a while in vain: with high urgency somebody gives up
// an edge for us, and who loses it looks in our place, somewhere else.
bool Overlay::IsUrgent() const {
  return active_.size() < config_.active / 2 + 1 || futile_ >= kInVain;
}

bool Overlay::MayRepair() const {
  return seeks_ && attempts_.size() < kMostRepairs &&
         active_.size() + attempts_.size() < config_.active;
}

bool Overlay::starves() const {
  return MayRepair() && attempts_.empty() && passive_.size() == 0 && advice_.empty();
}

void Overlay::Repair(Instant now, Wishes& out) {
  while (MayRepair() && now >= resume_at_) {
    if (tries_ == 0) return Pause(now, true);
    std::optional<Attempt> next = NextCandidate(now);
    if (!next) {
      passive_.NewRound();
      return Pause(now, false);
    }
    --tries_;
    Start(now, *next, out);
  }
}

// Something changed for the better or the worse: no reason to wait any longer.
void Overlay::Hurry(Instant now, std::size_t tries) {
  resume_at_ = std::min(resume_at_, now);
  tries_ = std::min(tries_ + tries, kUrgentTries);
}

void Overlay::Pause(Instant now, bool spent) {
  spent_ = spent;
  ++futile_;
  tries_ = active_.size() < config_.active / 2 + 1 ? kUrgentTries : kPatientTries;
  if (passive_.size() == 0 && advice_.empty()) {
    resume_at_ = kNever;
    return;
  }
  Duration pause = active_.empty() ? kAloneRetry : kRetry;
  if (active_.size() + 1 == config_.active) {
    pause *= static_cast<std::int64_t>(std::min(futile_, kMostPatience));
  }
  resume_at_ = now + rng_.Between(pause - pause / 5, pause + pause / 5);
}

std::optional<Overlay::Attempt> Overlay::NextCandidate(Instant now) {
  while (!advice_.empty()) {
    const Advice advice = advice_.back();
    advice_.pop_back();
    if (Needs(advice.peer) || IsLost(now, advice.peer)) continue;
    passive_.MarkTried(advice.peer);
    return Attempt{.peer = advice.peer, .motive = Motive::kAdvised, .urgent = advice.urgent};
  }
  while (const std::optional<PeerId> peer = passive_.PickUntried(rng_)) {
    if (!Needs(*peer)) return Attempt{.peer = *peer, .motive = Motive::kChosen};
  }
  return std::nullopt;
}

void Overlay::Start(Instant now, Attempt attempt, Wishes& out) {
  PM_CHECK(attempt.peer != self_ && !Needs(attempt.peer));
  PM_CHECK(attempts_.size() < kMostAttempts);
  attempts_.push_back(attempt);
  if (IsLinked(attempt.peer)) return Ask(now, attempts_.back(), out);
  attempts_.back().until = now + kNeighborTimeout;
  out.push_back(Connect{attempt.peer});
}

void Overlay::Ask(Instant now, Attempt& attempt, Wishes& out) {
  PM_CHECK(!attempt.asked && IsLinked(attempt.peer));
  attempt.asked = true;
  attempt.until = now + kNeighborTimeout;
  attempt.join = active_.empty() && now >= join_again_;
  if (attempt.join) {
    join_again_ = now + kJoinAgain;
    out.push_back(Send{attempt.peer, Join{}});
    return;
  }
  const bool swap = attempt.motive == Motive::kSwap && IsFull() && swap_wait_ >= kMixed;
  const bool urgent = attempt.urgent || IsUrgent();
  Neighbor question{swap ? Urgency::kSwap : urgent ? Urgency::kHigh : Urgency::kLow, Active()};
  if (question.neighbors.size() > kMostCandidates) question.neighbors.resize(kMostCandidates);
  out.push_back(Send{attempt.peer, std::move(question)});
}

void Overlay::Bridge(Instant now, PeerId peer, Wishes& out) {
  PM_CHECK(IsLinked(peer));
  if (!seeks_ || Needs(peer)) return;
  if (attempts_.size() >= kMostAttempts) {
    Advise(peer, true);
  } else {
    Start(now, {.peer = peer, .motive = Motive::kSwap, .urgent = true, .parts = true}, out);
  }
  Settle(now, out);
}

void Overlay::Wake(Instant now, Wishes& out) {
  GiveUpLateAttempts(now, out);
  if (now >= shuffle_at_) {
    const Duration every = config_.shuffle_every * (swap_wait_ < kMixed ? 1 : 2);
    shuffle_at_ = now + rng_.Between(every - every / 5, every + every / 5);
    StartShuffle(now, out);
  }
  if (now >= swap_at_) Swap(now, out);
  Settle(now, out);
  if (alone_since_ != kNever && now >= alone_since_ + kIsolatedAfter) isolated_ = true;
}

Instant Overlay::NextWake() const {
  Instant wake = std::min(shuffle_at_, swap_at_);
  for (const Attempt& attempt : attempts_) wake = std::min(wake, attempt.until);
  if (MayRepair()) wake = std::min(wake, resume_at_);
  if (alone_since_ != kNever && !isolated_) wake = std::min(wake, alone_since_ + kIsolatedAfter);
  return wake;
}

void Overlay::GiveUpLateAttempts(Instant now, Wishes& out) {
  for (std::size_t i = 0; i < attempts_.size();) {
    if (attempts_[i].until > now) {
      ++i;
      continue;
    }
    const Attempt late = attempts_[i];
    attempts_.erase(attempts_.begin() + static_cast<std::ptrdiff_t>(i));
    if (late.asked) {
      ReleaseIdle(late.peer, out);
    } else {
      Lose(now, late.peer, false);
    }
  }
  if (attempts_.empty()) GiveBack(attempts_);
}

void Overlay::StartShuffle(Instant now, Wishes& out) {
  const std::optional<PeerId> next = RandomNeighbor(self_, self_);
  if (!next) return;
  Shuffle shuffle;
  shuffle.walk = rng_.Next();
  shuffle.ttl = kMostHops - 1;
  if (!walks_.Remember(now, shuffle.walk, self_)) return;
  shuffle.sample.push_back(self_);
  std::vector<PeerId> neighbors = Active();
  std::erase(neighbors, *next);
  for (std::size_t i = 0; i < kShuffleActive && !neighbors.empty(); ++i) {
    const std::size_t drawn = rng_.Below(neighbors.size());
    shuffle.sample.push_back(neighbors[drawn]);
    neighbors[drawn] = neighbors.back();
    neighbors.pop_back();
  }
  const std::size_t first_given = shuffle.sample.size();
  passive_.Sample(kShufflePassive, rng_, shuffle.sample);
  given_.assign(shuffle.sample.begin() + static_cast<std::ptrdiff_t>(first_given),
                shuffle.sample.end());
  out.push_back(Send{*next, std::move(shuffle)});
}

// One more neighbour of our own choice in place of another: both ends part with one.
void Overlay::Swap(Instant now, Wishes& out) {
  if (soon_swaps_ > 0) --soon_swaps_;
  PlanSwap(now, soon_swaps_ > 0 ? kSoonSwap : std::max(swap_wait_ * 2, kFirstSwap));
  // One short and still looking is no obstacle: who is asked parts with somebody else, who looks in
  // our place, somewhere else.
  if (active_.size() + 1 < config_.active || !attempts_.empty()) return;
  // In turn, so that in a small mesh everybody is asked before anybody is asked twice.
  const std::optional<PeerId> peer = passive_.PickUntried(rng_);
  if (!peer) passive_.NewRound();
  if (!peer || Needs(*peer)) return;
  Start(now, {.peer = *peer, .motive = Motive::kSwap, .urgent = true, .parts = true}, out);
}

void Overlay::PlanSwap(Instant now, Duration wait) {
  swap_wait_ = std::min(wait, kSettledSwap);
  swap_at_ = now + rng_.Between(swap_wait_ - swap_wait_ / 5, swap_wait_ + swap_wait_ / 5);
}

}  // namespace peermesh::overlay
