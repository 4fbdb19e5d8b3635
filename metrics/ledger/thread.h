// A thread that is booked and named, and joined by whoever holds it.
#ifndef PEERMESH_METRICS_LEDGER_THREAD_H_
#define PEERMESH_METRICS_LEDGER_THREAD_H_

#include <functional>
#include <string>
#include <thread>
#include <utility>

#include "metrics/ledger/handle.h"

namespace peermesh::ledger {

class Thread {
 public:
  Thread() = default;
  // Runs `body` on a thread of that name (15 characters at most are kept).
  Thread(std::string name, Kind kind, const Scope& owner, std::function<void()> body,
         Site birth = Site::Here());
  Thread(Thread&&) noexcept = default;
  Thread& operator=(Thread&& other) noexcept;
  ~Thread() { Join(); }

  bool joinable() const { return thread_.joinable(); }
  std::thread::id get_id() const { return thread_.get_id(); }
  // To send it a signal.
  std::thread::native_handle_type native_handle() { return thread_.native_handle(); }
  // Waits for its end. Harmless when there is none.
  void Join();

 private:
  std::thread thread_;
  Handle handle_;
};

}  // namespace peermesh::ledger

#endif  // PEERMESH_METRICS_LEDGER_THREAD_H_
