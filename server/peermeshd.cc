// peermeshd: the peer. The order of things: configuration, data directory, identity, CA, peer.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "metrics/ledger/claims.h"
#include "server/peer/child_ca.h"
#include "server/peer/command_line.h"
#include "server/config/config.h"
#include "server/config/logging.h"
#include "server/peer/enrolment.h"
#include "server/peer/listening.h"
#include "server/process/memory.h"
#include "server/net/hosts.h"
#include "server/process/notify.h"
#include "server/peer/serving.h"
#include "server/tls/files.h"
#include "server/tls/process.h"

namespace peermesh {
namespace {

constexpr config::Logger kLog("peermeshd");

// A peer without links and applications has 40 open: less than this is an accident, not a limit.
constexpr std::size_t kFewestDescriptors = 128;
constexpr std::size_t kGoodDescriptors = 65536;  // as the unit of the package

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

// `name`: wherever it was written; empty if nowhere.
int Run(const config::v1::Config& config, const CommandLine& line, const std::string& name,
        Notifier& manager) {
  if (const std::size_t limit = tls::DescriptorLimit(); limit < kFewestDescriptors) {
    return Fail(kError, absl::ResourceExhaustedError(fmt::format(
                            "only {} files may be open at once, and a peer needs {}; raise the "
                            "limit: ulimit -n {}, or LimitNOFILE in its unit",
                            limit, kFewestDescriptors, kGoodDescriptors)));
  }
  if (absl::Status status = tls::EnsurePrivateDirectory(config.data_dir()); !status.ok())
    return Fail(kDataDirectory, status);
  auto lock = tls::DirectoryLock::Take(config.data_dir(), "peermeshd");
  if (!lock.ok()) return Fail(kDataDirectory, lock.status());
  if (absl::Status status = PrepareRunDirectory(config); !status.ok()) return Fail(status);

  std::error_code ignored;
  const bool has_ca = std::filesystem::exists(CaDirectory(config.data_dir()), ignored);
  const bool enrolled = tls::HasCertificate(IdentityDirectory(config.data_dir()));
  auto token = ReadToken(line.join);
  if (enrolled && absl::IsNotFound(token.status())) {  // used and thrown away, as it should be
    kLog.Info("enrolled already; there is no join token",
              {{"reason", std::string(token.status().message())}});
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
  const bool makes_ca = line.create && !has_ca;
  if (!enrolled) {
    if (absl::Status status = CheckListening(config, makes_ca); !status.ok()) return Fail(status);
  }
  std::unique_ptr<ChildCa> ca;
  if (has_ca || (line.create && !enrolled)) {
    auto started = StartCa(config);
    if (!started.ok()) return Fail(started.status());
    ca = std::move(*started);
  }
  auto material = enrolled ? LoadIdentity(config.data_dir(), HostsOf(config),
                                          ca ? ca->address() : std::string())
                           : Enrol(config, *token, ca.get());
  if (!material.ok()) {
    if (absl::IsOutOfRange(material.status())) return Fail(kClock, material.status());
    const bool unusable = enrolled && !absl::IsUnavailable(material.status());
    return Fail(unusable ? kDataDirectory : kNotEnrolled, material.status());
  }
  if (enrolled) {
    const absl::Status fits = CheckAskedFor(*material, *token, name);
    if (!fits.ok()) return Fail(kNotEnrolled, fits);
  }
  return Serve({.config = config,
                .sources = SourcesOf(line),
                .ready_fd = line.ready_fd,
                .hosts = HostsOf(config)},
               *material, ca.get(), manager);
}

// What was asked about a configuration that has been found valid.
int Tell(CommandLine::Purpose purpose, const config::Sources& sources) {
  if (purpose == CommandLine::Purpose::kCheckConfig) {
    std::puts("configuration is valid");
    return kOk;
  }
  const auto text = config::Describe(sources);
  if (!text.ok()) return Fail(kUsage, text.status());
  std::fputs(text->c_str(), stdout);
  return kOk;
}

}  // namespace

int Main(int argc, char** argv) {
  TuneAllocator();
  Notifier manager = Notifier::FromEnvironment();
  CommandLine line;
  if (const auto code = ParseCommandLine(argc, argv, line)) return *code;
  const config::Sources sources = SourcesOf(line);
  const auto config = config::Load(sources);
  if (!config.ok()) return Fail(kUsage, config.status());
  if (line.purpose != CommandLine::Purpose::kServe) return Tell(line.purpose, sources);
  const auto written = config::Written(sources);
  config::StartLogging(
      config::ParseLevel(config->log().level()).value_or(config::Level::kInfo),
      config->log().format() == "json" ? config::Format::kJson : config::Format::kText);
  tls::SetGrpcLogSink(
      [](tls::GrpcSeverity severity, std::string_view file, int, std::string_view text) {
        const auto level =
            severity == tls::GrpcSeverity::kError ? config::Level::kDebug : config::Level::kTrace;
        config::Log("grpc", level, "grpc", {{"text", text}, {"file", file}});
      });
  const int code = Run(*config, line, written.ok() ? written->name() : "", manager);
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
