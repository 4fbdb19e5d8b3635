// peermesh check: one look at a peer for monitoring that is not Prometheus' own scraping.
//
// Whatever happens is a result, and printed as one: what cannot be found out is UNKNOWN, but a peer
// that cannot be reached is what `check conn` is there to find, and CRITICAL.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <map>
#include <memory>

#include "client/cli/ask.h"
#include "client/cli/check_result.h"
#include "client/cli/context.h"
#include "client/cli/exit_code.h"
#include "client/cli/files.h"
#include "client/cli/output.h"
#include "client/cli/peer_text.h"
#include "client/cli/units.h"
#include "peermesh/v1/admin.grpc.pb.h"
#include "peermesh/v1/peers.pb.h"
#include "server/tls/material.h"

namespace peermesh::cli {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

// A root is renewed by hand, and every peer has to learn the new one: months, not days.
constexpr Duration kRootWarning = hours(24 * 90), kRootCritical = hours(24 * 30);
constexpr mode_t kReadable = 0644;  // the node exporter runs as somebody else

struct CheckOptions {
  std::string format = "nagios", output;
  Duration warning{}, critical{};
  std::uint64_t warning_count = 1, critical_count = 1;
  std::uint64_t peers = 0;
  bool all = false;
};

double InSeconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

void Fail(CheckResult& result, const absl::Status& why, CheckState state) {
  result.state = state;
  result.summary = std::string(why.message());
  result.figures.clear();
}

// --- conn ----------------------------------------------------------------------------------------

std::string Names(const std::vector<std::string>& names) {
  return fmt::format("{}", fmt::join(names, ", "));
}

void CheckConnection(Context& context, const CheckOptions& options, CheckResult& result) {
  const auto begin = std::chrono::steady_clock::now();
  const auto client = context.Connect();
  if (!client.ok()) return Fail(result, client.status(), CheckState::kCritical);
  const auto serving = client::CheckHealth((*client)->channel(), "", kCallTimeout);
  const Duration took =
      std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now() - begin);
  if (!serving.ok()) return Fail(result, serving.status(), CheckState::kCritical);
  const auto peers = (*client)->ListPeers({});
  if (!peers.ok()) return Fail(result, peers.status(), CheckState::kCritical);
  std::string self;
  std::uint64_t linked = 0;
  std::vector<std::string> missing;
  for (const v1::Peer& peer : peers->peers()) {
    if (peer.self()) {
      self = peer.name();
    } else if (IsConnected(peer)) {
      ++linked;
    } else if (peer.state() != v1::PEER_STATE_LEFT) {
      missing.push_back(peer.name() + " is " + StateOf(peer).text);
    }
  }
  result.summary = fmt::format("{} {} in {}, {} peer{} linked", self,
                               *serving ? "answers" : "is not ready and answers",
                               FormatDuration(took), linked, linked == 1 ? "" : "s");
  if (!missing.empty()) result.summary += "; " + Names(missing);
  if (!*serving || took >= options.critical || linked < options.peers) {
    result.Raise(CheckState::kCritical);
  } else if (took >= options.warning || !missing.empty()) {
    result.Raise(CheckState::kWarning);
  }
  result.figures = {
      {"time", "s", InSeconds(took), InSeconds(options.warning), InSeconds(options.critical),
       "Time to connect to the peer and be answered."},
      {"linked", "", static_cast<double>(linked), std::nullopt,
       options.peers == 0 ? std::nullopt : std::optional(static_cast<double>(options.peers)),
       "Peers that it has a link to."},
      {"missing", "", static_cast<double>(missing.size()), 1, std::nullopt,
       "Peers that should be there and have no link."}};
}

// --- certs ---------------------------------------------------------------------------------------

struct Expiry {
  std::string of;
  WallTime at;
  Duration warning, critical;
};

// Of the roots that a private directory trusts, and with `own` of its own certificate.
void AddMaterial(const std::string& directory, bool own, const CheckOptions& options,
                 std::vector<Expiry>& all) {
  const auto material = tls::LoadMaterial(directory);
  if (!material.ok()) return;
  if (own) {
    all.push_back(
        {"identity", material->certificate.not_after(), options.warning, options.critical});
  }
  for (const std::string& root : material->bundle.roots()) {
    const auto certificate = identity::Certificate::Parse(root);
    if (certificate) all.push_back({"CA", certificate->not_after(), kRootWarning, kRootCritical});
  }
}

// Where the peer on this host keeps its roots, if we may look.
std::string IdentityDirectory(const Context& context) {
  const auto status = Ask<v1::AdminService>(context.DialAdmin(), &v1::AdminService::Stub::GetStatus,
                                            v1::GetStatusRequest());
  return (status.ok() ? status->data_dir() : context.FindPaths().data_dir) + "/identity";
}

void CheckCertificates(Context& context, const CheckOptions& options, CheckResult& result) {
  const auto client = context.Connect();
  if (!client.ok()) return Fail(result, client.status(), CheckState::kUnknown);
  const auto peers = (*client)->ListPeers({});
  if (!peers.ok()) return Fail(result, peers.status(), CheckState::kUnknown);
  std::vector<Expiry> all;
  for (const v1::Peer& peer : peers->peers()) {
    const bool wanted = peer.self() || (options.all && peer.state() == v1::PEER_STATE_ALIVE);
    if (!wanted || !peer.has_certificate_expiry()) continue;
    all.push_back(
        {peer.name(), FromProto(peer.certificate_expiry()), options.warning, options.critical});
  }
  if (all.empty()) {
    return Fail(result, absl::NotFoundError("The peer does not say when its certificate expires."),
                CheckState::kUnknown);
  }
  const bool remote = !context.address.empty();
  AddMaterial(remote ? context.identity : IdentityDirectory(context), remote, options, all);
  const WallTime now = Now();
  std::vector<std::string> parts;
  std::map<std::string, Figure> figures;
  for (const Expiry& expiry : all) {
    const Duration left = expiry.at - now;
    parts.push_back(left > Duration::zero()
                        ? fmt::format("{} in {}", expiry.of, FormatDuration(left))
                        : fmt::format("{} expired {} ago", expiry.of, FormatDuration(-left)));
    if (left <= expiry.critical) result.Raise(CheckState::kCritical);
    if (left <= expiry.warning) result.Raise(CheckState::kWarning);
    // One figure a kind, the first to run out of its kind.
    const bool known = expiry.of == "CA" || expiry.of == "identity";
    const std::string name = !known ? "peer" : expiry.of == "CA" ? "ca" : expiry.of;
    const Figure figure{name,
                        "s",
                        std::max(0.0, InSeconds(left)),
                        InSeconds(expiry.warning),
                        InSeconds(expiry.critical),
                        "Time until the first certificate of this kind expires."};
    const auto [it, fresh] = figures.try_emplace(name, figure);
    if (!fresh && figure.value < it->second.value) it->second = figure;
  }
  result.summary = "certificates expire: " + Names(parts);
  for (const char* name : {"peer", "identity", "ca"}) {
    if (const auto it = figures.find(name); it != figures.end())
      result.figures.push_back(it->second);
  }
}

// --- leaks ---------------------------------------------------------------------------------------

void CheckLeaks(Context& context, const CheckOptions& options, CheckResult& result) {
  const auto report = Ask<v1::AdminService>(
      context.DialAdmin(), &v1::AdminService::Stub::GetLeakReport, v1::GetLeakReportRequest());
  if (!report.ok()) return Fail(result, report.status(), CheckState::kUnknown);
  std::uint64_t standing = 0, alerting = 0;
  const v1::Verdict* worst = nullptr;
  for (const v1::Verdict& verdict : report->verdicts()) {
    if (verdict.state() == v1::VERDICT_STATE_CLEARED || !verdict.suppressed().empty()) continue;
    ++standing;
    alerting += verdict.alerts() ? 1 : 0;
    if (worst == nullptr || (verdict.alerts() && !worst->alerts())) worst = &verdict;
  }
  if (alerting >= options.critical_count) {
    result.Raise(CheckState::kCritical);
  } else if (standing >= options.warning_count) {
    result.Raise(CheckState::kWarning);
  }
  result.summary = standing == 0
                       ? "no findings"
                       : fmt::format("{} finding{}, {} confirmed by proof or a broken contract",
                                     standing, standing == 1 ? "" : "s", alerting);
  result.summary += fmt::format(" after {} sweeps", report->sweeps());
  if (worst != nullptr) {
    result.summary +=
        fmt::format("; {} {} of {} from {}: {}", worst->count(), worst->kind(),
                    worst->owner().empty() ? "somebody" : worst->owner(),
                    worst->site().empty() ? "an unknown place" : worst->site(), worst->rule());
  }
  result.figures = {
      {"findings", "", static_cast<double>(standing), static_cast<double>(options.warning_count),
       std::nullopt, "Findings of the leak detector that stand."},
      {"alerting", "", static_cast<double>(alerting), std::nullopt,
       static_cast<double>(options.critical_count), "Those of them that raise an alert."},
      {"descriptors", "", static_cast<double>(report->descriptors_used()), std::nullopt,
       std::nullopt, "File descriptors in use."}};
}

// -------------------------------------------------------------------------------------------------

using Check = void (*)(Context&, const CheckOptions&, CheckResult&);

const std::map<std::string, CheckFormat>& Formats() {
  static const std::map<std::string, CheckFormat> all = {{"nagios", CheckFormat::kNagios},
                                                         {"json", CheckFormat::kJson},
                                                         {"prometheus", CheckFormat::kPrometheus}};
  return all;
}

absl::Status Run(Context& context, const std::string& name, Check check,
                 const CheckOptions& options) {
  CheckResult result{name, context.Target()};
  check(context, options, result);
  const CheckFormat format = context.json ? CheckFormat::kJson : Formats().at(options.format);
  const std::string text = Render(result, format, context.schema);
  const absl::Status written =
      options.output.empty() ? WriteOut(text) : WriteFile(options.output, text, kReadable);
  if (!written.ok()) {
    PrintError(written);
    return EndWith(kCheckUnknown);
  }
  if (result.state == CheckState::kOk) return absl::OkStatus();
  return EndWith(static_cast<ExitCode>(result.state));
}

// What every check takes.
std::shared_ptr<CheckOptions> AddCheckCommand(CLI::App& group, Context& context,
                                              const std::string& name, const std::string& help,
                                              Check check) {
  auto options = std::make_shared<CheckOptions>();
  auto* command = group.add_subcommand(name, help);
  command->add_option("--format", options->format, "nagios (default), json or prometheus")
      ->check(CLI::IsMember(Formats()));
  command
      ->add_option("-o,--output", options->output,
                   "Replace this file in one step (default: standard output)")
      ->type_name("FILE");
  command->callback([options, name, check, &context] {
    context.command = [options, name, check](Context& c) { return Run(c, name, check, *options); };
  });
  return options;
}

}  // namespace

void AddCheck(CLI::App& app, Context& context) {
  auto* group =
      app.add_subcommand("check", "Judge a peer for Nagios, Icinga or a textfile collector");
  group->require_subcommand(1);
  group->footer(
      "Exit codes are those of Nagios, also for mistakes: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.");

  auto conn = AddCheckCommand(*group, context, "conn",
                              "Whether the peer answers, how fast, and whom it has a link to",
                              CheckConnection);
  auto* command = group->get_subcommand("conn");
  command->footer(
      "CRITICAL: it cannot be reached, is not ready, is slow, or has too few links. WARNING: a "
      "peer that did not leave has no link.");
  conn->warning = milliseconds(500);
  conn->critical = std::chrono::seconds(2);
  AddDuration(*command, "--warning", conn->warning, "Slower is WARNING (default 500ms)");
  AddDuration(*command, "--critical", conn->critical, "Slower is CRITICAL (default 2s)");
  AddNumber(*command, "--peers", conn->peers, kMostMessages,
            "Fewer peers linked are CRITICAL (default: none need be)");

  auto certs =
      AddCheckCommand(*group, context, "certs",
                      "When certificates expire: the peer's and, where it can be read, the CA's",
                      CheckCertificates);
  command = group->get_subcommand("certs");
  command->footer(
      "Of seven days at least 33 hours are left when renewal works. The CA's own certificate is "
      "known to the user of the peer, to root, and with --identity; WARNING at 90 days, CRITICAL "
      "at 30.");
  certs->warning = hours(24);
  certs->critical = hours(2);
  AddDuration(*command, "--warning", certs->warning, "Sooner is WARNING (default 1d)");
  AddDuration(*command, "--critical", certs->critical, "Sooner is CRITICAL (default 2h)");
  command->add_flag("--all", certs->all, "Of every living peer, not of this one only");

  auto leaks =
      AddCheckCommand(*group, context, "leaks", "What the leak detector has found", CheckLeaks);
  command = group->get_subcommand("leaks");
  command->footer("\"peermesh leaks\" shows the evidence.");
  AddNumber(*command, "--warning", leaks->warning_count, kMostMessages,
            "So many findings are WARNING (default 1)");
  AddNumber(*command, "--critical", leaks->critical_count, kMostMessages,
            "So many that raise an alert are CRITICAL (default 1)");
}

}  // namespace peermesh::cli
