// Verdicts, listings and kernel readings as JSON: the debug pages with ?format=json, `peermesh
// leaks dump`, SIGUSR1. Every document names its schema.
#ifndef PEERMESH_METRICS_EXPORT_REPORT_H_
#define PEERMESH_METRICS_EXPORT_REPORT_H_

#include <string>
#include <vector>

#include "metrics/ledger/auditor.h"
#include "metrics/ledger/kernel.h"
#include "metrics/ledger/listing.h"

namespace peermesh::metrics {

// {"schema": "peermesh.debug.resources.v1", "kinds": [...], "verdicts": [...], "descriptors":
// {...}}
std::string ResourcesJson(const ledger::Snapshot& snapshot,
                          const std::vector<ledger::Verdict>& verdicts, ledger::Time now);
// {"schema": "peermesh.debug.listing.v1", ...}
std::string ListingJson(const ledger::Listing& listing, const ledger::ListingOptions& options);
// {"schema": "peermesh.debug.fds.v1", ...}, {"schema": "peermesh.debug.threads.v1", ...}
std::string DescriptorsJson(const ledger::KernelReading& reading);
std::string ThreadsJson(const ledger::KernelReading& reading);

}  // namespace peermesh::metrics

#endif  // PEERMESH_METRICS_EXPORT_REPORT_H_
