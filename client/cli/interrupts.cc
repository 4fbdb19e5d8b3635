#include "client/cli/interrupts.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <utility>

#include "metrics/ledger/kinds.h"

namespace peermesh::cli {
namespace {

// `timeout` signals a program and then its group: what comes together is one signal.
constexpr timespec kTogether{.tv_sec = 0, .tv_nsec = 50'000'000};

}  // namespace

Interrupts::Interrupts()
    : thread_("pm-signals", ledger::kThread, ledger::Scope{}, [this] { Run(); }) {}

Interrupts::~Interrupts() {
  closing_ = true;
  pthread_kill(thread_.native_handle(), SIGTERM);
  thread_.Join();
}

void Interrupts::SetAction(std::function<void()> action) {
  const std::lock_guard lock(mutex_);
  action_ = std::move(action);
}

void Interrupts::Run() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals, number);
  for (;;) {
    int number = 0;
    if (sigwait(&signals, &number) != 0 || closing_) return;
    {
      const std::lock_guard lock(mutex_);
      if (!action_ || signal_ != 0) _exit(128 + number);
      signal_ = number;
      action_();
    }
    sigtimedwait(&signals, nullptr, &kTogether);
    if (closing_) return;
  }
}

}  // namespace peermesh::cli
