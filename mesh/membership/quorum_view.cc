// What the quorum tells, and what must hold of it.
#include <algorithm>
#include <utility>

#include "mesh/base/check.h"
#include "mesh/base/digest.h"
#include "mesh/membership/quorum.h"

namespace peermesh::membership {
namespace {

StatementRef OfThePast(StatementRef statement) {
  if (statement->past) return statement;
  Statement past = *statement;
  past.past = true;
  return std::make_shared<const Statement>(std::move(past));
}

}  // namespace

std::vector<Quorum::Verdict> Quorum::TakeVerdicts() {
  std::vector<Verdict> verdicts;
  verdicts.reserve(changed_.size());
  for (const PeerId& subject : changed_) {
    const auto it = cases_.find(subject);
    if (it == cases_.end()) {
      verdicts.push_back({subject, State::kAlive, StateReason::kNone});
    } else {
      const bool renewed = it->second.penalty != Penalty::kNone;
      verdicts.push_back({subject, it->second.state, it->second.reason, renewed});
    }
  }
  changed_.clear();
  return verdicts;
}

std::vector<Quorum::Verdict> Quorum::Standing() const {
  std::vector<Verdict> verdicts;
  for (const auto& [subject, of] : cases_) {
    if (of.state != State::kAlive || of.deaths > 0) {
      verdicts.push_back({subject, of.state, of.reason, false, of.returned});
    }
  }
  return verdicts;
}

std::vector<Quorum::Voice> Quorum::Accusers(PeerId subject) const {
  std::vector<Voice> accusers;
  const auto it = cases_.find(subject);
  if (it == cases_.end()) return accusers;
  for (const Said& said : it->second.voices) {
    const Statement& statement = *said.statement;
    if (statement.claim != Claim::kGone) continue;
    accusers.push_back({statement.observer, statement.reason, said.since, said.counts});
  }
  return accusers;
}

std::vector<StatementRef> Quorum::Evidence(Instant now, PeerId subject) {
  const auto it = cases_.find(subject);
  if (it == cases_.end()) return {};
  Case& of = it->second;
  if (of.state == State::kDead || of.state == State::kLeft) {
    if (of.state == State::kDead && of.died + kTogether <= now) {
      for (StatementRef& statement : of.evidence) statement = OfThePast(std::move(statement));
    }
    return of.evidence;
  }
  std::vector<StatementRef> standing;
  for (const Said& said : of.voices) {
    if (!said.counts || said.statement->claim != Claim::kGone) continue;
    const bool past = said.since + kTogether <= now;
    standing.push_back(past ? OfThePast(said.statement) : said.statement);
  }
  return standing;
}

void Quorum::CheckInvariants() const {
  roll_.CheckInvariants();
  PM_CHECK(roll_.size() <= kMaxKnown && cases_.size() <= roll_.size());
  PM_CHECK(strangers_ <= kMaxStrangers);
  PM_CHECK(multiplier_ >= 1 && multiplier_ <= 9);
  std::size_t strangers = 0, suspects = 0, due = 0;
  for (const auto& [subject, of] : cases_) {
    const RecordRef record = roll_.Find(subject);
    PM_CHECK(record);
    PM_CHECK(of.voices.size() <= kMaxVoices);
    const PeerId* last = nullptr;
    for (const Said& said : of.voices) {
      const Statement& statement = *said.statement;
      PM_CHECK(statement.subject == subject && statement.observer != subject);
      PM_CHECK(statement.incarnation >= record->Version());
      PM_CHECK(statement.incarnation <= record->incarnation);
      PM_CHECK(last == nullptr || *last < statement.observer);
      last = &statement.observer;
      strangers += !said.counts;
    }
    const bool suspect = of.state == State::kSuspect;
    suspects += suspect;
    PM_CHECK(suspect == suspects_.contains(subject));
    PM_CHECK(of.state != State::kUnreachable);
    PM_CHECK(of.state != State::kAlive || !of.voices.empty() || of.deaths > 0);
    PM_CHECK(suspect || (of.reached == kNever && !of.stranded));
    const Count count = CountOf(*record, of);
    PM_CHECK(suspect || of.state == State::kDead || count.spoken == 0);
    PM_CHECK(!suspect || count.spoken > 0 || of.stranded);
    PM_CHECK(of.penalty == Penalty::kNone || (of.state == State::kDead && of.deaths > 0));
    PM_CHECK(of.state == State::kDead || of.state == State::kLeft || of.evidence.empty());
    PM_CHECK(of.deadline == DeadlineOf(of));
    if (of.deadline != kNever) PM_CHECK(due_.contains({of.deadline, subject}));
    due += of.deadline != kNever;
    if (suspect && of.reached != kNever) {
      PM_CHECK(of.deadline >= of.reached + kTimerMin && of.tally > 0);
      PM_CHECK(of.deadline <= of.reached + kTimerMax * multiplier_);
    }
  }
  PM_CHECK(strangers == strangers_ && due == due_.size() && suspects == suspects_.size());
  PM_CHECK(suspects == 0 || sweep_at_ != kNever);
}

std::uint64_t Quorum::Digest() const {
  peermesh::Digest digest;
  for (const auto& [subject, of] : cases_) {
    digest.Add(subject).Add(static_cast<std::uint64_t>(of.state)).Add(of.since).Add(of.deadline);
    digest.Add(static_cast<std::uint64_t>(of.penalty)).Add(of.deaths).Add(of.died).Add(of.counted);
    for (const Said& said : of.voices) {
      digest.Add(said.statement->observer).Add(said.statement->number);
      digest.Add(static_cast<std::uint64_t>(said.statement->claim)).Add(said.since);
      digest.Add(static_cast<std::uint64_t>(said.statement->past));
    }
  }
  digest.Add(roll_.size()).Add(static_cast<std::uint64_t>(multiplier_));
  return digest.value();
}

}  // namespace peermesh::membership
