// What this folder books in the ledger, and how each may live. Sockets and threads are the HTTP
// library's own: a fixed number of threads, and of sockets no more than requests.
#ifndef PEERMESH_METRICS_EXPORT_KINDS_H_
#define PEERMESH_METRICS_EXPORT_KINDS_H_

#include "metrics/export/exporter.h"
#include "metrics/ledger/kinds.h"

namespace peermesh::metrics {

// It has arrived; a page is made, at most after those of all other threads, and sent. Either way
// nobody waits longer than kRequestTimeout for a page.
inline const ledger::Kind kHttpRequest = ledger::Ledger::Process().Register(
    ledger::ShortLived("http_request", (kThreads + 1) * kRequestTimeout));

}  // namespace peermesh::metrics

#endif  // PEERMESH_METRICS_EXPORT_KINDS_H_
