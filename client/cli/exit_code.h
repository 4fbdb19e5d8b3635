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
  kInterrupted = 130,  // 128 + SIGINT, as shells count
};

// The text for --help.
inline constexpr std::string_view kExitCodes =
    "Exit codes: 0 ok, 1 error, 2 usage, 3 cannot reach the peer, 4 denied, 5 not found, 6 "
    "timeout,\n"
    "7 unavailable or draining, 8 rate limited, 130 interrupted.";

ExitCode ExitCodeOf(const absl::Status& status);

// Errors of the command line itself.
absl::Status UsageError(std::string_view message);
absl::Status Interrupted();

}  // namespace peermesh::cli

#endif  // PEERMESH_CLIENT_CLI_EXIT_CODE_H_
