// peermesh leaks, peermesh resources: what the peer holds, whose it is, and what looks leaked.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "client/cli/ask.h"
#include "client/cli/context.h"
#include "client/cli/exit_code.h"
#include "client/cli/output.h"
#include "client/cli/units.h"
#include "peermesh/v1/admin.grpc.pb.h"

namespace peermesh::cli {
namespace {

constexpr Duration kWatchPause = std::chrono::seconds(2),
                   kCheckPause = std::chrono::milliseconds(200);
constexpr std::uint64_t kSweepsNeeded = 2;  // for a verdict to be confirmed

using Admin = v1::AdminService;

absl::StatusOr<v1::GetLeakReportResponse> GetReport(Context& context) {
  return Ask<Admin>(context.DialAdmin(), &Admin::Stub::GetLeakReport, v1::GetLeakReportRequest());
}

std::string TierOf(const v1::Verdict& verdict) {
  switch (verdict.tier()) {
    case v1::TIER_PROOF: return "proof";
    case v1::TIER_STRONG: return "strong";
    case v1::TIER_WEAK: return "weak";
    default: return "-";
  }
}

std::string StateOf(const v1::Verdict& verdict) {
  if (!verdict.suppressed().empty()) return "suppressed";
  switch (verdict.state()) {
    case v1::VERDICT_STATE_SUSPECTED: return "suspected";
    case v1::VERDICT_STATE_CONFIRMED: return "confirmed";
    case v1::VERDICT_STATE_CLEARED: return "cleared";
    default: return "-";
  }
}

Style StyleOf(const v1::Verdict& verdict) {
  if (verdict.alerts()) return Style::kBad;
  return verdict.state() == v1::VERDICT_STATE_CLEARED || !verdict.suppressed().empty()
             ? Style::kDim
             : Style::kWarning;
}

bool Stands(const v1::Verdict& verdict) {
  return verdict.state() != v1::VERDICT_STATE_CLEARED && verdict.suppressed().empty();
}

std::string Age(const google::protobuf::Duration& duration) {
  return FormatDuration(FromProto(duration));
}

std::string Capacity(const v1::GetLeakReportResponse& report) {
  if (report.descriptors_limit() == 0) return "";
  std::string text =
      fmt::format("descriptors {} of {}", report.descriptors_used(), report.descriptors_limit());
  if (report.has_descriptors_exhausted_in())
    text += ", exhausted in " + Age(report.descriptors_exhausted_in()) + " at this pace";
  return text;
}

std::string RenderReport(const v1::GetLeakReportResponse& report) {
  const auto standing = std::count_if(report.verdicts().begin(), report.verdicts().end(), Stands);
  std::string text;
  if (!report.verdicts().empty()) {
    Table table({"#", "VERDICT", "TIER", "RULE", "KIND", "COUNT", "OLDEST", "SITE", "OWNER"});
    for (const v1::Verdict& verdict : report.verdicts()) {
      table.Add({std::to_string(verdict.number()),
                 {StateOf(verdict), StyleOf(verdict)},
                 TierOf(verdict),
                 Escape(verdict.rule()),
                 Escape(verdict.kind()),
                 std::to_string(verdict.count()),
                 Age(verdict.oldest()),
                 verdict.site().empty() ? "-" : Escape(verdict.site()),
                 verdict.owner().empty() ? "-" : Escape(verdict.owner())});
    }
    text += table.Render(WantsColour(stdout));
  }
  const auto first = std::find_if(report.verdicts().begin(), report.verdicts().end(), Stands);
  text += standing == 0 ? fmt::format("no findings after {} sweep{}", report.sweeps(),
                                      report.sweeps() == 1 ? "" : "s")
                        : fmt::format("{} finding{}; \"peermesh leaks show {}\" says more",
                                      standing, standing == 1 ? "" : "s", first->number());
  const std::string capacity = Capacity(report);
  text += capacity.empty() ? "\n" : "; " + capacity + "\n";
  if (report.level() == "off")
    text += "the level is off: resources are counted, and only the counts are judged\n";
  return text;
}

absl::Status Leaks(Context& context) {
  const auto report = GetReport(context);
  if (!report.ok()) return report.status();
  return WriteOut(context.json ? ToJson(context.schema, *report, Json::kIndented)
                               : RenderReport(*report));
}

std::string RenderVerdict(const v1::Verdict& verdict) {
  const bool colour = WantsColour(stdout);
  std::string text;
  const auto line = [&](const char* label, const std::string& value) {
    text += fmt::format("{:<11}{}\n", label, value);
  };
  line("finding", fmt::format("{}: {} {}: {}", verdict.number(), verdict.count(),
                              Escape(verdict.kind()), Escape(verdict.rule())));
  line("verdict", Paint(StateOf(verdict), StyleOf(verdict), colour) + ", " + TierOf(verdict) +
                      (verdict.alerts() ? ", raises an alert" : ""));
  line("because", Escape(verdict.because()));
  if (!verdict.suppressed().empty()) line("suppressed", Escape(verdict.suppressed()));
  if (!verdict.site().empty())
    line("born at", Escape(verdict.site()) + "  " + Escape(verdict.function()));
  if (!verdict.owner().empty())
    line("owner", fmt::format("{} ({} of {})", Escape(verdict.owner()), verdict.owner_count(),
                              verdict.count()));
  line("since", Age(verdict.since()) + " ago; the oldest is " + Age(verdict.oldest()));
  for (const v1::ResourceExample& example : verdict.examples()) {
    text += fmt::format("\n  {}  {}\n    age {}, not used for {}{}\n", example.id(),
                        Escape(example.scope()), Age(example.age()), Age(example.idle()),
                        example.note().empty() ? "" : ", " + Escape(example.note()));
    for (const std::string& frame : example.stack())
      text += fmt::format("    at {}\n", Escape(frame));
  }
  return text;
}

absl::Status Show(Context& context, std::uint64_t number) {
  const auto report = GetReport(context);
  if (!report.ok()) return report.status();
  for (const v1::Verdict& verdict : report->verdicts()) {
    if (verdict.number() != number) continue;
    return WriteOut(context.json ? ToJson(context.schema, verdict, Json::kIndented)
                                 : RenderVerdict(verdict));
  }
  return client::MakeError(absl::StatusCode::kNotFound, "UNKNOWN_FINDING",
                           fmt::format("There is no finding {}. See \"peermesh leaks\".", number));
}

// Everything: verdicts, and each live resource.
absl::Status Dump(Context& context, const std::string& file) {
  const auto report = GetReport(context);
  if (!report.ok()) return report.status();
  v1::ListResourcesRequest each;
  each.set_by(v1::RESOURCE_GROUPING_EACH);
  const auto resources = Ask<Admin>(context.DialAdmin(), &Admin::Stub::ListResources, each);
  if (!resources.ok()) return resources.status();
  const std::string text =
      fmt::format("{{\"schema\": \"{}\",\n\"report\": {},\"resources\": {}}}\n", context.schema,
                  ToJson("", *report, Json::kIndented), ToJson("", *resources, Json::kIndented));
  if (file.empty() || file == "-") return WriteOut(text);
  std::ofstream out(file, std::ios::binary | std::ios::trunc);
  out << text;
  out.close();
  if (!out) return absl::InternalError(fmt::format("{} cannot be written.", file));
  Note(fmt::format("Written to {}.", file));
  return absl::OkStatus();
}

// For a user's own CI: after the soak, whatever stands decides.
absl::Status Check(Context& context, Duration soak) {
  const auto deadline = std::chrono::steady_clock::now() + soak;
  absl::StatusOr<v1::GetLeakReportResponse> report = GetReport(context);
  if (!report.ok()) return report.status();
  // At least two more sweeps, or nothing could be confirmed.
  const std::uint64_t enough = report->sweeps() + kSweepsNeeded;
  while (std::chrono::steady_clock::now() < deadline || report->sweeps() < enough) {
    std::this_thread::sleep_for(kCheckPause);
    report = GetReport(context);
    if (!report.ok()) return report.status();
  }
  if (auto status = WriteOut(context.json ? ToJson(context.schema, *report, Json::kIndented)
                                          : RenderReport(*report));
      !status.ok()) {
    return status;
  }
  bool suspected = false, confirmed = false;
  for (const v1::Verdict& verdict : report->verdicts()) {
    confirmed |= verdict.alerts();
    suspected |= Stands(verdict);
  }
  if (confirmed) return EndWith(kLeaksConfirmed);
  return suspected ? EndWith(kLeaksSuspected) : absl::OkStatus();
}

absl::Status Level(Context& context, const std::string& level) {
  if (level.empty()) {
    const auto report = GetReport(context);
    if (!report.ok()) return report.status();
    return WriteOut(context.json ? fmt::format("{{\"schema\":\"{}\",\"level\":\"{}\"}}\n",
                                               context.schema, report->level())
                                 : report->level() + "\n");
  }
  v1::SetLedgerLevelRequest request;
  request.set_level(level);
  const auto response = Ask<Admin>(context.DialAdmin(), &Admin::Stub::SetLedgerLevel, request);
  if (!response.ok()) return response.status();
  if (context.json) return WriteOut(ToJson(context.schema, *response, Json::kIndented));
  Note(fmt::format("The level was {} and is {} from now on.", response->previous(), level));
  return absl::OkStatus();
}

// --- resources -----------------------------------------------------------------------------------

struct ResourcesOptions {
  std::string by = "kind", kind;
  Duration older{};
  bool watch = false;
};

const std::map<std::string, v1::ResourceGrouping>& Groupings() {
  static const std::map<std::string, v1::ResourceGrouping> all = {
      {"kind", v1::RESOURCE_GROUPING_KIND},
      {"peer", v1::RESOURCE_GROUPING_OWNER},
      {"site", v1::RESOURCE_GROUPING_SITE},
      {"scope", v1::RESOURCE_GROUPING_SCOPE},
      {"each", v1::RESOURCE_GROUPING_EACH}};
  return all;
}

std::string RenderResources(const v1::ListResourcesResponse& resources, const std::string& by) {
  if (resources.rows().empty()) return "nothing of that kind and age is live\n";
  const auto cell = [](const std::string& text) { return text.empty() ? "-" : Escape(text); };
  const bool one_column = by == "kind" || by == "site";
  std::vector<std::string> headers = {"LIVE", "OLDEST", "UNUSED", "KIND"};
  if (by != "kind") headers.emplace_back(by == "site" ? "SITE" : by == "peer" ? "OWNER" : "SCOPE");
  if (!one_column) headers.emplace_back("SITE");
  Table table(headers);
  for (const v1::ResourceRow& row : resources.rows()) {
    std::vector<Cell> cells = {std::to_string(row.live()), Age(row.oldest()),
                               Age(row.longest_idle()), cell(row.kind())};
    if (by != "kind")
      cells.emplace_back(cell(by == "site"   ? row.site()
                              : by == "peer" ? row.owner()
                                             : row.scope()));
    if (!one_column) cells.emplace_back(cell(row.site()));
    table.Add(std::move(cells));
  }
  std::string text = table.Render(WantsColour(stdout));
  if (resources.left_off() > 0)
    text += fmt::format("and {} more rows; --kind and --older choose\n", resources.left_off());
  return text;
}

absl::Status Resources(Context& context, const ResourcesOptions& options) {
  v1::ListResourcesRequest request;
  request.set_by(Groupings().at(options.by));
  request.set_kind(options.kind);
  *request.mutable_older_than() = ToProto(options.older);
  for (;;) {
    const auto resources = Ask<Admin>(context.DialAdmin(), &Admin::Stub::ListResources, request);
    if (!resources.ok()) return resources.status();
    const Json form = options.watch ? Json::kOneLine : Json::kIndented;
    const std::string text = context.json ? ToJson(context.schema, *resources, form)
                                          : RenderResources(*resources, options.by);
    const bool clear = options.watch && !context.json && WantsColour(stdout);
    if (auto status = WriteOut((clear ? "\x1b[H\x1b[2J" : "") + text); !status.ok()) return status;
    if (!options.watch) return absl::OkStatus();
    if (auto status = FlushOut(); !status.ok()) return status;
    std::this_thread::sleep_for(kWatchPause);
  }
}

void AddResources(CLI::App& app, Context& context) {
  auto options = std::make_shared<ResourcesOptions>();
  auto* command = app.add_subcommand("resources", "Show what the peer holds");
  command->add_option("--by", options->by, "How to group; each: not at all (default kind)")
      ->check(CLI::IsMember(Groupings()));
  command->add_option("--kind", options->kind, "Only this kind")->type_name("KIND");
  AddDuration(*command, "--older", options->older, "Only what is at least this old");
  command->add_flag("-w,--watch", options->watch,
                    "Show it again every 2 s, until a signal ends it");
  command->callback([options, &context] {
    context.command = [options](Context& c) { return Resources(c, *options); };
  });
}

}  // namespace

void AddLeaks(CLI::App& app, Context& context) {
  auto* leaks =
      app.add_subcommand("leaks", "Show which resources of the peer look leaked, and whose");
  leaks->footer(
      "A finding needs two sweeps, 4 s. \"proof\" cannot be wrong, \"strong\" is a broken "
      "contract, \"weak\" is statistics. A finding is suppressed, with a reason and until a day, "
      "by "
      "a line in the file \"suppressions\" of the data directory:\n"
      "  KIND SITE RULE 2027-01-31 REASON");
  leaks->require_subcommand(0, 1);
  leaks->callback([leaks, &context] {
    if (leaks->get_subcommands().empty()) context.command = [](Context& c) { return Leaks(c); };
  });
  auto number = std::make_shared<std::uint64_t>();
  auto* show = leaks->add_subcommand("show", "One finding with its evidence");
  show->add_option("NUMBER", *number, "Its number in \"peermesh leaks\"")->required();
  show->callback(
      [number, &context] { context.command = [number](Context& c) { return Show(c, *number); }; });
  auto file = std::make_shared<std::string>();
  auto* dump = leaks->add_subcommand("dump", "Every finding and every resource, as JSON");
  dump->add_option("-o,--output", *file, "File to write (default: standard output)")
      ->type_name("FILE");
  dump->callback(
      [file, &context] { context.command = [file](Context& c) { return Dump(c, *file); }; });
  auto soak = std::make_shared<Duration>();
  auto* check =
      leaks->add_subcommand("check", "Exit with 0 if nothing is found, 10 or 11 otherwise");
  check->footer(
      "10: suspected only, or by statistics. 11: confirmed, by proof or a broken contract.");
  AddDuration(*check, "--soak", *soak, "Watch so long before judging (default: two sweeps)");
  check->callback(
      [soak, &context] { context.command = [soak](Context& c) { return Check(c, *soak); }; });
  auto level = std::make_shared<std::string>();
  auto* set = leaks->add_subcommand("level", "Show or change what is remembered of a resource");
  set->add_option("LEVEL", *level, "off, track, stacks (with stacks of births) or paranoid")
      ->check(CLI::IsMember({"off", "track", "stacks", "paranoid"}));
  set->callback(
      [level, &context] { context.command = [level](Context& c) { return Level(c, *level); }; });
  AddResources(app, context);
}

}  // namespace peermesh::cli
