// peermesh reload: the peer reads its configuration again, and says what came of it.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <string>

#include "client/cli/ask.h"
#include "client/cli/context.h"
#include "client/cli/output.h"
#include "peermesh/v1/admin.grpc.pb.h"

namespace peermesh::cli {
namespace {

std::string Render(const v1::ReloadResponse& report) {
  if (report.changed().empty() && report.needs_restart().empty()) return "";
  Table table({"SETTING", "OLD", "NEW", "IN FORCE"});
  const auto add = [&table](const v1::SettingChange& change, const Cell& when) {
    table.Add(
        {Escape(change.setting()), Escape(change.old_value()), Escape(change.new_value()), when});
  };
  for (const auto& change : report.changed()) add(change, {"now", Style::kGood});
  for (const auto& change : report.needs_restart())
    add(change, {"after a restart", Style::kWarning});
  return table.Render(WantsColour(stdout));
}

std::string Sum(const v1::ReloadResponse& report) {
  const auto settings = [](std::int64_t n) {
    return fmt::format("{} setting{}", n, n == 1 ? "" : "s");
  };
  const int changed = report.changed_size(), waiting = report.needs_restart_size();
  std::string text =
      changed == 0 ? "Nothing has changed" : fmt::format("Reloaded: {} changed", settings(changed));
  if (waiting > 0)
    text += fmt::format("; {} need{} a restart", settings(waiting), waiting == 1 ? "s" : "");
  return fmt::format("{}; {} as before.", text, settings(report.unchanged()));
}

absl::Status Reload(Context& context) {
  const auto report = Ask<v1::AdminService>(context.DialAdmin(), &v1::AdminService::Stub::Reload,
                                            v1::ReloadRequest());
  if (!report.ok()) return report.status();
  if (context.json) return WriteOut(ToJson(context.schema, *report, Json::kIndented));
  if (auto status = WriteOut(Render(*report)); !status.ok()) return status;
  Note(Sum(*report));
  return absl::OkStatus();
}

}  // namespace

void AddReload(CLI::App& app, Context& context) {
  auto* command =
      app.add_subcommand("reload", "Make the peer read its configuration and certificate again");
  command->footer(
      "The same as SIGHUP, with an answer: what is in force now, and what a restart would change. "
      "A file that a start would refuse changes nothing, and the exit code is 1; \"peermesh config "
      "check FILE\" says so before.");
  command->callback([&context] { context.command = [](Context& c) { return Reload(c); }; });
}

}  // namespace peermesh::cli
