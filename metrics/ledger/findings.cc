#include "metrics/ledger/findings.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstdio>
#include <optional>

#include "absl/debugging/symbolize.h"
#include "metrics/ledger/auditor.h"

namespace peermesh::ledger {
namespace {

std::vector<std::string> Symbolize(const std::vector<void*>& stack) {
  std::vector<std::string> names;
  for (void* const address : stack) {
    char name[256];
    // A return address points behind the call.
    const char* const call = static_cast<const char*>(address) - 1;
    Dl_info module{};
    if (!absl::Symbolize(call, name, sizeof(name))) {
      // Stripped: enough for addr2line.
      if (::dladdr(call, &module) != 0 && module.dli_fname != nullptr) {
        std::snprintf(name, sizeof(name), "%s+0x%tx", module.dli_fname,
                      call - static_cast<const char*>(module.dli_fbase));
      } else {
        std::snprintf(name, sizeof(name), "%p", address);
      }
    }
    names.emplace_back(name);
  }
  return names;
}

// Why the suspects of a rule are suspects.
std::string Because(Rule rule, const KindSpec& spec) {
  switch (rule) {
    case Rule::kOrphan: return "their scope ended more than " + ToText(kOrphanGrace) + " ago";
    case Rule::kIdle: return "not used for " + ToText(spec.limit) + ", which its contract asks for";
    case Rule::kOverdue:
      return spec.contract == Contract::kLeased
                 ? "past their deadline"
                 : "older than " + ToText(spec.limit) + ", the longest its contract permits";
    case Rule::kExitResidue: return "still there after the drain";
    default: return "";
  }
}

// Groups by place, found quickly: neighbours in a block often come from the same one.
class Groups {
 public:
  explicit Groups(std::vector<Group>& all) : all_(all) {}

  Group& Of(const Item& item) {
    if (last_ < all_.size() && Same(all_[last_], item)) return all_[last_];
    const auto key = std::hash<const void*>{}(item.site.file) ^ (item.site.line * 0x9e3779b9u) ^
                     (static_cast<std::size_t>(item.kind.index) << 56);
    auto [begin, end] = index_.equal_range(key);
    for (; begin != end; ++begin) {
      if (Same(all_[begin->second], item)) return all_[last_ = begin->second];
    }
    last_ = all_.size();
    index_.emplace(key, last_);
    all_.push_back({.kind = item.kind, .site = item.site});
    return all_.back();
  }

 private:
  static bool Same(const Group& group, const Item& item) {
    return group.kind == item.kind && group.site.line == item.site.line &&
           group.site.file == item.site.file;
  }

  std::vector<Group>& all_;
  std::unordered_multimap<std::size_t, std::size_t> index_;
  std::size_t last_ = 0;
};

void Judge(Group& group, const Item& item, const KindSpec& spec, Time now, WalkOptions options) {
  ++group.live;
  const Duration::rep cohort = item.born.time_since_epoch() / CohortTrend::kWidth;
  if (group.cohorts.empty() || group.cohorts.back() < cohort) {
    group.cohorts.push_back(cohort);
  } else if (group.cohorts.back() != cohort) {
    const auto place = std::lower_bound(group.cohorts.begin(), group.cohorts.end(), cohort);
    if (*place != cohort) group.cohorts.insert(place, cohort);
  }
  if (spec.contract == Contract::kProcess) return;
  if (options.exit) group.residue.Add(item);
  if (item.scope != nullptr) {
    const std::optional<Time> ended = item.scope->ended();
    if (ended && now - *ended > kOrphanGrace) return group.orphans.Add(item);
  }
  const bool old = spec.contract == Contract::kShortLived && now - item.born > spec.limit;
  const bool late = item.deadline && now - *item.deadline > kDeadlineGrace;
  if (old || late) return group.overdue.Add(item);
  if (spec.contract == Contract::kActive && !options.late && now - item.touched > spec.limit)
    group.idle.Add(item);
}

}  // namespace

std::string ToText(Duration duration) {
  const auto ms = duration.count();
  char text[48];
  if (ms < 1000) {
    std::snprintf(text, sizeof(text), "%lld ms", static_cast<long long>(ms));
  } else if (ms < 120'000) {
    std::snprintf(text, sizeof(text), "%lld s", static_cast<long long>(ms / 1000));
  } else if (ms < 2 * 3'600'000) {
    std::snprintf(text, sizeof(text), "%lld m", static_cast<long long>(ms / 60'000));
  } else {
    std::snprintf(text, sizeof(text), "%lld h %lld m", static_cast<long long>(ms / 3'600'000),
                  static_cast<long long>(ms / 60'000 % 60));
  }
  return text;
}

Suspects::~Suspects() {
  for (const auto& [scope, count] : owners_)
    if (scope != nullptr) scope->Unref();
}

void Suspects::Add(const Item& item) {
  ++count_;
  const auto [owner, is_new] = owners_.try_emplace(item.scope, 0);
  ++owner->second;
  if (is_new && item.scope != nullptr) item.scope->Ref();
  const auto place = std::find_if(oldest_.begin(), oldest_.end(), [&](const Held& held) {
    return std::pair(item.born, item.id) < std::pair(held.item.born, held.item.id);
  });
  if (place == oldest_.end() && oldest_.size() == kExamples) return;
  Held held{.item = item};
  held.item.particulars = nullptr;  // not ours after the walk
  if (item.particulars != nullptr) {
    held.note = item.particulars->note;
    const auto& stack = item.particulars->stack;
    held.stack.assign(stack.begin(),
                      stack.begin() + static_cast<std::ptrdiff_t>(item.particulars->depth));
  }
  oldest_.insert(place, std::move(held));
  if (oldest_.size() > kExamples) oldest_.pop_back();
}

Finding Suspects::ToFinding(Rule rule, const KindSpec& spec, Site site, Time now) const {
  Finding finding{.rule = rule,
                  .kind = spec.name,
                  .site = site.ToText(),
                  .function = site.function,
                  .count = count_,
                  .because = Because(rule, spec)};
  std::map<std::string, std::uint64_t> owners;
  for (const auto& [scope, count] : owners_)
    owners[scope == nullptr ? "process" : scope->Owner()] += count;
  for (const auto& [owner, count] : owners) {
    if (count > finding.owner_count) {
      finding.owner = owner;
      finding.owner_count = count;
    }
  }
  for (const Held& held : oldest_) {
    const Item& item = held.item;
    finding.oldest = std::max(finding.oldest, now - item.born);
    finding.examples.push_back({.id = item.id,
                                .scope = item.scope == nullptr ? "process" : item.scope->Path(),
                                .age = now - item.born,
                                .idle = now - item.touched,
                                .amount = item.amount,
                                .note = held.note,
                                .stack = Symbolize(held.stack)});
  }
  return finding;
}

Walked WalkAndJudge(const Ledger& ledger, Time now, WalkOptions options) {
  Walked walked;
  Groups groups(walked.groups);
  walked.counts = ledger.Walk([&](const Item& item) {
    const std::size_t kind = item.kind.index;
    ++walked.listed[kind];
    walked.oldest[kind] = std::max(walked.oldest[kind], now - item.born);
    walked.longest_idle[kind] = std::max(walked.longest_idle[kind], now - item.touched);
    Judge(groups.Of(item), item, ledger.spec(item.kind), now, options);
  });
  return walked;
}

std::vector<Finding> FindingsOf(const Ledger& ledger, const Walked& walked, Time now) {
  std::vector<Finding> findings;
  for (const Group& group : walked.groups) {
    const auto add = [&](Rule rule, const Suspects& suspects) {
      if (suspects.count() > 0)
        findings.push_back(suspects.ToFinding(rule, ledger.spec(group.kind), group.site, now));
    };
    add(Rule::kOrphan, group.orphans);
    add(Rule::kIdle, group.idle);
    add(Rule::kOverdue, group.overdue);
    add(Rule::kExitResidue, group.residue);
  }
  for (std::uint8_t i = 0; i < ledger.kinds(); ++i) {
    const Counts& counts = walked.counts[i];
    const std::uint64_t booked = counts.acquired - counts.released_sum();
    const std::uint64_t live = walked.live(Kind{i});
    if (booked == live) continue;
    findings.push_back({.rule = Rule::kImbalance,
                        .kind = ledger.spec(Kind{i}).name,
                        .count = booked > live ? booked - live : live - booked,
                        .because = "acquired " + std::to_string(counts.acquired) + ", released " +
                                   std::to_string(counts.released_sum()) + ", and there are " +
                                   std::to_string(live)});
  }
  return findings;
}

}  // namespace peermesh::ledger
