#include "metrics/export/resources.h"

#include <array>

namespace peermesh::metrics {
namespace {

constexpr std::array<double, ledger::kAgeBounds.size()> kAgeSeconds = [] {
  std::array<double, ledger::kAgeBounds.size()> seconds{};
  for (std::size_t i = 0; i < seconds.size(); ++i)
    seconds[i] = static_cast<double>(ledger::kAgeBounds[i]) / 1000;
  return seconds;
}();

double Seconds(ledger::Duration duration) { return static_cast<double>(duration.count()) / 1000; }

void CollectKinds(const ledger::Snapshot& snapshot, Page& page) {
  auto live = page.Gauge("peermesh_resource_live", "Resources that exist, counted one by one.");
  auto acquired = page.Counter("peermesh_resource_acquired_total", "Resources acquired.");
  auto released =
      page.Counter("peermesh_resource_released_total", "Resources released, by how they ended.");
  auto amount = page.Gauge("peermesh_resource_amount",
                           "What the live ones hold, in the unit of their kind: mostly 1 each.");
  auto limit = page.Gauge("peermesh_resource_limit", "How many are meant to exist; 0: any number.");
  auto oldest = page.Gauge("peermesh_resource_oldest_age_seconds", "Age of the oldest live one.");
  auto idle = page.Gauge("peermesh_resource_idle_max_seconds",
                         "Time since the longest unused live one was used.");
  auto ages = page.Histogram("peermesh_resource_age_seconds", "Ages at release.", kAgeSeconds);
  for (const ledger::KindView& view : snapshot.kinds) {
    const char* kind = view.spec.name;
    live.Add({{"kind", kind}}, static_cast<double>(view.live));
    acquired.Add({{"kind", kind}}, static_cast<double>(view.counts.acquired));
    for (std::size_t i = 0; i < ledger::kOutcomes; ++i) {
      released.Add({{"kind", kind}, {"outcome", ToString(static_cast<ledger::Outcome>(i))}},
                   static_cast<double>(view.counts.released[i]));
    }
    amount.Add({{"kind", kind}}, static_cast<double>(view.counts.amount));
    limit.Add({{"kind", kind}}, static_cast<double>(view.spec.soft_limit));
    oldest.Add({{"kind", kind}}, Seconds(view.oldest));
    idle.Add({{"kind", kind}}, Seconds(view.longest_idle));
    ages.Add({{"kind", kind}}, view.counts.ages,
             static_cast<double>(view.counts.age_sum_ms) / 1000);
  }
}

void CollectVerdicts(const ledger::Snapshot& snapshot, Page& page) {
  auto suspects = page.Gauge("peermesh_resource_leak_suspects",
                             "Resources in confirmed verdicts that nobody suppressed.");
  auto confirmed =
      page.Counter("peermesh_resource_leaks_confirmed_total", "Verdicts confirmed by two sweeps.");
  auto cleared = page.Counter("peermesh_resource_leaks_cleared_total",
                              "Confirmed verdicts whose suspects were used or released after all.");
  for (const ledger::RuleView& view : snapshot.rules) {
    const char* rule = ToString(view.rule);
    suspects.Add({{"kind", view.kind}, {"rule", rule}, {"tier", ToString(TierOf(view.rule))}},
                 static_cast<double>(view.suspects));
    confirmed.Add({{"kind", view.kind}, {"rule", rule}}, static_cast<double>(view.confirmed));
    cleared.Add({{"kind", view.kind}, {"rule", rule}}, static_cast<double>(view.cleared));
  }
  page.Counter("peermesh_resource_violations_total",
               "Releases of what was not held, and descriptors closed by somebody else.")
      .Add(static_cast<double>(snapshot.violations));
}

}  // namespace

void CollectResources(const ledger::Snapshot& snapshot, ledger::Level level, Page& page) {
  CollectKinds(snapshot, page);
  CollectVerdicts(snapshot, page);
  auto unclaimed = page.Gauge("peermesh_resource_unclaimed",
                              "Descriptors and threads the kernel knows and the ledger does not.");
  auto baseline = page.Gauge("peermesh_resource_unclaimed_baseline",
                             "How many of them were there in the first ten minutes.");
  for (const auto& [name, count] : snapshot.unclaimed)
    unclaimed.Add({{"class", name}}, static_cast<double>(count));
  for (const auto& [name, count] : snapshot.baseline)
    baseline.Add({{"class", name}}, static_cast<double>(count));
  page.Gauge("peermesh_ledger_sweep_duration_seconds", "Time the last sweep took.")
      .Add(static_cast<double>(snapshot.last_sweep.count()) / 1e6);
  page.Counter("peermesh_ledger_sweeps_total", "Sweeps of the auditor.")
      .Add(static_cast<double>(snapshot.sweeps));
  page.Gauge("peermesh_ledger_level", "What is remembered: 0 off, 1 track, 2 stacks, 3 paranoid.")
      .Add(static_cast<double>(level));
}

}  // namespace peermesh::metrics
