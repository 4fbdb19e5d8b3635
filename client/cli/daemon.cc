#include "client/cli/daemon.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string_view>

#include "client/cli/exit_code.h"
#include "client/cli/lines.h"
#include "client/errors.h"
#include "metrics/ledger/fd.h"
#include "metrics/ledger/kinds.h"

namespace peermesh::cli {
namespace {

struct Pipe {
  ledger::UniqueFd read, write;

  bool Open() {
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC) != 0) return false;
    read = ledger::UniqueFd(ends[0], ledger::kBriefFd, ledger::Scope{});
    write = ledger::UniqueFd(ends[1], ledger::kBriefFd, ledger::Scope{});
    return true;
  }
};

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (std::string& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

// Starts it as a shell would: with signals as we were given them, without our descriptors.
int Spawn(const std::string& daemon, DaemonRun& run, int out, int err, pid_t& pid) {
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&files, err, STDERR_FILENO);
  if (!run.directory.empty()) posix_spawn_file_actions_addchdir_np(&files, run.directory.c_str());
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none, pipe;
  sigemptyset(&none);
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &pipe);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  run.arguments.insert(run.arguments.begin(), kDaemon);
  std::vector<char*> arguments = Pointers(run.arguments), environment;
  if (run.environment) environment = Pointers(*run.environment);
  const int error = posix_spawnp(&pid, daemon.c_str(), &files, &attributes, arguments.data(),
                                 run.environment ? environment.data() : environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  return error;
}

// Both until their ends: neither may fill up while the other is read.
void Drain(int out, int err, std::string& out_text, std::string& err_text) {
  std::array<pollfd, 2> ends = {pollfd{out, POLLIN, 0}, pollfd{err, POLLIN, 0}};
  std::string bytes;
  while (ends[0].fd >= 0 || ends[1].fd >= 0) {
    if (poll(ends.data(), ends.size(), -1) < 0 && errno != EINTR) return;
    for (pollfd& end : ends) {
      if (end.fd < 0 || end.revents == 0) continue;
      const auto more = ReadSome(end.fd, bytes);
      if (more.ok() && *more) {
        (end.fd == out ? out_text : err_text) += bytes;
      } else {
        end.fd = -1;
      }
    }
  }
}

std::string WithoutName(std::string text) {
  constexpr std::string_view kName = "peermeshd: ";
  while (!text.empty() && text.back() == '\n') text.pop_back();
  if (text.starts_with(kName)) text.erase(0, kName.size());
  return text;
}

}  // namespace

std::string FindDaemon() {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  if (!error) {
    const std::string beside = self.parent_path() / kDaemon;
    if (access(beside.c_str(), X_OK) == 0) return beside;
  }
  return kDaemon;
}

absl::Status CannotStart(const std::string& daemon) {
  return absl::InternalError(
      fmt::format("{} cannot be started: {}. Install it beside peermesh, or on PATH.", daemon,
                  std::strerror(errno)));
}

absl::StatusOr<std::string> RunDaemon(DaemonRun run) {
  const std::string daemon = FindDaemon();
  Pipe out, err;
  if (!out.Open() || !err.Open()) return CannotStart(daemon);
  pid_t pid = 0;
  errno = Spawn(daemon, run, out.write.get(), err.write.get(), pid);
  if (errno != 0) return CannotStart(daemon);
  out.write = {};
  err.write = {};
  std::string out_text, err_text;
  Drain(out.read.get(), err.read.get(), out_text, err_text);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return out_text;
  if (WIFEXITED(status) && WEXITSTATUS(status) == kUsage) {
    return client::MakeError(absl::StatusCode::kInvalidArgument, "BAD_CONFIG",
                             WithoutName(std::move(err_text)));
  }
  return absl::InternalError(
      fmt::format("peermeshd ended with status {}: {}", status, WithoutName(std::move(err_text))));
}

}  // namespace peermesh::cli
