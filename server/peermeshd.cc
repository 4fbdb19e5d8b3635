// peermeshd: the peer. Flags, the order of things, signals, exit codes.
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "metrics/ledger/claims.h"
#include "metrics/ledger/fd.h"
#include "metrics/ledger/kinds.h"
#include "nlohmann/json.hpp"
#include "server/child_ca.h"
#include "server/config/config.h"
#include "server/config/logging.h"
#include "server/enrolment.h"
#include "server/listening.h"
#include "server/memory.h"
#include "server/net/hosts.h"
#include "server/notify.h"
#include "server/peer.h"
#include "server/tls/files.h"
#include "server/tls/process.h"

namespace peermesh {
namespace {

constexpr config::Logger kLog("peermeshd");

enum ExitCode : int {
  kOk = 0,
  kError = 1,
  kUsage = 2,
  kCannotListen = 3,
  kDataDirectory = 4,
  kNotEnrolled = 5,
};

// What ends after the drain: calls under way, links, the CA beside this peer.
constexpr Duration kStopSlack = std::chrono::seconds(10);

constexpr const char* kExitCodes =
    "Exit codes: 0 stopped in good order, 1 error, 2 wrong flags or configuration, 3 an address\n"
    "or socket cannot be listened on, 4 the data directory cannot be used, 5 not enrolled or\n"
    "enrolment failed.";

struct Flags {
  std::vector<config::Setting> settings;
  std::string config_file, join;
  std::string name;  // wherever it was written; empty if nowhere
  bool create = false;
  int ready_fd = -1;
};

std::string_view View(const absl::Status& status) {
  return {status.message().data(), status.message().size()};
}

int Fail(int code, const absl::Status& status) {
  std::cerr << "peermeshd: " << View(status) << "\n";
  return code;
}

// As Peer::Start and ChildCa::Start tell what failed.
int Fail(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnavailable: return Fail(kCannotListen, status);
    case absl::StatusCode::kDataLoss: return Fail(kDataDirectory, status);
    default: return Fail(kError, status);
  }
}

// Parses the command line. A number: exit with it.
std::optional<int> Parse(int argc, char** argv, Flags& flags) {
  CLI::App app("peermeshd: a peer of a PeerMesh. `peermesh up` starts it with the same flags.",
               "peermeshd");
  app.set_version_flag("--version", std::string("peermeshd ") + PEERMESH_VERSION);
  app.footer(kExitCodes);
  const auto setting = [&](const char* flag, const char* path, const char* help) {
    app.add_option_function<std::string>(
        flag,
        [&flags, path](const std::string& value) {
          flags.settings.push_back({path, value});
        },
        help);
  };
  const auto list = [&](const char* flag, const char* path, const char* help) {
    app.add_option_function<std::vector<std::string>>(
        flag,
        [&flags, path](const std::vector<std::string>& values) {
          flags.settings.push_back({path, fmt::format("{}", fmt::join(values, ","))});
        },
        help);
  };
  setting("--name", "name", "name of the peer: a DNS label (default: the host's name)");
  setting("--data-dir", "data_dir", "directory for keys and state");
  setting("--run-dir", "run_dir", "directory for sockets");
  setting("--listen", "listen", "address of the mesh port (default [::]:7443)");
  list("--advertise", "advertise", "address told to other peers; repeatable");
  list("--seed", "seeds", "peer to dial first, host:port; repeatable");
  setting("--metrics", "metrics.listen", "address of /metrics, or off (default 127.0.0.1:9464)");
  setting("--ca-listen", "ca.listen",
          "address of the CA run beside this peer (default: the host of --listen, port 7444)");
  setting("--certificate-lifetime", "ca.certificate_lifetime",
          "life of certificates that CA issues (default 7 days)");
  setting("--log-level", "log.level", "trace, debug, info, warning, error");
  setting("--log-format", "log.format", "text or json");
  setting("--journal", "journal",
          "file that records what the mesh controller is told, payloads left out (default: none)");
  app.add_option("--config", flags.config_file, "configuration file (YAML)");
  app.add_option("--join", flags.join,
                 "file with a join token, or - for standard input; or set PEERMESH_JOIN");
  app.add_flag("--create", flags.create, "make a new mesh if this peer is in none");
  app.add_option("--ready-fd", flags.ready_fd,
                 "write one line of JSON to this descriptor when ready");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? kOk : kUsage;
  }
  if (flags.create && (!flags.join.empty() || HasJoinVariable())) {
    return Fail(kUsage, absl::InvalidArgumentError(
                            "--create makes a mesh and a token joins one; leave out --create, or "
                            "--join and PEERMESH_JOIN"));
  }
  return std::nullopt;
}

// Names and addresses ordinary gRPC clients will use for this peer.
std::vector<std::string> HostsOf(const config::v1::Config& config) {
  std::vector<std::string> hosts = {"localhost", "127.0.0.1", "::1"};
  const auto add = [&](const std::string& text) {
    const auto parsed = net::ParseHostPort(text, 1);
    if (!parsed.ok() || net::IsWildcard(parsed->host)) return;
    if (std::find(hosts.begin(), hosts.end(), parsed->host) == hosts.end())
      hosts.push_back(parsed->host);
  };
  add(config.listen());
  for (const std::string& address : config.advertise()) add(address);
  if (config.advertise().empty()) {
    for (const std::string& address : net::InterfaceAddresses())
      add(net::FormatHostPort(address, 1));
  }
  return hosts;
}

// A new peer becomes part of a mesh: by its token, or one from the CA beside it.
absl::StatusOr<tls::Material> Enrol(const config::v1::Config& config,
                                    std::optional<identity::Token> token, const ChildCa* ca) {
  if (!token && ca != nullptr) {
    auto made = ca->CreateToken(config.name());
    if (!made.ok()) return made.status();
    token = *std::move(made);
  }
  if (!token) {
    return absl::FailedPreconditionError(
        "this peer is in no mesh yet; join one with --join FILE (a token from `peermesh token "
        "create`), or make a new one with --create");
  }
  return Join(config.data_dir(), *token, config.name(), HostsOf(config));
}

void Announce(const Peer::Facts& facts, const ChildCa* ca, int ready_fd) {
  std::string text = fmt::format("peer {} ({}) is up in mesh {}\n  mesh     {}\n", facts.name,
                                 facts.id.substr(0, 8), facts.mesh_id, facts.listen);
  if (!facts.metrics.empty()) text += fmt::format("  metrics  http://{}/metrics\n", facts.metrics);
  if (ca != nullptr) text += "  add a peer: peermesh token create --name NAME\n";
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
  if (ready_fd < 0) return;
  const nlohmann::json ready = {{"peer_id", facts.id},
                                {"name", facts.name},
                                {"mesh_id", facts.mesh_id},
                                {"listen", facts.listen},
                                {"metrics", facts.metrics},
                                {"app_socket", facts.app_socket},
                                {"admin_socket", facts.admin_socket},
                                {"pid", ::getpid()}};
  const std::string line = ready.dump() + "\n";
  if (::write(ready_fd, line.data(), line.size()) < 0)
    kLog.Warning("nobody reads the ready descriptor");
  ::close(ready_fd);
}

std::string StatusLine(const Peer::Facts& facts) {
  return fmt::format("peer {} ({}) of mesh {}, mesh port {}", facts.name, facts.id.substr(0, 8),
                     facts.mesh_id, facts.listen);
}

// Drains asked for by an operator, handed from a queue's thread to main.
class DrainRequests {
 public:
  DrainRequests()
      : event_(ledger::UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), ledger::kProcessFd,
                                ledger::Scope{})) {}
  void Ask(std::optional<Duration> grace) {
    {
      const std::lock_guard lock(mutex_);
      grace_ = grace;
    }
    const std::uint64_t one = 1;
    (void)!::write(event_.get(), &one, sizeof(one));
  }
  int fd() const { return event_.get(); }
  std::optional<Duration> grace() const {
    const std::lock_guard lock(mutex_);
    return grace_;
  }

 private:
  const ledger::UniqueFd event_;
  mutable std::mutex mutex_;
  std::optional<Duration> grace_;
};

Duration Configured(const config::v1::Config& config) {
  return std::chrono::seconds(config.drain_timeout().seconds()) +
         std::chrono::microseconds(config.drain_timeout().nanos() / 1000);
}

// Until somebody wants us to stop; says how long that may take.
Duration WaitForEnd(Peer& peer, const config::v1::Config& config, const DrainRequests& requests,
                    const ChildCa* ca, Notifier& manager) {
  constexpr int kSweepMs = 5000;
  constexpr int kSettleMs = 2000;  // by then a peer that finds others has shaken hands with them
  sigset_t wanted;
  sigemptyset(&wanted);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR1}) sigaddset(&wanted, signal);
  const ledger::UniqueFd signals(::signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK),
                                 ledger::kProcessFd, ledger::Scope{});
  bool ca_lost = ca == nullptr, settled = false;
  for (;;) {
    pollfd wait[] = {{signals.get(), POLLIN, 0},
                     {requests.fd(), POLLIN, 0},
                     {ca_lost ? -1 : ca->pidfd(), POLLIN, 0},
                     {manager.due(), POLLIN, 0}};
    const int ready = ::poll(wait, 4, settled ? kSweepMs : kSettleMs);
    if (!manager.Feed([&] { return peer.Answers(kProofPatience); }))
      kLog.Error("this peer does not answer itself; its service manager is not told it lives");
    if (ready == 0 || wait[3].revents != 0) {
      if (!std::exchange(settled, true)) ReleaseStartUpCode();
      peer.Sweep();
    }
    if (ready <= 0) continue;
    if (wait[2].revents != 0) {
      ca_lost = true;
      kLog.Error("the CA beside this peer has ended; restart this peer to have it back");
    }
    if (wait[1].revents != 0) return requests.grace().value_or(Configured(config));
    signalfd_siginfo taken{};
    if (wait[0].revents != 0 && ::read(signals.get(), &taken, sizeof(taken)) == sizeof(taken)) {
      if (taken.ssi_signo == SIGHUP) {
        manager.Reloading();
        kLog.Info("nothing to reload in this release");
        manager.Ready(StatusLine(peer.facts()));
        continue;
      }
      if (taken.ssi_signo == SIGUSR1) {
        peer.LogLeaks();
        continue;
      }
      // `timeout` signals a program and then its group: what comes together is one signal.
      constexpr timespec kTogether{.tv_sec = 0, .tv_nsec = 50'000'000};
      ::sigtimedwait(&wanted, nullptr, &kTogether);
      kLog.Info("stopping", {{"signal", taken.ssi_signo == SIGINT ? "SIGINT" : "SIGTERM"}});
      return Configured(config);
    }
  }
}

// A second signal during the drain means now.
void EndAtOnceOnSignal() {
  sigset_t wanted;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGTERM);
  sigaddset(&wanted, SIGINT);
  ::signal(SIGTERM, SIG_DFL);
  ::signal(SIGINT, SIG_DFL);
  pthread_sigmask(SIG_UNBLOCK, &wanted, nullptr);
}

// Sockets inside the data directory are for its owner. Elsewhere others may pass, and the mode of
// each socket decides.
absl::Status PrepareRunDirectory(const config::v1::Config& config) {
  if (config.run_dir().starts_with(config.data_dir() + "/")) {
    const absl::Status status = tls::EnsurePrivateDirectory(config.run_dir());
    return status.ok() ? status : absl::DataLossError(status.message());
  }
  std::error_code error;
  if (std::filesystem::create_directories(config.run_dir(), error)) {
    std::filesystem::permissions(config.run_dir(), std::filesystem::perms(0755), error);
  }
  if (error) {
    return absl::UnavailableError("cannot make " + config.run_dir() + ": " + error.message() +
                                  "; choose another with --run-dir");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<ChildCa>> StartCa(const config::v1::Config& config) {
  ChildCa::Options options;
  options.directory = CaDirectory(config.data_dir());
  options.listen = config.ca().listen();
  if (!config.advertise().empty()) {
    if (const auto parsed = net::ParseHostPort(config.advertise(0), 1); parsed.ok())
      options.advertise = parsed->host;
  }
  options.lifetime = fmt::format("{}s", config.ca().certificate_lifetime().seconds());
  return ChildCa::Start(options);
}

int Serve(const config::v1::Config& config, const Flags& flags, const tls::Material& material,
          const ChildCa* ca, Notifier& manager) {
  config::v1::Config complete = config;
  for (const std::string& seed : ReadSeeds(config.data_dir())) {
    if (std::find(complete.seeds().begin(), complete.seeds().end(), seed) == complete.seeds().end())
      complete.add_seeds(seed);
  }
  DrainRequests requests;
  auto peer =
      Peer::Start(complete, material, [&](std::optional<Duration> grace) { requests.Ask(grace); });
  if (!peer.ok()) return Fail(peer.status());
  // Outlives the drain, which must not wait for a call to the CA.
  Renewal renewal(config.data_dir(), material, HostsOf(config),
                  [&](const auto& renewed) { return (*peer)->Rotate(renewed); });
  Announce((*peer)->facts(), ca, flags.ready_fd);
  kLog.Info("ready", {{"peer", (*peer)->facts().id},
                      {"name", (*peer)->facts().name},
                      {"listen", (*peer)->facts().listen}});
  manager.Ready(StatusLine((*peer)->facts()));
  const Duration grace = WaitForEnd(**peer, complete, requests, ca, manager);
  EndAtOnceOnSignal();
  manager.Stopping(grace + kStopSlack);
  const bool clean = (*peer)->Stop(grace);
  kLog.Info("stopped", {{"clean", clean}});
  return kOk;
}

int Run(const config::v1::Config& config, const Flags& flags, Notifier& manager) {
  if (absl::Status status = tls::EnsurePrivateDirectory(config.data_dir()); !status.ok())
    return Fail(kDataDirectory, status);
  auto lock = tls::DirectoryLock::Take(config.data_dir(), "peermeshd");
  if (!lock.ok()) return Fail(kDataDirectory, lock.status());
  if (absl::Status status = PrepareRunDirectory(config); !status.ok()) return Fail(status);

  std::error_code ignored;
  const bool has_ca = std::filesystem::exists(CaDirectory(config.data_dir()), ignored);
  const bool enrolled = tls::HasCertificate(IdentityDirectory(config.data_dir()));
  auto token = ReadToken(flags.join);
  if (enrolled && absl::IsNotFound(token.status())) {  // used and thrown away, as it should be
    kLog.Info("enrolled already; there is no join token", {{"reason", View(token.status())}});
    token = std::nullopt;
  }
  if (!token.ok()) return Fail(kNotEnrolled, token.status());
  if (*token && !enrolled && has_ca) {
    return Fail(kNotEnrolled,
                absl::FailedPreconditionError(
                    CaDirectory(config.data_dir()) +
                    " holds the CA of a mesh; start without the token to be in that one, or join "
                    "with another --data-dir"));
  }
  // What is made now stays: find out before whether there will be a peer at all.
  const bool makes_ca = flags.create && !has_ca;
  if (!enrolled) {
    if (absl::Status status = CheckListening(config, makes_ca); !status.ok()) return Fail(status);
  }
  std::unique_ptr<ChildCa> ca;
  if (has_ca || (flags.create && !enrolled)) {
    auto started = StartCa(config);
    if (!started.ok()) return Fail(started.status());
    ca = std::move(*started);
  }
  auto material = enrolled ? LoadIdentity(config.data_dir(), HostsOf(config),
                                          ca ? ca->address() : std::string())
                           : Enrol(config, *token, ca.get());
  if (!material.ok()) {
    const bool unusable = enrolled && !absl::IsUnavailable(material.status());
    return Fail(unusable ? kDataDirectory : kNotEnrolled, material.status());
  }
  if (enrolled) {
    const absl::Status fits = CheckAskedFor(*material, *token, flags.name);
    if (!fits.ok()) return Fail(kNotEnrolled, fits);
  }
  return Serve(config, flags, *material, ca.get(), manager);
}

}  // namespace

int Main(int argc, char** argv) {
  TuneAllocator();
  Notifier manager = Notifier::FromEnvironment();
  Flags flags;
  if (const auto code = Parse(argc, argv, flags)) return *code;
  config::Sources sources;
  sources.file = flags.config_file;
  sources.environment = config::FromEnvironment(environ);
  sources.flags = flags.settings;
  sources.host = config::Host::Current();
  const auto config = config::Load(sources);
  if (!config.ok()) return Fail(kUsage, config.status());
  const auto written = config::Written(sources);
  if (written.ok()) flags.name = written->name();
  config::StartLogging(
      config::ParseLevel(config->log().level()).value_or(config::Level::kInfo),
      config->log().format() == "json" ? config::Format::kJson : config::Format::kText);
  tls::SetGrpcLogSink(
      [](tls::GrpcSeverity severity, std::string_view file, int, std::string_view text) {
        const auto level =
            severity == tls::GrpcSeverity::kError ? config::Level::kDebug : config::Level::kTrace;
        config::Log("grpc", level, "grpc", {{"text", text}, {"file", file}});
      });
  const int code = Run(*config, flags, manager);
  config::StopLogging();
  return code;
}

}  // namespace peermesh

int main(int argc, char** argv) {
  if (const absl::Status status = peermesh::tls::InitProcess(peermesh::tls::Signals::kBlock);
      !status.ok()) {
    return peermesh::Fail(peermesh::kError, status);
  }
  peermesh::ledger::ClaimThread();
  return peermesh::Main(argc, argv);
}
