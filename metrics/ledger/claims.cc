#include "metrics/ledger/claims.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <mutex>
#include <set>

namespace peermesh::ledger {
namespace {

std::array<std::atomic<std::uint64_t>, kTagged> tags{};

struct Threads {
  std::mutex mutex;
  std::set<int> ids;
};
Threads& ClaimedThreads() {
  static auto* const threads = new Threads;  // threads may end after main
  return *threads;
}

bool HasTag(int fd) { return fd >= 0 && fd < kTagged; }

}  // namespace

std::uint64_t Claim(int fd, std::uint64_t claim) {
  return HasTag(fd) ? tags[static_cast<std::size_t>(fd)].exchange(claim) : 0;
}

bool Unclaim(int fd, std::uint64_t claim) {
  return !HasTag(fd) || tags[static_cast<std::size_t>(fd)].compare_exchange_strong(claim, 0);
}

std::uint64_t ClaimOf(int fd) { return HasTag(fd) ? tags[static_cast<std::size_t>(fd)].load() : 0; }

void ClaimThread() {
  const std::lock_guard lock(ClaimedThreads().mutex);
  ClaimedThreads().ids.insert(::gettid());
}

void UnclaimThread() {
  const std::lock_guard lock(ClaimedThreads().mutex);
  ClaimedThreads().ids.erase(::gettid());
}

bool IsThreadClaimed(int tid) {
  const std::lock_guard lock(ClaimedThreads().mutex);
  return ClaimedThreads().ids.contains(tid);
}

}  // namespace peermesh::ledger
