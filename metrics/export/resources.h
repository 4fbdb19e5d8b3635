// The ledger for Prometheus: one walk a scrape, so that acquired - released = live holds on every
// page. No site, peer or scope is a label: they are in the verdicts.
#ifndef PEERMESH_METRICS_EXPORT_RESOURCES_H_
#define PEERMESH_METRICS_EXPORT_RESOURCES_H_

#include <cstddef>

#include "metrics/export/page.h"
#include "metrics/ledger/auditor.h"

namespace peermesh::metrics {

// Six figures, five outcomes, and a histogram of eight buckets with its sum and count.
inline constexpr std::size_t kSeriesPerKind = 21;
// As many series whatever is live: so many for each kind, and 3 for each of its rules.
void CollectResources(const ledger::Snapshot& snapshot, ledger::Level level, Page& page);

}  // namespace peermesh::metrics

#endif  // PEERMESH_METRICS_EXPORT_RESOURCES_H_
