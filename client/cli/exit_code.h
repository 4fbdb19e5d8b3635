// How the command line ends: documented in --help, so that scripts may rely on it.
#ifndef PEERMESH_CLIENT_CLI_EXIT_CODE_H_
#define PEERMESH_CLIENT_CLI_EXIT_CODE_H_

#include <string_view>

#include "absl/status/status.h"

namespace peermesh::cli {

enum ExitCode : int {
  kOk = 0,
  kError = 1,
  kUsage = 2,
  kUnreachable = 3,  // no peer at the socket or address
  kDenied = 4,
  kNotFound = 5,
  kTimeout = 6,
  kUnavailable = 7,  // the peer is there but drains, is not ready, or cannot reach another
  kRateLimited = 8,
  kLeaksSuspected = 10,
  kLeaksConfirmed = 11,
  // `peermesh check` ends as plugins of Nagios do.
  kCheckWarning = 1,
  kCheckCritical = 2,
  kCheckUnknown = 3,
  kSignalled = 128,  // and more: 128 + the signal, as shells count
};

// What they mean, for --help and the manual.
struct ExitCodeText {
  std::string_view codes, meaning;
};
inline constexpr ExitCodeText kExitCodes[] = {
    {"0", "ok"},
    {"1", "error"},
    {"2", "wrong usage"},
    {"3", "cannot reach the peer"},
    {"4", "denied"},
    {"5", "not found"},
    {"6", "timeout"},
    {"7", "unavailable or draining"},
    {"8", "rate limited"},
    {"10", "leaks suspected"},
    {"11", "leaks confirmed"},
    {"128 + N", "ended by signal N: 130 ^C, 143 SIGTERM, 141 nobody reads the output any more"},
};

int ExitCodeOf(const absl::Status& status);

// Errors of the command line itself.
absl::Status UsageError(std::string_view message);
// Ends with that code; the output has said why.
absl::Status EndWith(ExitCode code);
bool IsSaid(const absl::Status& status);
// Ended by `signal` before it was complete; nothing more is said of it.
absl::Status Interrupted(int signal);

}  // namespace peermesh::cli

#endif  // PEERMESH_CLIENT_CLI_EXIT_CODE_H_
