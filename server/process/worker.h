// A thread for jobs that take long: those that wait for the disk, or walk everything there is.
//
// Why: gRPC's threads must never wait; and one thread makes the order of the jobs that of the
// answers. At most kMaxWaiting jobs wait; what is beyond is refused to the caller at once.
//
// Thread-safe.
#ifndef PEERMESH_SERVER_PROCESS_WORKER_H_
#define PEERMESH_SERVER_PROCESS_WORKER_H_

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <string>

#include "metrics/ledger/thread.h"

namespace peermesh {

class Worker {
 public:
  // A job is some milliseconds: the last of so many has waited about as long as people do.
  static constexpr std::size_t kMaxWaiting = 256;

  // `name` of the thread: at most 15 bytes.
  explicit Worker(const std::string& name);
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

}  // namespace peermesh

#endif  // PEERMESH_SERVER_PROCESS_WORKER_H_
