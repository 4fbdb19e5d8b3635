// Which descriptors and threads of the process are whose: the owner tags of UniqueFd and of tracked
// threads.
//
// Lock-free for descriptors below kTagged; higher ones have no tag and count as unclaimed, which a
// learnt baseline absorbs. Thread-safe.
#ifndef PEERMESH_METRICS_LEDGER_CLAIMS_H_
#define PEERMESH_METRICS_LEDGER_CLAIMS_H_

#include <cstdint>

namespace peermesh::ledger {

inline constexpr int kTagged = 1 << 16;  // 512 kB of address space, a page for every 512 in use

// From now on `fd` belongs to `claim` (an entry's id). Returns whose it was: not 0 if somebody
// closed it behind its owner's back and the kernel gave the number away again.
std::uint64_t Claim(int fd, std::uint64_t claim);
// Gives up a claim. False if it is not that one's any more.
bool Unclaim(int fd, std::uint64_t claim);
std::uint64_t ClaimOf(int fd);

// Of the calling thread.
void ClaimThread();
void UnclaimThread();
bool IsThreadClaimed(int tid);

}  // namespace peermesh::ledger

#endif  // PEERMESH_METRICS_LEDGER_CLAIMS_H_
