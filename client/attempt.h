// What one attempt of a stream (stream.h) waits for, and how long. Internal to client/.
#ifndef PEERMESH_CLIENT_ATTEMPT_H_
#define PEERMESH_CLIENT_ATTEMPT_H_

#include <grpc/support/time.h>

#include <cstdint>

namespace peermesh::client {

enum class Operation : std::uintptr_t { kStart = 1, kRead, kWrite, kFinish, kWake };
enum class Progress : std::uint8_t { kStarting, kRunning, kFinishing, kOver };

inline void* Tag(Operation operation) { return reinterpret_cast<void*>(operation); }

// Longer than any connection needs; then the next attempt resets the back-off.
inline constexpr gpr_timespec kStartPatience = {2, 0, GPR_TIMESPAN};
// A stream that has ended gives its status at once; one that only looked so (a frame that cannot be
// parsed) never would, and is cancelled after this.
inline constexpr gpr_timespec kFinishPatience = {1, 0, GPR_TIMESPAN};

// Until when to wait for an operation.
inline gpr_timespec Patience(Progress progress) {
  const auto in = [](gpr_timespec span) {
    return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), span);
  };
  if (progress == Progress::kStarting) return in(kStartPatience);
  if (progress == Progress::kFinishing) return in(kFinishPatience);
  return gpr_inf_future(GPR_CLOCK_MONOTONIC);
}

}  // namespace peermesh::client

#endif  // PEERMESH_CLIENT_ATTEMPT_H_
