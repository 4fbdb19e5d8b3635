#include "mesh/membership/quorum.h"

#include <algorithm>

#include "mesh/base/check.h"
#include "mesh/base/growth.h"

namespace peermesh::membership {
namespace {

bool Counts(const Record& subject, const PeerId& observer) {
  return subject.observers.empty() || Names(subject, ObserverKey(observer));
}

// Nothing but its observers changed.
bool IsQuiet(const Record& known, const Record& record) {
  return known.epoch == record.epoch && known.Version() == record.Version();
}

bool IsGone(const Statement& statement) { return statement.claim == Claim::kGone; }

}  // namespace

bool Quorum::IsImpolite(const Statement& said) {
  switch (said.claim) {
    case Claim::kGone:
      if (said.observer == said.subject) return true;
      break;
    case Claim::kBack:
    case Claim::kLeft: break;
    default: return true;
  }
  return said.incarnation == 0 || said.number == 0;
}

Quorum::Heard Quorum::Hear(Instant now, const StatementRef& statement) {
  PM_CHECK(statement != nullptr);
  const Statement& said = *statement;
  if (IsImpolite(said)) return Heard::kImpolite;
  const bool own = said.observer == said.subject;
  const RecordRef subject = roll_.Find(said.subject);
  if (!subject || said.incarnation < subject->Version()) return Heard::kOld;
  if (said.incarnation > subject->incarnation) return Heard::kOld;  // of a record yet to come
  if (own != (said.claim == Claim::kLeft)) return Heard::kOld;      // says nothing
  const auto [at, fresh] = cases_.try_emplace(said.subject);
  Case& in = at->second;
  Heard heard = Heard::kOld;
  if (in.state != State::kLeft) {
    if (own) {
      Leave(now, said.subject, in, statement);
      heard = Heard::kNews;
    } else {
      heard = Keep(now, *subject, in, statement);
      if (heard == Heard::kNews) Evaluate(now, said.subject, in);
    }
  }
  Settle(at);
  return heard;
}

// The observer's latest word, if there is room for it.
Quorum::Heard Quorum::Keep(Instant now, const Record& subject, Case& in,
                           const StatementRef& statement) {
  const auto place = [&in](const PeerId& observer) {
    return std::lower_bound(
        in.voices.begin(), in.voices.end(), observer,
        [](const Said& said, const PeerId& id) { return said.statement->observer < id; });
  };
  auto at = place(statement->observer);
  if (at != in.voices.end() && at->statement->observer == statement->observer) {
    if (statement->number <= at->statement->number) return Heard::kOld;
    if (at->statement->claim != statement->claim) at->since = now;
    at->statement = statement;
    return Heard::kNews;
  }
  const bool counts = Counts(subject, statement->observer);
  const auto stranger = [](const Said& said) { return !said.counts; };
  const auto strangers = std::count_if(in.voices.begin(), in.voices.end(), stranger);
  if (!counts && (strangers >= static_cast<std::ptrdiff_t>(kMaxStrangersOfOne) ||
                  strangers_ >= kMaxStrangers || in.voices.size() >= kMaxVoices)) {
    return Heard::kOld;
  }
  if (in.voices.size() >= kMaxVoices) {
    // Who counts has the room of who does not.
    const auto out = std::find_if(in.voices.begin(), in.voices.end(), stranger);
    if (out == in.voices.end()) return Heard::kOld;
    in.voices.erase(out);
    PM_CHECK(strangers_ > 0);
    --strangers_;
    at = place(statement->observer);
  }
  in.voices.insert(at, Said{statement, now, counts});
  strangers_ += !counts;
  return Heard::kNews;
}

bool Quorum::IsDead(std::uint64_t observer) const {
  PeerId first;
  for (std::size_t at = 0; at < 8; ++at) {
    first.bytes[at] = static_cast<std::uint8_t>(observer >> (56 - 8 * at));
  }
  const auto it = cases_.lower_bound(first);
  return it != cases_.end() && ObserverKey(it->first) == observer &&
         it->second.state == State::kDead;
}

Quorum::Count Quorum::CountOf(const Record& subject, const Case& of) const {
  Count count;
  std::vector<std::uint64_t> spoken;
  for (const Said& said : of.voices) {
    if (!said.counts || !IsGone(*said.statement)) continue;
    ++count.spoken;
    spoken.push_back(ObserverKey(said.statement->observer));
    count.former += !subject.observers.empty() && !Names(subject, spoken.back());
  }
  if (spoken.empty()) return count;
  for (const std::uint64_t observer : subject.observers) {
    const bool spoke = std::binary_search(spoken.begin(), spoken.end(), observer);
    if (!spoke && IsDead(observer)) ++count.silent;
  }
  return count;
}

// What most of those who count say; of several the smallest.
StateReason Quorum::ReasonOf(const Case& of) {
  std::map<StateReason, std::size_t> reasons;
  for (const Said& said : of.voices) {
    if (said.counts && IsGone(*said.statement)) ++reasons[said.statement->reason];
  }
  // Nobody is left who would see it: it is silent.
  StateReason most = StateReason::kHeartbeatTimeout;
  std::size_t voices = 0;
  for (const auto& [reason, count] : reasons) {
    if (count > voices) most = reason;
    voices = std::max(voices, count);
  }
  return most;
}

void Quorum::Evaluate(Instant now, PeerId subject, Case& of) {
  if (of.state == State::kLeft || (of.state == State::kDead && of.penalty == Penalty::kNone))
    return;
  const RecordRef record = roll_.Find(subject);
  const Count count = CountOf(*record, of);
  const std::size_t k = std::max<std::size_t>(1, record->observers.size() + count.former);
  const std::size_t tally = count.spoken + count.silent;
  PM_CHECK(LowMark(k) <= HighMark(k));
  of.tally = static_cast<std::uint16_t>(tally);
  if (tally >= HighMark(k)) return Die(now, subject, of, By::kVoices);
  if (of.state == State::kDead) {
    if (of.penalty != Penalty::kOver || count.spoken > 0) return;
    return Become(now, subject, of, State::kAlive, StateReason::kNone);
  }
  if (tally < LowMark(k)) {
    of.reached = kNever;
  } else if (of.reached == kNever) {
    of.reached = now;
  }
  if (count.spoken == 0 && !of.stranded) {
    Become(now, subject, of, State::kAlive, StateReason::kNone);
  } else if (of.state == State::kAlive) {
    Become(now, subject, of, State::kSuspect, ReasonOf(of));
  }
}

void Quorum::Become(Instant now, PeerId subject, Case& of, State state, StateReason reason) {
  const State before = of.state;
  if (before == state) return;
  of.state = state;
  of.reason = reason;
  if (before == State::kAlive || state == State::kAlive) of.since = now;
  of.penalty = Penalty::kNone;
  if (before == State::kDead && state == State::kAlive) of.returned = now;
  if (state != State::kSuspect) {
    of.reached = kNever;
    of.stranded = false;
    suspects_.erase(subject);
  } else {
    suspects_.insert(subject);
  }
  changed_.insert(subject);
  if ((before == State::kDead || state == State::kDead) && !suspects_.empty()) {
    const Instant next = cascaded_ == Instant::min() ? now : cascaded_ + kCascadePause;
    cascade_at_ = std::min(cascade_at_, std::max(now, next));
  }
  if (state == State::kDead || state == State::kSuspect) {
    disturbed_ = now;
    sweep_at_ = std::min(sweep_at_, now + StrandedTime());
  }
}

// Also anew: who is dead for a penalty and is accused again.
void Quorum::Die(Instant now, PeerId subject, Case& of, By what) {
  of.evidence.clear();
  std::size_t recent = 0;
  for (const Said& said : of.voices) {
    if (!said.counts || !IsGone(*said.statement)) continue;
    of.evidence.push_back(said.statement);
    recent += !said.statement->past;
  }
  const std::size_t k = std::max<std::size_t>(1, roll_.Find(subject)->observers.size());
  const bool again = of.deaths > 0 && now - of.counted < kDeathMemory;
  // Silence and what was said long ago are a partition's: the cut off do not flap.
  const bool counts = what == By::kVoices && recent >= LowMark(k);
  if (!again) {
    of.deaths = 1;
  } else if (counts) {
    of.deaths = static_cast<std::uint8_t>(std::min(of.deaths + 1, 100));
  }
  if (!again || counts) of.counted = now;
  of.died = now;
  of.penalty = Penalty::kNone;
  changed_.insert(subject);
  Become(now, subject, of, State::kDead, ReasonOf(of));
  PM_CHECK(of.state == State::kDead && of.reached == kNever);
}

void Quorum::Leave(Instant now, PeerId subject, Case& of, const StatementRef& statement) {
  Void(of);
  of.evidence = {statement};
  Become(now, subject, of, State::kLeft, StateReason::kGoodbye);
}

// What was said counts no longer.
void Quorum::Void(Case& of) {
  for (const Said& said : of.voices) {
    PM_CHECK(said.counts || strangers_ > 0);
    strangers_ -= !said.counts;
  }
  GiveBack(of.voices);
  GiveBack(of.evidence);
  of.reached = kNever;
  of.stranded = false;
  of.tally = 0;
}

// It has other observers now. Those of before who spoke had reason to.
void Quorum::Recount(Instant now, const Record& subject, Case& of) {
  for (Said& said : of.voices) {
    if (said.counts || !Counts(subject, said.statement->observer)) continue;
    said.counts = true;
    PM_CHECK(strangers_ > 0);
    --strangers_;
  }
  of.stranded = false;
  Evaluate(now, subject.id, of);
}

Duration Quorum::PenaltyOf(const Case& of) {
  if (of.deaths < 2) return Duration{};  // anybody is lost once
  Duration penalty = kFirstPenalty;
  for (int death = 2; death < of.deaths && penalty < kMaxPenalty; ++death) penalty *= 2;
  return std::min(penalty, kMaxPenalty);
}

bool Quorum::InCompany(const Case& of) const {
  std::size_t died = 0;
  for (const auto& [subject, its] : cases_) {
    died += its.deaths > 0 && its.died - of.died <= kTogether && of.died - its.died <= kTogether;
  }
  return died >= std::max(kCompany, roll_.size() / kPartOfAll);
}

void Quorum::Describe(Instant now, const RecordRef& record) {
  const RecordRef known = roll_.Find(record->id);
  if (known && known->incarnation >= record->incarnation) return;
  if (!known && roll_.size() >= kMaxKnown) return;
  const bool quiet = known && IsQuiet(*known, *record);
  roll_.Put(record);
  // It may be long ago that these died, and nobody looks for their like any more.
  const auto& observers = record->observers;
  if (std::any_of(observers.begin(), observers.end(), [this](auto key) { return IsDead(key); })) {
    sweep_at_ = std::min(sweep_at_, now + StrandedTime());
  }
  const auto at = cases_.find(record->id);
  if (at == cases_.end()) return;
  Case& of = at->second;
  if (quiet && (of.state == State::kAlive || of.state == State::kSuspect)) {
    Recount(now, *record, of);
    return Settle(at);
  }
  Void(of);
  const bool fresh = known && known->epoch < record->epoch;
  if (of.state == State::kDead && of.deaths > 0 && (fresh || InCompany(of))) of.deaths = 1;
  if (of.state != State::kDead || of.counted + PenaltyOf(of) <= now) {
    Become(now, record->id, of, State::kAlive, StateReason::kNone);
  } else {
    of.penalty = Penalty::kRunning;
    changed_.insert(record->id);
  }
  Settle(at);
}

void Quorum::Forget(PeerId subject) {
  roll_.Erase(subject);
  const auto at = cases_.find(subject);
  if (at == cases_.end()) return;
  Void(at->second);
  if (at->second.deadline != kNever) due_.erase({at->second.deadline, subject});
  suspects_.erase(subject);
  changed_.erase(subject);
  cases_.erase(at);
}

}  // namespace peermesh::membership
