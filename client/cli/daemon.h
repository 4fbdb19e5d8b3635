// peermeshd as a child: the command line has no parser of configurations, and asks the program that
// has (docs/cli.md).
#ifndef PEERMESH_CLIENT_CLI_DAEMON_H_
#define PEERMESH_CLIENT_CLI_DAEMON_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace peermesh::cli {

inline constexpr char kDaemon[] = "peermeshd";

// Beside this program when it is there, so that a build tree and an unpacked archive work; else on
// PATH.
std::string FindDaemon();
// That it cannot be started, for the reason in errno.
absl::Status CannotStart(const std::string& daemon);

struct DaemonRun {
  std::vector<std::string> arguments;
  std::optional<std::vector<std::string>> environment;  // unset: that of this process
  std::string directory;                                // empty: that of this process
};
// Runs it to its end and returns what it printed. What it complains of is the error,
// INVALID_ARGUMENT if it ended with 2; "peermeshd: " is taken off.
absl::StatusOr<std::string> RunDaemon(DaemonRun run);

}  // namespace peermesh::cli

#endif  // PEERMESH_CLIENT_CLI_DAEMON_H_
