// Verdicts that somebody has looked at and accepted, for a time and with a reason.
//
//   # kind  site (a prefix, or *)   rule (or *)  until       reason
//   timer   server/link/queue.cc:*  cohort       2027-01-31  known, see issue 12
//
// A suppressed verdict is shown and raises no alert. One that has run out says so and counts again.
#ifndef PEERMESH_METRICS_LEDGER_SUPPRESSIONS_H_
#define PEERMESH_METRICS_LEDGER_SUPPRESSIONS_H_

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "metrics/ledger/verdict.h"

namespace peermesh::ledger {

struct Suppression {
  std::string kind, site, rule;  // "*" at the end matches the rest
  std::chrono::year_month_day until;
  std::string reason;
};

class Suppressions {
 public:
  // An error names the line and what is expected there.
  static absl::StatusOr<Suppressions> Parse(std::string_view text);

  // The reason, if the verdict is suppressed on that day.
  std::optional<std::string> ReasonFor(const Verdict& verdict,
                                       std::chrono::year_month_day today) const;
  const std::vector<Suppression>& entries() const { return entries_; }

 private:
  std::vector<Suppression> entries_;
};

}  // namespace peermesh::ledger

#endif  // PEERMESH_METRICS_LEDGER_SUPPRESSIONS_H_
