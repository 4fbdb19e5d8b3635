// peermesh config: what a peer is told by file, environment and flags, as the peer itself reads it.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "client/cli/ask.h"
#include "client/cli/context.h"
#include "client/cli/daemon.h"
#include "client/cli/exit_code.h"
#include "client/cli/files.h"
#include "client/cli/lines.h"
#include "client/cli/output.h"
#include "peermesh/v1/admin.grpc.pb.h"

namespace peermesh::cli {
namespace {

struct ConfigOptions {
  std::string file;
  bool running = false;
};

// What was said on this command line.
DaemonRun FromHere(const Context& context, const ConfigOptions& options, const char* purpose) {
  DaemonRun run;
  run.arguments = {purpose};
  const auto add = [&run](const char* flag, const std::string& value) {
    if (!value.empty()) run.arguments.insert(run.arguments.end(), {flag, value});
  };
  add("--config", options.file);
  add("--data-dir", context.data_dir);
  add("--run-dir", context.run_dir);
  return run;
}

// Flags that say what to do once, and are no settings. The second kind has a value.
bool IsNoSetting(const std::string& word) { return word == "--create"; }
bool IsNoSettingWithValue(const std::string& word) {
  constexpr std::array kFlags = {"--join", "--ready-fd"};
  return std::find(kFlags.begin(), kFlags.end(), word) != kFlags.end();
}

// The flags, environment and directory that the peer was started with.
absl::StatusOr<DaemonRun> FromProcess(Context& context) {
  const auto status = Ask<v1::AdminService>(context.DialAdmin(), &v1::AdminService::Stub::GetStatus,
                                            v1::GetStatusRequest());
  if (!status.ok()) return status.status();
  const std::string process = fmt::format("/proc/{}", status->process_id());
  const auto words = ReadFile(process + "/cmdline");
  const auto variables = ReadFile(process + "/environ");
  std::error_code error;
  const auto directory = std::filesystem::read_symlink(process + "/cwd", error);
  if (!words.ok() || !variables.ok() || error || words->find(kDaemon) == std::string::npos) {
    return client::MakeError(
        absl::StatusCode::kPermissionDenied, "PROCESS_HIDDEN",
        fmt::format("The flags and environment of process {} cannot be read. Run this as the user "
                    "of the peer or as root, on its host and not from within a container.",
                    status->process_id()));
  }
  DaemonRun run;
  run.arguments = {"--show-config"};
  const std::vector<std::string> all = Split(*words, '\0');
  for (std::size_t i = 1; i < all.size(); ++i) {
    const std::string flag = all[i].substr(0, all[i].find('='));
    if (IsNoSettingWithValue(flag)) {
      i += flag == all[i] ? 1 : 0;
    } else if (!IsNoSetting(flag)) {
      run.arguments.push_back(all[i]);
    }
  }
  run.environment = Split(*variables, '\0');
  run.directory = directory;
  return run;
}

// Lines "  key: value   # origin", as `peermeshd --show-config` writes them: each with its whole
// path.
nlohmann::ordered_json SettingsOf(const std::string& yaml) {
  auto settings = nlohmann::ordered_json::array();
  std::vector<std::string> sections;
  for (const std::string& line : Split(yaml, '\n')) {
    const std::size_t indent = line.find_first_not_of(' ');
    const std::size_t colon = line.find(':');
    if (indent == std::string::npos || colon == std::string::npos) continue;
    sections.resize(indent / 2);
    const std::string key = line.substr(indent, colon - indent);
    const std::size_t comment = line.rfind(" # ");
    if (comment == std::string::npos || comment < colon) {
      sections.push_back(key);
      continue;
    }
    std::string value = line.substr(colon + 1, comment - colon - 1);
    value.erase(0, std::min(value.find_first_not_of(' '), value.size()));
    value.erase(value.find_last_not_of(' ') + 1);
    std::string path;
    for (const std::string& section : sections) path += section + ".";
    settings.push_back(
        {{"path", path + key}, {"value", value}, {"from", line.substr(comment + 3)}});
  }
  return settings;
}

absl::Status CheckConfig(Context& context, const ConfigOptions& options) {
  const auto checked = RunDaemon(FromHere(context, options, "--check-config"));
  if (!checked.ok()) return checked.status();
  const std::string what = options.file.empty() ? "environment" : options.file;
  if (!context.json) {
    return WriteOut(options.file.empty() ? "The environment is good.\n"
                                         : Escape(options.file) + " is good.\n");
  }
  const nlohmann::ordered_json json = {
      {"schema", context.schema}, {"checked", what}, {"good", true}};
  return WriteOut(json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

absl::Status ShowConfig(Context& context, const ConfigOptions& options) {
  if (options.running && !options.file.empty())
    return UsageError("Both a file and --running are given. Give one of them.");
  if (options.running && !context.address.empty()) {
    return UsageError(
        "--running reads how a process of this host was started. Leave --address out, or run it "
        "there.");
  }
  auto run = options.running
                 ? FromProcess(context)
                 : absl::StatusOr<DaemonRun>(FromHere(context, options, "--show-config"));
  if (!run.ok()) return run.status();
  const auto yaml = RunDaemon(*std::move(run));
  if (!yaml.ok()) return yaml.status();
  if (!context.json) return WriteOut(*yaml);
  const nlohmann::ordered_json json = {{"schema", context.schema}, {"settings", SettingsOf(*yaml)}};
  return WriteOut(json.dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

}  // namespace

void AddConfig(CLI::App& app, Context& context) {
  auto* group = app.add_subcommand("config", "Check and show what a peer is told to do");
  group->require_subcommand(1);
  group->footer(
      "It is peermeshd that reads, with --check-config and --show-config: what is good here is "
      "good there.\n\nFlags come before the environment, the environment before the file, and the "
      "file "
      "before defaults.");

  auto checked = std::make_shared<ConfigOptions>();
  auto* check =
      group->add_subcommand("check", "Exit with 0 if a file and the environment are good");
  check->footer("Exit code 2 with line and reason if they are not.");
  check->add_option("FILE", checked->file,
                    "Such as /etc/peermesh/peermesh.yaml (default: the environment alone)");
  check->callback([checked, &context] {
    context.needs_peer = false;
    context.command = [checked](Context& c) { return CheckConfig(c, *checked); };
  });

  auto shown = std::make_shared<ConfigOptions>();
  auto* show = group->add_subcommand("show", "Every setting with its value and where that is from");
  show->footer(
      "As YAML that is a configuration again. --running takes flags, environment and directory "
      "from the process of the peer, and the file as it is now: after a change, what a restart "
      "would "
      "bring.");
  show->add_option("FILE", shown->file, "Of this file, and the environment here");
  show->add_flag("--running", shown->running, "Of the peer that runs on this host");
  show->callback([shown, &context] {
    context.needs_peer = shown->running;
    context.command = [shown](Context& c) { return ShowConfig(c, *shown); };
  });
}

}  // namespace peermesh::cli
