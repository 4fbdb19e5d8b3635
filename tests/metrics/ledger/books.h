// What tests read in the ledger of their process.
#ifndef PEERMESH_TESTS_METRICS_LEDGER_BOOKS_H_
#define PEERMESH_TESTS_METRICS_LEDGER_BOOKS_H_

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "metrics/ledger/ledger.h"

namespace peermesh::ledger {

inline std::uint64_t Live(Kind kind) { return Ledger::Process().TakeCounts()[kind.index].live(); }

inline std::uint64_t Ended(Kind kind, Outcome outcome) {
  return Ledger::Process().TakeCounts()[kind.index].released[static_cast<std::size_t>(outcome)];
}

// The scopes of all that are live, in the order of their names.
inline std::vector<std::string> PathsOf(Kind kind) {
  std::vector<std::string> paths;
  Ledger::Process().Walk([&](const Item& item) {
    if (item.kind == kind) paths.push_back(item.scope == nullptr ? "process" : item.scope->Path());
  });
  std::sort(paths.begin(), paths.end());
  return paths;
}

// Of one that is live.
inline std::optional<Time> DeadlineOf(Kind kind) {
  std::optional<Time> deadline;
  Ledger::Process().Walk([&](const Item& item) {
    if (item.kind == kind) deadline = item.deadline;
  });
  return deadline;
}

}  // namespace peermesh::ledger

#endif  // PEERMESH_TESTS_METRICS_LEDGER_BOOKS_H_
