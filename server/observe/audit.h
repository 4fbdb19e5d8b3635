// The auditor at work: sweeps the ledger of this process every two seconds, on a thread of its own,
// and writes to the log what it confirms and clears. Compares it with the kernel and with gRPC.
//
// Thread-safe, but for Start and Stop, which belong to main.
#ifndef PEERMESH_SERVER_OBSERVE_AUDIT_H_
#define PEERMESH_SERVER_OBSERVE_AUDIT_H_

#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>

#include "metrics/ledger/auditor.h"
#include "metrics/ledger/thread.h"
#include "server/observe/grpc_books.h"

namespace peermesh {

class Audit {
 public:
  // `rpcs`: what else is counted twice, see ledger::Sources; may be null.
  explicit Audit(std::function<std::vector<ledger::RpcCounts>()> rpcs);
  ~Audit() { Stop(); }
  Audit(const Audit&) = delete;
  Audit& operator=(const Audit&) = delete;

  // `suppressions`: a file, see ledger::Suppressions; none if it is empty or missing. An error says
  // which line is wrong.
  absl::Status Start(const std::string& suppressions);
  void Stop();
  // All verdicts, to the log: SIGUSR1.
  void LogAll() const;
  // After everything has ended: what is still there.
  void LogResidue();

  const ledger::Auditor& auditor() const { return auditor_; }

 private:
  void Run();
  void LogChanges();

  GrpcBooks grpc_;  // for the sweep alone
  ledger::Auditor auditor_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::map<std::uint64_t, ledger::State> logged_;  // by number, those the auditor still knows
  ledger::Thread thread_;
};

}  // namespace peermesh

#endif  // PEERMESH_SERVER_OBSERVE_AUDIT_H_
