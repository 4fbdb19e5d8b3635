// peermesh-ca: the issuing CA of a mesh, always a process of its own.
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "metrics/ledger/claims.h"
#include "metrics/ledger/fd.h"
#include "metrics/ledger/kinds.h"
#include "server/ca/bootstrap_tokens.h"
#include "server/ca/ca_server.h"
#include "server/config/config.h"
#include "server/config/logging.h"
#include "server/config/value.h"
#include "server/observe/audit.h"
#include "server/process/notify.h"
#include "server/tls/files.h"
#include "server/tls/process.h"

namespace peermesh {
namespace {

constexpr config::Logger kLog("ca");
constexpr std::chrono::minutes kRefreshInterval(60);
constexpr std::chrono::seconds kPredecessorEnds(5);  // SIGTERM takes a fraction of one
constexpr std::chrono::milliseconds kLockPoll(20);

// Exit codes, as --help documents them.
enum ExitCode {
  kOk = 0,
  kError = 1,
  kUsage = 2,
  kCannotBind = 3,
  kDirectoryUnusable = 4,
  kClock = 6
};

constexpr const char* kFooter =
    "Exit codes: 0 stopped on request; 1 error; 2 wrong usage; 3 cannot bind the port or socket;\n"
    "4 the data directory is unusable (locked, open to others, damaged, or empty without --init);\n"
    "6 the clock of this host contradicts the root certificate.\n"
    "Tokens are managed on DIR/ca.sock with `peermesh token`.\n";

struct Flags {
  std::string directory;
  std::string listen = "[::]:7444";
  std::string advertise;
  std::string lifetime = "7d";
  std::string log_level = "info";
  std::string bootstrap_directory;
  std::vector<std::string> bootstrap_peers;
  bool init = false;
  bool die_with_parent = false;
  int ready_fd = -1;
};

// /var/lib for root, else where XDG puts state.
std::string DefaultDirectory() {
  if (geteuid() == 0) return "/var/lib/peermesh-ca";
  const char* state = std::getenv("XDG_STATE_HOME");
  if (state != nullptr && state[0] == '/') return std::string(state) + "/peermesh-ca";
  const char* home = std::getenv("HOME");
  return std::string(home != nullptr ? home : ".") + "/.local/state/peermesh-ca";
}

void Declare(CLI::App& app, Flags& flags) {
  flags.directory = DefaultDirectory();
  app.footer(kFooter);
  app.set_version_flag("--version", PEERMESH_VERSION);
  app.add_option("--data-dir", flags.directory, "Root key, tokens and socket")
      ->envname("PEERMESH_CA_DATA_DIR")
      ->capture_default_str();
  app.add_option("--listen", flags.listen, "Enrolment port; port 0 takes a free one")
      ->capture_default_str();
  app.add_option("--advertise", flags.advertise,
                 "Where joiners reach it, HOST or HOST:PORT (default: the listen address)");
  app.add_option("--certificate-lifetime", flags.lifetime, "Life of a peer's certificate")
      ->capture_default_str();
  app.add_flag("--init", flags.init, "Create the CA if there is none; never overwrites one");
  app.add_flag("--die-with-parent", flags.die_with_parent, "Stop when the parent process ends");
  auto* directory =
      app.add_option("--bootstrap-tokens", flags.bootstrap_directory,
                     "At start, write NAME.token to this directory for each --bootstrap-peer that "
                     "has not joined yet")
          ->type_name("DIR");
  directory->needs(app.add_option("--bootstrap-peer", flags.bootstrap_peers,
                                  "Name of a peer that is to join by a file; repeatable")
                       ->type_name("NAME")
                       ->needs(directory));
  app.add_option("--ready-fd", flags.ready_fd,
                 "Write one JSON line to this descriptor when serving")
      ->check(CLI::Range(3, 1023));
  app.add_option("--log-level", flags.log_level, "trace, debug, info, warning or error")
      ->check(CLI::IsMember({"trace", "debug", "info", "warning", "error"}))
      ->capture_default_str();
}

int Fail(ExitCode code, const absl::Status& status) {
  config::StopLogging();
  fmt::print(stderr, "peermesh-ca: {}\n", std::string(status.message()));
  return code;
}

// One line for whoever started us. False if nobody reads it any more.
bool TellReady(int fd, const ca::CaServer& server) {
  const nlohmann::json facts = {{"port", server.port()},
                                {"address", server.address()},
                                {"socket", server.socket()},
                                {"mesh_id", server.mesh_id()}};
  const std::string line = facts.dump() + "\n";
  const bool told = write(fd, line.data(), line.size()) == static_cast<ssize_t>(line.size());
  close(fd);
  return told;
}

std::string StatusLine(const ca::CaServer& server) {
  return fmt::format("CA of mesh {}, at {}", server.mesh_id(), server.address());
}

// Until SIGTERM or SIGINT; keeps the own certificate fresh meanwhile.
absl::Status ServeUntilSignal(ca::CaServer& server, const Audit& audit, Notifier& manager) {
  sigset_t mask;
  sigemptyset(&mask);
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGUSR1}) sigaddset(&mask, number);
  const ledger::UniqueFd signals(signalfd(-1, &mask, SFD_CLOEXEC), ledger::kProcessFd,
                                 ledger::Scope{});
  if (!signals) return absl::InternalError("Signals cannot be read. Raise the open file limit.");
  const auto interval = std::chrono::milliseconds(kRefreshInterval);
  for (;;) {
    pollfd wait[] = {{signals.get(), POLLIN, 0}, {manager.due(), POLLIN, 0}};
    const int ready = poll(wait, 2, static_cast<int>(interval.count()));
    if (ready < 0 && errno != EINTR) break;
    if (!manager.Feed([&] { return Greets(server.socket(), kProofPatience); })) {
      kLog.Error("the CA does not answer itself; its service manager is not told it lives");
    }
    if (ready > 0 && wait[0].revents != 0) {
      signalfd_siginfo info{};
      if (read(signals.get(), &info, sizeof info) != sizeof info) break;
      if (info.ssi_signo == SIGUSR1) {
        audit.LogAll();
        continue;
      }
      if (info.ssi_signo != SIGHUP) break;
      manager.Reloading();
      kLog.Info(
          "nothing to reload but the own certificate: every setting is a flag and needs a restart");
      manager.Ready(StatusLine(server));
    }
    if (const absl::Status status = server.Refresh(); !status.ok()) {
      kLog.Error("own certificate not renewed", {{"error", std::string(status.message())}});
    }
  }
  return absl::OkStatus();
}

// The CA of a peer that was killed ends a moment after it; the one of its next life waits for that.
absl::StatusOr<tls::DirectoryLock> TakeLock(const Flags& flags) {
  const auto patience = flags.die_with_parent ? kPredecessorEnds : std::chrono::seconds(0);
  const auto until = std::chrono::steady_clock::now() + patience;
  for (;;) {
    auto lock = tls::DirectoryLock::Take(flags.directory, "peermesh-ca");
    const bool taken = !lock.ok() && absl::IsUnavailable(lock.status());
    if (!taken || std::chrono::steady_clock::now() >= until) return lock;
    std::this_thread::sleep_for(kLockPoll);
  }
}

int Serve(const Flags& flags, Duration lifetime, Notifier& manager) {
  if (absl::Status status = tls::EnsurePrivateDirectory(flags.directory); !status.ok()) {
    return Fail(kDirectoryUnusable, status);
  }
  const auto lock = TakeLock(flags);
  if (!lock.ok()) return Fail(kDirectoryUnusable, lock.status());
  auto server = ca::CaServer::Open({.directory = flags.directory,
                                    .create = flags.init,
                                    .listen = flags.listen,
                                    .advertise = flags.advertise,
                                    .certificate_lifetime = lifetime,
                                    .now = {}});
  if (!server.ok()) return Fail(kDirectoryUnusable, server.status());
  if (absl::Status status = (*server)->Listen(); !status.ok())
    return Fail(absl::IsOutOfRange(status) ? kClock : kCannotBind, status);
  if (!flags.bootstrap_directory.empty()) {
    const absl::Status status =
        WriteBootstrapTokens((*server)->socket(), flags.bootstrap_directory, flags.bootstrap_peers);
    if (!status.ok()) return Fail(absl::IsInvalidArgument(status) ? kUsage : kError, status);
  }
  Audit audit(nullptr);
  if (absl::Status status = audit.Start(flags.directory + "/suppressions"); !status.ok())
    return Fail(kUsage, status);
  kLog.Info("serving", {{"mesh", (*server)->mesh_id()},
                        {"address", (*server)->address()},
                        {"socket", (*server)->socket()}});
  // The parent may have died before prctl could notice: then nobody reads what we say.
  if (flags.ready_fd >= 0 && !TellReady(flags.ready_fd, **server) && flags.die_with_parent) {
    return Fail(kError, absl::CancelledError("The parent process is gone. Start it again."));
  }
  manager.Ready(StatusLine(**server));
  const absl::Status status = ServeUntilSignal(**server, audit, manager);
  manager.Stopping(ca::kStopTime);
  (*server)->Stop();
  audit.Stop();
  audit.LogResidue();
  if (!status.ok()) return Fail(kError, status);
  kLog.Info("stopped");
  config::StopLogging();
  return kOk;
}

int Main(int argc, char** argv) {
  const absl::Status ready = tls::InitProcess(tls::Signals::kBlock);
  if (!ready.ok()) return Fail(kError, ready);
  Notifier manager = Notifier::FromEnvironment();
  Flags flags;
  CLI::App app("Issuing CA of a PeerMesh: enrols peers by token and renews their certificates.",
               "peermesh-ca");
  Declare(app, flags);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kOk : kUsage;
  }
  const auto lifetime = config::ParseDuration(flags.lifetime);
  if (!lifetime.ok() || *lifetime < config::kMinCertificateLifetime ||
      *lifetime > config::kMaxCertificateLifetime) {
    return Fail(kUsage,
                absl::InvalidArgumentError(
                    "--certificate-lifetime is not between 1s and 365d. Give for example 7d."));
  }
  umask(077);
  const rlimit no_core{0, 0};  // a core dump would hold the root key
  setrlimit(RLIMIT_CORE, &no_core);
  if (flags.die_with_parent) prctl(PR_SET_PDEATHSIG, SIGTERM);
  const bool terminal = isatty(STDERR_FILENO) == 1;
  config::StartLogging(config::ParseLevel(flags.log_level).value_or(config::Level::kInfo),
                       terminal ? config::Format::kText : config::Format::kJson);
  tls::SetGrpcLogSink([](tls::GrpcSeverity severity, std::string_view, int, std::string_view text) {
    // Handshakes that fail are the network's weather; our verifier counts those that matter.
    if (severity == tls::GrpcSeverity::kError) kLog.Debug("grpc", {{"text", text}});
  });
  return Serve(flags, *lifetime, manager);
}

}  // namespace
}  // namespace peermesh

int main(int argc, char** argv) {
  peermesh::ledger::ClaimThread();
  return peermesh::Main(argc, argv);
}
