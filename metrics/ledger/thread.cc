#include "metrics/ledger/thread.h"

#include <pthread.h>

#include "metrics/ledger/claims.h"

namespace peermesh::ledger {

Thread::Thread(std::string name, Kind kind, const Scope& owner, std::function<void()> body,
               Site birth)
    : handle_(Ledger::Process(), kind, owner, 1, birth) {
  thread_ = std::thread([name = std::move(name), body = std::move(body)] {
    ::pthread_setname_np(::pthread_self(), name.substr(0, 15).c_str());
    ClaimThread();
    body();
    UnclaimThread();
  });
}

Thread& Thread::operator=(Thread&& other) noexcept {
  Join();
  thread_ = std::move(other.thread_);
  handle_ = std::move(other.handle_);
  return *this;
}

void Thread::Join() {
  if (thread_.joinable()) thread_.join();
  handle_.End();
}

}  // namespace peermesh::ledger
