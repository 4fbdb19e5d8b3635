// ^C and SIGTERM, taken by a thread and never in a handler.
//
// Without an action the process ends at once with 128 + the signal. With one, the first signal runs
// it, so that a command can finish in good order; a second signal ends the process. The signals
// must be blocked in all threads before (tls::InitProcess with Signals::kBlock).
#ifndef PEERMESH_CLIENT_CLI_INTERRUPTS_H_
#define PEERMESH_CLIENT_CLI_INTERRUPTS_H_

#include <atomic>
#include <functional>
#include <mutex>

#include "metrics/ledger/thread.h"

namespace peermesh::cli {

class Interrupts {
 public:
  Interrupts();
  ~Interrupts();
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;

  // `action` runs on the thread of this object. Pass an empty one to take it back before what it
  // uses is gone: when this returns, the action before is not running and will not.
  void SetAction(std::function<void()> action);

  // The first signal taken; 0: none.
  int signal() const { return signal_; }

 private:
  void Run();

  std::atomic<int> signal_ = 0;
  std::atomic<bool> closing_ = false;
  std::mutex mutex_;
  std::function<void()> action_;
  ledger::Thread thread_;
};

}  // namespace peermesh::cli

#endif  // PEERMESH_CLIENT_CLI_INTERRUPTS_H_
