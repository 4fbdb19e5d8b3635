// One walk of the books, judged: what looks wrong now, before time has its say. Internal to the
// auditor.
#ifndef PEERMESH_METRICS_LEDGER_FINDINGS_H_
#define PEERMESH_METRICS_LEDGER_FINDINGS_H_

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "metrics/ledger/ledger.h"
#include "metrics/ledger/verdict.h"

namespace peermesh::ledger {

struct Finding {
  Rule rule{};
  std::string kind, site, function;
  std::uint64_t count = 0;
  Duration oldest{};
  std::string owner;
  std::uint64_t owner_count = 0;
  std::string because;
  std::vector<Example> examples;
};

// The suspects of one rule at one place of birth. Holds references to the scopes of its examples.
class Suspects {
 public:
  Suspects() = default;
  Suspects(Suspects&&) = default;
  Suspects& operator=(Suspects&&) = default;
  ~Suspects();

  void Add(const Item& item);
  std::uint64_t count() const { return count_; }
  Finding ToFinding(Rule rule, const KindSpec& spec, Site site, Time now) const;

 private:
  struct Held {
    Item item;
    std::string note;
    std::vector<void*> stack;
  };
  std::uint64_t count_ = 0;
  std::vector<Held> oldest_;                                // kExamples, oldest first
  std::unordered_map<ScopeRecord*, std::uint64_t> owners_;  // references held
};

// Everything live that was born at one place.
struct Group {
  Kind kind;
  Site site;
  std::uint64_t live = 0;
  std::vector<Duration::rep> cohorts;  // those alive, sorted
  Suspects orphans, idle, overdue, residue;
};

struct WalkOptions {
  bool late = false;  // nothing can be said about idleness
  bool exit = false;  // whatever is not the process's own is residue
};

struct Walked {
  std::vector<Group> groups;
  std::array<Counts, kMaxKinds> counts{};
  std::array<std::uint64_t, kMaxKinds> listed{};  // entries seen
  std::array<Duration, kMaxKinds> oldest{}, longest_idle{};

  std::uint64_t live(Kind kind) const { return listed[kind.index] + counts[kind.index].unlisted; }
};

Walked WalkAndJudge(const Ledger& ledger, Time now, WalkOptions options);
// Orphans, idle, overdue, residue, imbalances.
std::vector<Finding> FindingsOf(const Ledger& ledger, const Walked& walked, Time now);

// "3 m", "1 h 12 m", "45 s", "300 ms".
std::string ToText(Duration duration);

}  // namespace peermesh::ledger

#endif  // PEERMESH_METRICS_LEDGER_FINDINGS_H_
