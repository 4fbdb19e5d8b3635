// Kinds that every folder uses; what only one of them makes has its kind there (its kinds.h).
#ifndef PEERMESH_METRICS_LEDGER_KINDS_H_
#define PEERMESH_METRICS_LEDGER_KINDS_H_

#include "metrics/ledger/ledger.h"

namespace peermesh::ledger {

// Few, named, and joined by whoever made them.
inline const Kind kThread = Ledger::Process().Register(ForProcess("thread"));
// A descriptor that goes with a part of the process: an epoll set, an eventfd, a signalfd, a pidfd.
inline const Kind kProcessFd = Ledger::Process().Register(ForProcess("fd_process"));
// One for a question to the system or to another process. The longest of these waits is for a CA
// that starts (10 s); three times that: guess.
inline const Kind kBriefFd =
    Ledger::Process().Register(ShortLived("fd_brief", std::chrono::seconds(30)));

}  // namespace peermesh::ledger

#endif  // PEERMESH_METRICS_LEDGER_KINDS_H_
