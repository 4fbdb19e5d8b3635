#include "server/peer/command_line.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <string_view>

#include "fmt/format.h"
#include "server/peer/enrolment.h"

namespace peermesh {
namespace {

constexpr const char* kExitCodes =
    "Exit codes: 0 stopped in good order, 1 error, 2 wrong flags or configuration, 3 an address\n"
    "or socket cannot be listened on, 4 the data directory cannot be used, 5 not enrolled or\n"
    "enrolment failed, 6 the clock of this host contradicts a certificate.";

void DeclareSettings(CLI::App& app, CommandLine& line) {
  const auto setting = [&](const char* flag, const char* path, const char* help) {
    app.add_option_function<std::string>(
        flag,
        [&line, path](const std::string& value) {
          line.settings.push_back({path, value});
        },
        help);
  };
  const auto list = [&](const char* flag, const char* path, const char* help) {
    app.add_option_function<std::vector<std::string>>(
        flag,
        [&line, path](const std::vector<std::string>& values) {
          line.settings.push_back({path, fmt::format("{}", fmt::join(values, ","))});
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
}

}  // namespace

std::optional<int> ParseCommandLine(int argc, char** argv, CommandLine& line) {
  CLI::App app("peermeshd: a peer of a PeerMesh. `peermesh up` starts it with the same flags.",
               "peermeshd");
  app.set_version_flag("--version", std::string("peermeshd ") + PEERMESH_VERSION);
  app.footer(kExitCodes);
  DeclareSettings(app, line);
  app.add_option("--config", line.config_file, "configuration file (YAML)");
  app.add_option("--join", line.join,
                 "file with a join token, or - for standard input; or set PEERMESH_JOIN");
  app.add_flag("--create", line.create, "make a new mesh if this peer is in none");
  app.add_option("--ready-fd", line.ready_fd,
                 "write one line of JSON to this descriptor when ready");
  bool check = false, show = false;
  auto* const check_flag =
      app.add_flag("--check-config", check, "check flags, environment and file, and exit");
  app.add_flag("--show-config", show, "print the effective configuration as YAML, and exit")
      ->excludes(check_flag);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? kOk : kUsage;
  }
  if (line.create && (!line.join.empty() || HasJoinVariable())) {
    return Fail(kUsage, absl::InvalidArgumentError(
                            "--create makes a mesh and a token joins one; leave out --create, or "
                            "--join and PEERMESH_JOIN"));
  }
  if (check) line.purpose = CommandLine::Purpose::kCheckConfig;
  if (show) line.purpose = CommandLine::Purpose::kShowConfig;
  return std::nullopt;
}

config::Sources SourcesOf(const CommandLine& line) {
  return {.file = line.config_file,
          .environment = config::FromEnvironment(environ),
          .flags = line.settings,
          .host = config::Host::Current()};
}

int Fail(int code, const absl::Status& status) {
  std::cerr << "peermeshd: " << std::string_view(status.message().data(), status.message().size())
            << "\n";
  return code;
}

int Fail(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnavailable: return Fail(kCannotListen, status);
    case absl::StatusCode::kDataLoss: return Fail(kDataDirectory, status);
    case absl::StatusCode::kOutOfRange: return Fail(kClock, status);
    default: return Fail(kError, status);
  }
}

}  // namespace peermesh
