// AdminService: what an operator asks of the peer. Unary calls; whoever wires the peer answers
// them.
//
// Thread-safe.
#ifndef PEERMESH_SERVER_API_ADMIN_SERVICE_H_
#define PEERMESH_SERVER_API_ADMIN_SERVICE_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "mesh/base/time.h"
#include "metrics/ledger/auditor.h"
#include "server/link/stream.h"
#include "server/process/worker.h"

namespace peermesh::api {

// The longest anybody's orchestrator waits.
inline constexpr Duration kMaxDrain = std::chrono::minutes(5);

class AdminService {
 public:
  // Takes a serialised ReloadResponse, or why nothing has changed: UNAVAILABLE if the peer leaves.
  using OnReloaded = std::function<void(absl::StatusOr<std::string>)>;
  struct Hooks {
    // Called with where to put a serialised GetStatusResponse, now or later, on any thread.
    std::function<void(std::function<void(std::string)>)> status;
    // Begins a drain that lasts at most so long; unset: the configured time.
    std::function<void(std::optional<Duration>)> drain;
    // Reads the configuration again; answers once, now or later, on any thread.
    std::function<void(OnReloaded)> reload;
    // Of this process; outlive the service.
    ledger::Ledger* ledger = nullptr;
    const ledger::Auditor* auditor = nullptr;
  };
  explicit AdminService(Hooks hooks) : hooks_(std::move(hooks)) {}

  void Take(const std::shared_ptr<link::Stream>& stream);

 private:
  class Call;
  const Hooks hooks_;
  Worker worker_{"pm-admin"};
};

}  // namespace peermesh::api

#endif  // PEERMESH_SERVER_API_ADMIN_SERVICE_H_
