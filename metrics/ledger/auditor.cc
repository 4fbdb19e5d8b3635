#include "metrics/ledger/auditor.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace peermesh::ledger {
namespace {

constexpr Duration kMinute = std::chrono::minutes(1);
constexpr Duration kViolationKept = std::chrono::hours(1);

bool Applies(Rule rule, Contract contract) {
  switch (rule) {
    case Rule::kOrphan:
    case Rule::kExitResidue:
    case Rule::kCohort:
    case Rule::kLittlesLaw: return contract != Contract::kProcess;
    case Rule::kIdle: return contract == Contract::kActive;
    case Rule::kOverdue: return contract == Contract::kShortLived || contract == Contract::kLeased;
    case Rule::kViolation:
    case Rule::kImbalance: return true;
    case Rule::kKernelExcess:
    case Rule::kRpcSkew: return false;  // kinds of their own
  }
  return false;
}

// Two sweeps must have seen the same one, or churn would look like a leak.
bool SameSuspect(const std::vector<Example>& before, const std::vector<Example>& now) {
  if (before.empty() || now.empty()) return before.empty() == now.empty();
  return std::any_of(before.begin(), before.end(), [&](const Example& one) {
    return std::any_of(now.begin(), now.end(),
                       [&](const Example& other) { return one.id == other.id; });
  });
}

std::string NameOf(const Descriptor& one) {
  return "descriptor " + std::to_string(one.number) + ", " + one.target;
}
std::string NameOf(const Task& one) { return "thread " + std::to_string(one.id) + ", " + one.name; }

}  // namespace

void Auditor::SetSuppressions(Suppressions suppressions) {
  const std::lock_guard lock(mutex_);
  suppressions_ = std::move(suppressions);
}

void Auditor::Sweep() {
  const auto begin = std::chrono::steady_clock::now();
  const std::lock_guard lock(mutex_);
  const Time now = ledger_.now();
  if (!started_) started_ = now;
  const bool late = last_sweep_ && now - *last_sweep_ > kLate;
  last_sweep_ = now;
  ++sweeps_;
  const Walked walked = WalkAndJudge(ledger_, now, {.late = late});
  std::vector<Finding> findings = FindingsOf(ledger_, walked, now);
  AddViolations(now, findings);
  AddTrends(now, walked, findings);
  AddKernel(now, findings);
  AddSkews(now, findings);
  Merge(now, late, std::move(findings));
  last_duration_ = std::chrono::duration_cast<std::chrono::microseconds>(
      std::chrono::steady_clock::now() - begin);
}

std::vector<Verdict> Auditor::SweepAtExit() {
  const std::lock_guard lock(mutex_);
  const Time now = ledger_.now();
  const Walked walked = WalkAndJudge(ledger_, now, {.late = true, .exit = true});
  std::vector<Finding> findings = FindingsOf(ledger_, walked, now);
  std::erase_if(findings, [](const Finding& one) { return one.rule != Rule::kExitResidue; });
  Merge(now, false, findings);
  std::vector<Verdict> residue;
  for (auto& [key, record] : records_) {
    if (key.rule != Rule::kExitResidue) continue;
    record.verdict.state = State::kConfirmed;  // nothing comes after it
    residue.push_back(record.verdict);
  }
  return residue;
}

// --- What the books alone do not show ------------------------------------------------------------

void Auditor::AddViolations(Time now, std::vector<Finding>& findings) const {
  std::map<Key, Finding> by_place;
  for (const Violation& violation : ledger_.violations()) {
    if (now - violation.at > kViolationKept) continue;
    const std::string kind = ledger_.spec(violation.kind).name;
    const std::string site = violation.site.ToText();
    Finding& finding = by_place[{kind, site, Rule::kViolation}];
    finding.rule = Rule::kViolation;
    finding.kind = kind;
    finding.site = site;
    finding.function = violation.site.function;
    finding.oldest = std::max(finding.oldest, now - violation.at);
    finding.because = std::string(ToString(violation.type)) + ": " + violation.detail;
    ++finding.count;
  }
  for (auto& [key, finding] : by_place) findings.push_back(std::move(finding));
}

void Auditor::AddTrends(Time now, const Walked& walked, std::vector<Finding>& findings) {
  const bool minute = !last_minute_ || now - *last_minute_ >= kMinute;
  const bool cohorts = !last_cohorts_ || now - *last_cohorts_ >= CohortTrend::kWidth;
  if (minute) last_minute_ = now;
  if (cohorts) last_cohorts_ = now;
  const auto warm = [&](const KindSpec& spec) {
    return spec.contract != Contract::kProcess && now - *started_ > spec.longest_life;
  };
  std::map<std::pair<std::uint8_t, std::string>, const Group*> places;
  for (const Group& group : walked.groups) places[{group.kind.index, group.site.ToText()}] = &group;
  if (cohorts) {
    std::erase_if(cohorts_, [&](const auto& entry) { return !places.contains(entry.first); });
    for (const auto& [place, group] : places) cohorts_[place].Add(group->cohorts.size());
  }
  for (const auto& [place, trend] : cohorts_) {
    const KindSpec& spec = ledger_.spec(Kind{place.first});
    const auto group = places.find(place);
    if (group == places.end() || !trend.rising() || !warm(spec)) continue;
    findings.push_back({.rule = Rule::kCohort,
                        .kind = spec.name,
                        .site = place.second,
                        .function = group->second->site.function,
                        .count = group->second->live,
                        .oldest = walked.oldest[place.first],
                        .because = "some of every ten minutes stay behind: " +
                                   std::to_string(group->second->cohorts.size()) +
                                   " ages are alive, ever more for two hours"});
  }
  for (std::uint8_t i = 0; i < ledger_.kinds(); ++i) {
    const KindSpec& spec = ledger_.spec(Kind{i});
    const Counts& counts = walked.counts[i];
    const std::uint64_t live = walked.live(Kind{i});
    if (minute) laws_[i].Add(now, counts.acquired, counts.released_sum(), counts.age_sum_ms, live);
    const auto expected = laws_[i].broken(now);
    if (!expected || !warm(spec)) continue;
    findings.push_back({.rule = Rule::kLittlesLaw,
                        .kind = spec.name,
                        .count = live,
                        .oldest = walked.oldest[i],
                        .because = "arrivals times ordinary life explain " +
                                   std::to_string(static_cast<std::uint64_t>(*expected)) +
                                   " of them"});
  }
}

std::map<std::string, std::uint64_t> Auditor::UnclaimedIn(const KernelReading& reading) const {
  std::map<std::string, std::uint64_t> unclaimed = reading.unclaimed();
  const auto counts = ledger_.TakeCounts();
  for (std::uint8_t i = 0; i < ledger_.kinds(); ++i) {
    const char* const held = ledger_.spec(Kind{i}).stands_for;
    const auto found = held == nullptr ? unclaimed.end() : unclaimed.find(held);
    if (found == unclaimed.end()) continue;
    found->second -= std::min(found->second, counts[i].live());
  }
  return unclaimed;
}

void Auditor::AddKernel(Time now, std::vector<Finding>& findings) {
  if (sources_.kernel == nullptr) return;
  const std::optional<KernelReading> reading = sources_.kernel();
  if (!reading) return;
  descriptors_.Add(now, reading->descriptors.size());
  capacity_ = {.used = reading->descriptors.size(), .limit = reading->descriptor_limit};
  if (capacity_.limit > 0) capacity_.left = descriptors_.Until(capacity_.limit);
  unclaimed_ = UnclaimedIn(*reading);
  bool learning = false;
  for (const auto& [name, count] : unclaimed_)
    learning = excesses_.try_emplace(name, *started_).first->second.Add(now, count) || learning;
  if (learning) {
    usual_.clear();
    for (const Descriptor& one : reading->descriptors)
      if (one.claim == 0) usual_.insert(NameOf(one));
    for (const Task& one : reading->threads)
      if (!one.claimed) usual_.insert(NameOf(one));
  }
  for (auto& [name, excess] : excesses_) {
    if (!unclaimed_.contains(name)) excess.Add(now, 0);
    const auto beyond = excess.found(now);
    if (!beyond) continue;
    findings.push_back({.rule = Rule::kKernelExcess,
                        .kind = name,
                        .site = "outside the ledger",
                        .count = *beyond,
                        .because = "the kernel shows " + std::to_string(*beyond) + " more than " +
                                   std::to_string(excess.baseline()) +
                                   " that were there at first and nobody claims, rising for " +
                                   ToText(Excess::kFor),
                        .examples = Unusual(name, *reading)});
  }
}

std::vector<Example> Auditor::Unusual(const std::string& name, const KernelReading& reading) const {
  std::vector<Example> examples;
  const auto add = [&](std::uint64_t id, std::string note) {
    if (examples.size() < kExamples && !usual_.contains(note))
      examples.push_back({.id = id, .scope = "process", .note = std::move(note)});
  };
  for (const Descriptor& one : reading.descriptors) {
    if (one.claim == 0 && name == "fd_" + std::string(ClassOf(one.target)))
      add(static_cast<std::uint64_t>(one.number), NameOf(one));
  }
  if (name == "fd_socket") {
    for (Example& one : examples) one.note += ", to " + OtherEndOf(static_cast<int>(one.id));
  }
  for (const Task& one : reading.threads)
    if (name == "thread" && !one.claimed) add(static_cast<std::uint64_t>(one.id), NameOf(one));
  return examples;
}

void Auditor::AddSkews(Time now, std::vector<Finding>& findings) {
  if (sources_.rpcs == nullptr) return;
  for (const RpcCounts& counts : sources_.rpcs()) {
    const std::int64_t by = counts.elsewhere - counts.by_ledger;
    Skew& skew = skews_[counts.kind];
    if (by == 0 || (by > 0) != (skew.by > 0) || skew.by == 0) {
      skew = {.since = now, .by = by};
    } else if (std::abs(by) < std::abs(skew.by)) {
      skew.by = by;  // the least of it is what is certain
    }
    if (skew.by == 0 || now - skew.since < kSkewFor) continue;
    findings.push_back({.rule = Rule::kRpcSkew,
                        .kind = counts.kind,
                        .site = "outside the ledger",
                        .count = static_cast<std::uint64_t>(std::abs(skew.by)),
                        .oldest = now - skew.since,
                        .because = counts.where + " counts " + std::to_string(counts.elsewhere) +
                                   " of them, the ledger " + std::to_string(counts.by_ledger)});
  }
}

// --- From findings to verdicts -------------------------------------------------------------------

void Auditor::Merge(Time now, bool late, std::vector<Finding> findings) {
  for (auto& [key, record] : records_) record.seen = false;
  const auto today = sources_.today ? std::optional(sources_.today()) : std::nullopt;
  for (Finding& finding : findings) {
    Record& record = records_[{finding.kind, finding.site, finding.rule}];
    Verdict& verdict = record.verdict;
    const bool again = verdict.number != 0 && verdict.state != State::kCleared;
    const bool same = again && SameSuspect(verdict.examples, finding.examples);
    if (!again) {
      verdict = {.number = next_number_++, .first_seen = now};
    } else if (verdict.state == State::kSuspected && same && !late) {
      verdict.state = State::kConfirmed;
      ++totals_[{finding.kind, finding.rule}].confirmed;
    }
    record.seen = true;
    verdict.rule = finding.rule;
    verdict.kind = std::move(finding.kind);
    verdict.site = std::move(finding.site);
    verdict.function = std::move(finding.function);
    verdict.count = finding.count;
    verdict.oldest = finding.oldest;
    verdict.owner = std::move(finding.owner);
    verdict.owner_count = finding.owner_count;
    verdict.because = std::move(finding.because);
    verdict.examples = std::move(finding.examples);
    verdict.last_seen = now;
    verdict.suppressed =
        today ? suppressions_.ReasonFor(verdict, *today).value_or("") : std::string();
  }
  for (auto& [key, record] : records_)
    if (!record.seen) Clear(now, record);
  ForgetOld(now);
}

void Auditor::Clear(Time now, Record& record) {
  Verdict& verdict = record.verdict;
  if (verdict.state == State::kConfirmed) {
    ++totals_[{verdict.kind, verdict.rule}].cleared;
    verdict.state = State::kCleared;
    verdict.last_seen = now;
  }
}

void Auditor::ForgetOld(Time now) {
  std::erase_if(records_, [&](const auto& entry) {
    const Verdict& verdict = entry.second.verdict;
    if (entry.second.seen) return false;
    return verdict.state == State::kSuspected || now - verdict.last_seen > kClearedKept;
  });
  while (records_.size() > kMaxVerdicts) {
    const auto least =
        std::min_element(records_.begin(), records_.end(), [](const auto& a, const auto& b) {
          const auto rank = [](const Verdict& v) {
            return std::tuple(v.state != State::kCleared, v.alerts(), v.last_seen, v.number);
          };
          return rank(a.second.verdict) < rank(b.second.verdict);
        });
    records_.erase(least);
  }
}

// --- What others see -----------------------------------------------------------------------------

std::vector<Verdict> Auditor::verdicts() const {
  const std::lock_guard lock(mutex_);
  std::vector<Verdict> all;
  for (const auto& [key, record] : records_) all.push_back(record.verdict);
  std::sort(all.begin(), all.end(), [](const Verdict& a, const Verdict& b) {
    return std::tuple(a.state == State::kCleared, a.tier(), a.number) <
           std::tuple(b.state == State::kCleared, b.tier(), b.number);
  });
  return all;
}

Snapshot Auditor::TakeSnapshot() const {
  const Walked walked = WalkAndJudge(ledger_, ledger_.now(), {});
  const std::lock_guard lock(mutex_);
  Snapshot snapshot{.unclaimed = unclaimed_,
                    .descriptors = capacity_,
                    .violations = ledger_.violation_count(),
                    .sweeps = sweeps_,
                    .last_sweep = last_duration_};
  for (const auto& [name, excess] : excesses_) snapshot.baseline[name] = excess.baseline();
  std::map<std::pair<std::string, Rule>, RuleView> rules;
  const auto rule_of = [&](const std::string& kind, Rule rule) -> RuleView& {
    RuleView& view = rules[{kind, rule}];
    view.kind = kind;
    view.rule = rule;
    return view;
  };
  for (std::uint8_t i = 0; i < ledger_.kinds(); ++i) {
    KindSpec spec = ledger_.spec(Kind{i});
    spec.soft_limit = ledger_.soft_limit(Kind{i});
    snapshot.kinds.push_back({.spec = spec,
                              .counts = walked.counts[i],
                              .live = walked.live(Kind{i}),
                              .oldest = walked.oldest[i],
                              .longest_idle = walked.longest_idle[i]});
    for (std::uint8_t rule = 0; rule < kRules; ++rule)
      if (Applies(Rule{rule}, spec.contract)) rule_of(spec.name, Rule{rule});
  }
  for (const auto& [name, count] : unclaimed_) rule_of(name, Rule::kKernelExcess);
  for (const auto& [kind, skew] : skews_) rule_of(kind, Rule::kRpcSkew);
  for (const auto& [key, record] : records_) {
    const Verdict& verdict = record.verdict;
    if (verdict.state == State::kConfirmed && verdict.suppressed.empty())
      rule_of(verdict.kind, verdict.rule).suspects += verdict.count;
  }
  for (const auto& [key, totals] : totals_) {
    RuleView& view = rule_of(key.first, key.second);
    view.confirmed = totals.confirmed;
    view.cleared = totals.cleared;
  }
  for (const auto& [key, view] : rules) snapshot.rules.push_back(view);
  return snapshot;
}

}  // namespace peermesh::ledger
