// What every Prometheus client says about its process, and what this one was built from.
//
// Source of the names: Prometheus' guide for client libraries, "process metrics". What the system
// does not tell is left out, because a wrong value is worse than none. Thread-safe.
#ifndef PEERMESH_METRICS_EXPORT_PROCESS_H_
#define PEERMESH_METRICS_EXPORT_PROCESS_H_

#include <string>

#include "metrics/export/page.h"

namespace peermesh::metrics {

// process_*: CPU time, memory, file descriptors, threads, start. Reads /proc/self.
void CollectProcess(Page& page);

// peermesh_heap_bytes{state}: the allocator's own books, which tell memory that is in use from
// memory that was and is kept. The sum is what it has from the kernel. glibc walks its free lists
// for it, some microseconds for a heap of ours.
void CollectHeap(Page& page);

struct Build {
  std::string version;
  std::string grpc_version;  // of the library in use, which this folder does not see
};

// peermesh_build_info, always 1.
void CollectBuild(const Build& build, Page& page);

}  // namespace peermesh::metrics

#endif  // PEERMESH_METRICS_EXPORT_PROCESS_H_
