// Pages for people: what the process holds, whose it is, and what looks like a leak.
//
//   /debug/resources                   verdicts, then every kind
//   /debug/resources?by=peer           live ones, grouped by kind, peer, site, scope or each
//     &older=300&kind=timer            at least so many seconds old, of one kind
//   /debug/fds  /debug/threads         what the kernel says, and what of it nobody claims
//   ?format=json                       the same for programs (report.h)
//
// HTML without scripts (html.h). Whatever a peer or an application chose is escaped.
#ifndef PEERMESH_METRICS_EXPORT_DEBUG_PAGES_H_
#define PEERMESH_METRICS_EXPORT_DEBUG_PAGES_H_

#include <string>
#include <string_view>
#include <vector>

#include "metrics/export/exporter.h"
#include "metrics/ledger/auditor.h"
#include "metrics/ledger/kernel.h"
#include "metrics/ledger/listing.h"

namespace peermesh::metrics {

// Adds the pages above. `title` names the process: "PeerMesh peer alpha". All outlive the exporter.
void AddDebugPages(Exporter& exporter, const ledger::Ledger& ledger, const ledger::Auditor& auditor,
                   std::string title);

std::string ResourcesHtml(const ledger::Snapshot& snapshot,
                          const std::vector<ledger::Verdict>& verdicts, ledger::Time now,
                          std::string_view title);
std::string ListingHtml(const ledger::Listing& listing, const ledger::ListingOptions& options,
                        std::string_view title);
std::string DescriptorsHtml(const ledger::KernelReading& reading, std::string_view title);
std::string ThreadsHtml(const ledger::KernelReading& reading, std::string_view title);

}  // namespace peermesh::metrics

#endif  // PEERMESH_METRICS_EXPORT_DEBUG_PAGES_H_
