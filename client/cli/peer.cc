// peermesh status, drain, health, version: the peer itself.
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <memory>
#include <thread>

#include "client/cli/ask.h"
#include "client/cli/context.h"
#include "client/cli/exit_code.h"
#include "client/cli/output.h"
#include "client/cli/units.h"
#include "metrics/ledger/fd.h"
#include "metrics/ledger/kinds.h"
#include "peermesh/v1/admin.grpc.pb.h"

namespace peermesh::cli {
namespace {

// Between two questions of `health --wait`: no start takes as little.
constexpr std::chrono::milliseconds kHealthPause{50};

// What a peer accepts, and what its end may take after that.
constexpr Duration kLongestGrace = std::chrono::minutes(5);
constexpr Duration kEndMargin = std::chrono::seconds(5);

// The process that listens on a unix socket; unknown if it is not ours to see.
class PeerProcess {
 public:
  // `socket` empty: on another host.
  explicit PeerProcess(const std::string& socket) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (socket.empty() || socket.size() >= sizeof(address.sun_path)) return;
    socket.copy(address.sun_path, socket.size());
    const ledger::UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), ledger::kBriefFd,
                              ledger::Scope{});
    ucred credentials{};
    socklen_t size = sizeof(credentials);
    if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 &&
        getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0 &&
        credentials.pid > 0) {
      pidfd_ = ledger::UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, credentials.pid, 0)),
                                ledger::kProcessFd, ledger::Scope{});
    }
  }

  bool known() const { return static_cast<bool>(pidfd_); }
  // False if it still runs after `timeout`.
  bool AwaitEnd(Duration timeout) const {
    pollfd end{pidfd_.get(), POLLIN, 0};
    const auto wait = std::chrono::ceil<std::chrono::milliseconds>(timeout);
    return poll(&end, 1, static_cast<int>(wait.count())) == 1;
  }

 private:
  ledger::UniqueFd pidfd_;
};

WallTime Now() {
  return std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now());
}

const char* ToString(v1::Readiness readiness) {
  switch (readiness) {
    case v1::READINESS_STARTING: return "starting";
    case v1::READINESS_READY: return "ready";
    case v1::READINESS_DRAINING: return "draining";
    default: return "unknown";
  }
}

std::string Count(std::uint32_t n, const char* one) {
  return fmt::format("{} {}{}", n, one, n == 1 ? "" : "s");
}

std::string Join(const google::protobuf::RepeatedPtrField<std::string>& items) {
  return fmt::format("{}", fmt::join(items, ", "));
}

void PrintStatus(const v1::GetStatusResponse& status) {
  const auto line = [](const char* label, const std::string& text) {
    fmt::print("{:<13}{}\n", label, text.empty() ? "-" : Escape(text));
  };
  const bool colour = WantsColour(stdout);
  const Style style = status.readiness() == v1::READINESS_READY ? Style::kGood : Style::kWarning;
  line("peer", fmt::format("{} ({})", status.peer_name(), status.peer_id()));
  line("mesh", status.mesh_id());
  fmt::print("{:<13}{}, up {}\n", "state", Paint(ToString(status.readiness()), style, colour),
             FormatDuration(
                 std::chrono::floor<std::chrono::seconds>(Now() - FromProto(status.start_time()))));
  line("peers", fmt::format("{} known, {} linked", status.peers_known(), status.peers_linked()));
  line("applications", fmt::format("{}, {}", Count(status.sessions(), "session"),
                                   Count(status.subscriptions(), "subscription")));
  line("version", fmt::format("{}, process {}", status.version(), status.process_id()));
  line("listens on", status.listen_address());
  line("advertises", Join(status.advertised_addresses()));
  line("metrics", status.metrics_address().empty()
                      ? "off"
                      : fmt::format("http://{}/metrics", status.metrics_address()));
  line("socket", status.app_socket());
  line("data", status.data_dir());
  line("CA", status.ca_address());
  const Duration left = FromProto(status.certificate_expiry()) - Now();
  line("certificate", left > Duration::zero() ? "expires in " + FormatDuration(left)
                                              : "expired " + FormatDuration(-left) + " ago");
}

absl::Status Status(Context& context) {
  const auto response = Ask<v1::AdminService>(
      context.DialAdmin(), &v1::AdminService::Stub::GetStatus, v1::GetStatusRequest());
  if (!response.ok()) return response.status();
  if (context.json) return WriteOut(ToJson(context.schema, *response, Json::kIndented));
  PrintStatus(*response);
  return absl::OkStatus();
}

struct DrainOptions {
  std::optional<Duration> grace;
  bool wait = true;
};

absl::Status Drain(Context& context, const DrainOptions& options) {
  const auto channel = context.DialAdmin();
  if (!channel.ok()) return channel.status();
  // Before it goes: nothing else tells it from one that starts in its place.
  const PeerProcess process(context.address.empty() ? context.FindPaths().admin_socket : "");
  v1::DrainRequest request;
  if (options.grace) *request.mutable_grace() = ToProto(*options.grace);
  const auto response = Ask<v1::AdminService>(channel, &v1::AdminService::Stub::Drain, request);
  if (!response.ok()) return response.status();
  if (options.wait && process.known() &&
      !process.AwaitEnd(options.grace.value_or(kLongestGrace) + kEndMargin)) {
    return absl::DeadlineExceededError(
        "The peer still runs though its grace is over. See its log; SIGTERM ends it now.");
  }
  if (context.json) return WriteOut(ToJson(context.schema, *response, Json::kIndented));
  Note(options.wait && process.known() ? "The peer has left and ended."
                                       : "The peer drains and will exit.");
  return absl::OkStatus();
}

// With `wait`, a peer that is not there yet, or not ready yet, is asked again until it is.
absl::StatusOr<bool> AwaitHealth(Context& context, const std::string& service, Duration wait) {
  const auto deadline = std::chrono::steady_clock::now() + wait;
  for (;;) {
    const auto channel = context.DialApp();
    const auto serving = channel.ok() ? client::CheckHealth(*channel, service, kConnectTimeout)
                                      : absl::StatusOr<bool>(channel.status());
    const bool early = serving.ok() ? !*serving : absl::IsUnavailable(serving.status());
    if (!early || std::chrono::steady_clock::now() >= deadline) return serving;
    std::this_thread::sleep_for(kHealthPause);
  }
}

absl::Status Health(Context& context, const std::string& service, Duration wait) {
  const auto serving = AwaitHealth(context, service, wait);
  if (!serving.ok()) return serving.status();
  const auto printed =
      WriteOut(context.json ? fmt::format("{{\"schema\":\"{}\",\"status\":\"{}\"}}\n",
                                          context.schema, *serving ? "SERVING" : "NOT_SERVING")
                            : (*serving ? "serving\n" : "not serving\n"));
  if (!printed.ok() || *serving) return printed;
  return client::MakeError(absl::StatusCode::kUnavailable, "NOT_SERVING",
                           "The peer is not ready. See \"peermesh status\" for what it is doing.");
}

}  // namespace

void AddPeer(CLI::App& app, Context& context) {
  app.add_subcommand("status", "Describe the peer")->callback([&context] {
    context.command = [](Context& c) { return Status(c); };
  });

  auto* health = app.add_subcommand("health", "Exit with 0 if the peer is serving");
  auto service = std::make_shared<std::string>();
  health->add_option("--service", *service,
                     "One service of it, such as peermesh.v1.MessagingService");
  auto wait = std::make_shared<Duration>();
  AddDuration(*health, "--wait", *wait, "How long to wait for it to start (default: not at all)");
  health->callback([service, wait, &context] {
    context.command = [service, wait](Context& c) { return Health(c, *service, *wait); };
  });
}

void AddDrain(CLI::App& app, Context& context) {
  auto* drain = app.add_subcommand("drain", "Make the peer leave the mesh in good order and exit");
  drain->footer(
      "It returns when the process has ended, so that \"peermesh up\" may follow. A peer on "
      "another host is not waited for.");
  auto grace = std::make_shared<Duration>();
  auto* option =
      AddDuration(*drain, "--grace", *grace,
                  "How long queues may take to empty (default 5s, at most 5m)", kLongestGrace);
  auto no_wait = std::make_shared<bool>();
  drain->add_flag("--no-wait", *no_wait, "Return at once, while it drains");
  drain->callback([grace, option, no_wait, &context] {
    const DrainOptions options{option->count() ? std::optional(*grace) : std::nullopt, !*no_wait};
    context.command = [options](Context& c) { return Drain(c, options); };
  });
}

void AddVersion(CLI::App& app, Context& context) {
  app.add_subcommand("version", "Print the version of this program")->callback([&context] {
    context.needs_peer = false;
    context.command = [](Context& c) {
      if (!c.json) return WriteOut("peermesh " PEERMESH_VERSION "\n");
      return WriteOut(
          fmt::format("{{\"schema\":\"{}\",\"version\":\"{}\"}}\n", c.schema, PEERMESH_VERSION));
    };
  });
}

}  // namespace peermesh::cli
