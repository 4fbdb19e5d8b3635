// Linked into the peermesh-ca beside peermeshd_faults: an auditor, which that program lacks, for as
// long as faults are asked for. See faults.h.
#include <signal.h>

#include <cstdlib>
#include <thread>

#include "fault_print.h"
#include "metrics/ledger/auditor.h"

namespace peermesh::faults {
namespace {

void Watch() {
  ledger::Auditor auditor(ledger::Ledger::Process(), {});
  for (;;) {
    std::this_thread::sleep_for(ledger::kSweepEvery);  // lint:allow(sleep): an auditor's beat
    auditor.Sweep();
    Print("peermesh-ca", auditor.verdicts());
  }
}

// Before main: signals are for main's thread alone.
const bool watching = [] {
  if (std::getenv("PEERMESH_FAULT") == nullptr) return false;
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread(Watch).detach();
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return true;
}();

}  // namespace
}  // namespace peermesh::faults
