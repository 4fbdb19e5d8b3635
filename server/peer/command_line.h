// The command line of peermeshd: flags, what they ask for, and the exit codes that --help promises.
//
// A flag that stands for a setting only notes path and value; server/config gives both a meaning,
// so that a flag, a variable and a line of the file cannot differ in what they take.
//
// From main's thread.
#ifndef PEERMESH_SERVER_PEER_COMMAND_LINE_H_
#define PEERMESH_SERVER_PEER_COMMAND_LINE_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "server/config/config.h"

namespace peermesh {

// As kExitCodes in command_line.cc explains them and docs/operations.md lists them.
enum ExitCode : int {
  kOk = 0,
  kError = 1,
  kUsage = 2,
  kCannotListen = 3,
  kDataDirectory = 4,
  kNotEnrolled = 5,
  kClock = 6,
};

struct CommandLine {
  enum class Purpose { kServe, kCheckConfig, kShowConfig };
  std::vector<config::Setting> settings;
  std::string config_file, join;
  Purpose purpose = Purpose::kServe;
  bool create = false;
  int ready_fd = -1;
};

// A number: exit with it; what there is to say is said.
std::optional<int> ParseCommandLine(int argc, char** argv, CommandLine& line);

// Where the configuration of this process comes from: file, variables, flags.
config::Sources SourcesOf(const CommandLine& line);

// Says on standard error what is wrong, and returns the code.
int Fail(int code, const absl::Status& status);
// The code as Peer::Start and ChildCa::Start tell what failed.
int Fail(const absl::Status& status);

}  // namespace peermesh

#endif  // PEERMESH_SERVER_PEER_COMMAND_LINE_H_
