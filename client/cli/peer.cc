// peermesh status, drain, health, version: the peer itself.
#include <fmt/format.h>
#include <grpcpp/grpcpp.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <memory>
#include <thread>

#include "client/cli/context.h"
#include "client/cli/exit_code.h"
#include "client/cli/output.h"
#include "client/cli/units.h"
#include "peermesh/v1/admin.grpc.pb.h"

namespace peermesh::cli {
namespace {

// Between two questions of `health --wait`: no start takes as little.
constexpr std::chrono::milliseconds kHealthPause{50};

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
  const auto channel = context.DialAdmin();
  if (!channel.ok()) return channel.status();
  v1::GetStatusResponse response;
  grpc::ClientContext call;
  client::PrepareCall(call, "peermesh/" PEERMESH_VERSION, kCallTimeout);
  const grpc::Status status = v1::AdminService::NewStub(*channel)->GetStatus(&call, {}, &response);
  if (!status.ok()) return client::FromGrpc(status);
  if (context.json) return WriteOut(ToJson(response, Json::kIndented));
  PrintStatus(response);
  return absl::OkStatus();
}

absl::Status Drain(Context& context, std::optional<Duration> grace) {
  const auto channel = context.DialAdmin();
  if (!channel.ok()) return channel.status();
  v1::DrainRequest request;
  if (grace) *request.mutable_grace() = ToProto(*grace);
  v1::DrainResponse response;
  grpc::ClientContext call;
  client::PrepareCall(call, "peermesh/" PEERMESH_VERSION, kCallTimeout);
  const grpc::Status status = v1::AdminService::NewStub(*channel)->Drain(&call, request, &response);
  if (!status.ok()) return client::FromGrpc(status);
  if (context.json) return WriteOut(ToJson(response, Json::kIndented));
  Note("The peer drains and will exit.");
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
  const auto printed = WriteOut(
      context.json ? fmt::format("{{\"status\":\"{}\"}}\n", *serving ? "SERVING" : "NOT_SERVING")
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

  auto* drain = app.add_subcommand("drain", "Make the peer leave the mesh in good order and exit");
  auto grace = std::make_shared<Duration>();
  auto* option =
      AddDuration(*drain, "--grace", *grace, "How long queues may take to empty (default 5s)");
  drain->callback([grace, option, &context] {
    const auto wanted = option->count() ? std::optional(*grace) : std::nullopt;
    context.command = [wanted](Context& c) { return Drain(c, wanted); };
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

  app.add_subcommand("version", "Print the version of this program")->callback([&context] {
    context.command = [](Context& c) {
      return WriteOut(c.json ? "{\"version\":\"" PEERMESH_VERSION "\"}\n"
                             : "peermesh " PEERMESH_VERSION "\n");
    };
  });
}

}  // namespace peermesh::cli
