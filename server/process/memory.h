// How the process treats its memory.
#ifndef PEERMESH_SERVER_PROCESS_MEMORY_H_
#define PEERMESH_SERVER_PROCESS_MEMORY_H_

namespace peermesh {

// Before the first large allocation: glibc keeps what messages need instead of returning it between
// them (15 to 30 % of the throughput of a chain of peers), and makes two arenas, not eight for each
// core.
void TuneAllocator();

// Unmaps code that start-up has run and steady work does not: 14 of the 27 MB resident after start
// are pages of shared libraries touched once. What is needed again is mapped again from the page
// cache by a minor fault; only executable mappings are touched, which are never written. Once, when
// the peer has settled.
void ReleaseStartUpCode();

}  // namespace peermesh

#endif  // PEERMESH_SERVER_PROCESS_MEMORY_H_
