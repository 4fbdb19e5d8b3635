// What time does to the quorum's cases: timers, deaths that speak, and the search for the cut off.
#include <algorithm>
#include <array>

#include "mesh/base/check.h"
#include "mesh/membership/quorum.h"

namespace peermesh::membership {
namespace {

// log2(voices + 1) in units of 2^-20.
constexpr std::array<std::int64_t, kTimerVoices + 1> kLogarithm = {0, 1'048'576, 1'661'954,
                                                                   2'097'152};

}  // namespace

Duration TimerOf(std::size_t voices) {
  PM_CHECK(voices > 0);
  const std::int64_t share = kLogarithm[std::min(voices, kTimerVoices)];
  return kTimerMax - (kTimerMax - kTimerMin) * share / kLogarithm.back();
}

Instant Quorum::DeadlineOf(const Case& of) const {
  if (of.state == State::kSuspect && of.reached != kNever) {
    return of.reached + TimerOf(of.tally) * multiplier_;
  }
  if (of.penalty == Penalty::kRunning) return of.counted + PenaltyOf(of);
  const bool remembered = of.state == State::kAlive && of.voices.empty() && of.deaths > 0;
  return remembered ? of.counted + kDeathMemory : kNever;
}

// After every change of a case: it may be over.
void Quorum::Settle(Cases::iterator at) {
  Case& of = at->second;
  if (of.deadline != kNever) PM_CHECK(due_.erase({of.deadline, at->first}) == 1);
  of.deadline = kNever;
  if (of.state == State::kAlive && of.voices.empty() && of.deaths == 0) {
    cases_.erase(at);
    return;
  }
  of.deadline = DeadlineOf(of);
  if (of.deadline != kNever) due_.insert({of.deadline, at->first});
}

void Quorum::Expire(Instant now, PeerId subject) {
  const auto at = cases_.find(subject);
  PM_CHECK(at != cases_.end());
  Case& of = at->second;
  if (of.penalty == Penalty::kRunning) {
    of.penalty = Penalty::kOver;
    Evaluate(now, subject, of);
  } else if (of.state == State::kSuspect) {
    Die(now, subject, of, By::kVoices);
  } else {
    PM_CHECK(of.state == State::kAlive);
    of.deaths = 0;
  }
  Settle(at);
}

void Quorum::Wake(Instant now) {
  while (!due_.empty() && due_.begin()->first <= now) Expire(now, due_.begin()->second);
  if (sweep_at_ <= now) Sweep(now);
  if (cascade_at_ <= now) Cascade(now);
}

Instant Quorum::NextWake() const {
  const Instant due = due_.empty() ? kNever : due_.begin()->first;
  return std::min({due, cascade_at_, sweep_at_});
}

void Quorum::SetMultiplier(Instant, int multiplier) {
  PM_CHECK(multiplier >= 1 && multiplier <= 9);
  if (multiplier == multiplier_) return;
  multiplier_ = multiplier;
  for (const PeerId& subject : suspects_) Settle(cases_.find(subject));
}

// Somebody died, or did not after all: its silence counts in every case it observes.
void Quorum::Cascade(Instant now) {
  cascade_at_ = kNever;
  cascaded_ = now;
  for (auto it = suspects_.begin(); it != suspects_.end();) {
    const PeerId subject = *it++;  // it may cease to be one
    const auto at = cases_.find(subject);
    PM_CHECK(at != cases_.end() && at->second.state == State::kSuspect);
    Evaluate(now, subject, at->second);
    Settle(at);
  }
}

void Quorum::Sweep(Instant now) {
  std::vector<std::uint64_t> quiet;
  for (const auto& [subject, of] : cases_) {
    const bool gone = of.state == State::kSuspect || of.state == State::kDead;
    if (gone && of.since + StrandedTime() <= now) quiet.push_back(ObserverKey(subject));
  }
  const bool stranded =
      std::any_of(suspects_.begin(), suspects_.end(),
                  [this](const PeerId& subject) { return cases_.at(subject).stranded; });
  if (stranded || !quiet.empty()) {
    for (const Roll::Chunk& chunk : roll_.chunks()) {
      for (const RecordRef& record : chunk) Strand(now, *record, quiet);
    }
  }
  const Instant next = now + kSweepPause;
  sweep_at_ = !suspects_.empty() || disturbed_ + StrandedTime() > now ? next : kNever;
}

// Those who could speak for the subject are gone, or speak against it.
void Quorum::Strand(Instant now, const Record& subject, const std::vector<std::uint64_t>& quiet) {
  std::size_t silent = 0;
  for (const std::uint64_t observer : subject.observers) {
    silent += std::binary_search(quiet.begin(), quiet.end(), observer);
  }
  auto at = cases_.find(subject.id);
  if (at == cases_.end()) {
    if (silent == 0 || silent < LowMark(subject.observers.size())) return;
    at = cases_.try_emplace(subject.id).first;
  }
  Case& of = at->second;
  if (of.state == State::kDead || of.state == State::kLeft) return;
  std::size_t voices = silent;
  for (const Said& said : of.voices) {
    if (!said.counts || said.statement->claim != Claim::kGone) continue;
    voices +=
        !std::binary_search(quiet.begin(), quiet.end(), ObserverKey(said.statement->observer));
  }
  of.stranded = silent > 0 && voices >= LowMark(subject.observers.size());
  if (of.stranded && of.state == State::kSuspect && of.since + StrandedTime() <= now) {
    Die(now, subject.id, of, By::kStranding);
  } else {
    Evaluate(now, subject.id, of);
  }
  Settle(at);
}

}  // namespace peermesh::membership
