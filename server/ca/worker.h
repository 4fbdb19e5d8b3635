// The one thread on which the CA signs and writes.
//
// Why: a commit waits for the disk, and gRPC's threads must never wait; and one thread makes the
// store's order the order of the answers. At most kMaxWaiting jobs wait; what is beyond is refused
// to the caller at once.
//
// Thread-safe.
#ifndef PEERMESH_SERVER_CA_WORKER_H_
#define PEERMESH_SERVER_CA_WORKER_H_

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>

#include "metrics/ledger/thread.h"

namespace peermesh::ca {

class Worker {
 public:
  // A job is some milliseconds: the last of so many has waited about as long as people do.
  static constexpr std::size_t kMaxWaiting = 256;

  Worker();
  // Finishes what waits.
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // False if too many wait already.
  [[nodiscard]] bool Post(std::function<void()> job);

 private:
  void Run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> jobs_;
  bool stopping_ = false;
  ledger::Thread thread_;
};

}  // namespace peermesh::ca

#endif  // PEERMESH_SERVER_CA_WORKER_H_
