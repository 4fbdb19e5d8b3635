#include "server/peer/reload.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "mesh/base/limits.h"
#include "server/config/logging.h"
#include "server/peer/enrolment.h"

namespace peermesh {
namespace {

constexpr config::Logger kLog("reload");

constexpr std::string_view kReloaded[] = {"seeds", "log.level", "limits.", "drain_timeout"};

std::string Expiry(const identity::Certificate& certificate) {
  const auto seconds =
      std::chrono::duration_cast<std::chrono::seconds>(certificate.not_after().time_since_epoch());
  return fmt::format("until {:%Y-%m-%dT%H:%M:%SZ}",
                     fmt::gmtime(static_cast<std::time_t>(seconds.count())));
}

void Add(google::protobuf::RepeatedPtrField<v1::SettingChange>& list, const std::string& setting,
         const std::string& before, const std::string& after) {
  v1::SettingChange& change = *list.Add();
  change.set_setting(setting);
  change.set_old_value(before);
  change.set_new_value(after);
}

void LogReport(const v1::ReloadResponse& report) {
  for (const v1::SettingChange& change : report.changed()) {
    kLog.Info(
        "setting changed",
        {{"setting", change.setting()}, {"old", change.old_value()}, {"new", change.new_value()}});
  }
  for (const v1::SettingChange& change : report.needs_restart()) {
    kLog.Warning(
        "setting needs a restart",
        {{"setting", change.setting()}, {"old", change.old_value()}, {"new", change.new_value()}});
  }
  kLog.Info("reloaded", {{"changed", report.changed_size()},
                         {"needs_restart", report.needs_restart_size()},
                         {"unchanged", report.unchanged()}});
}

}  // namespace

bool IsReloaded(std::string_view path) {
  return std::any_of(std::begin(kReloaded), std::end(kReloaded), [&](std::string_view name) {
    return name.ends_with('.') ? path.starts_with(name) : path == name;
  });
}

config::v1::Config WithStoredSeeds(config::v1::Config config) {
  for (const std::string& seed : ReadSeeds(config.data_dir())) {
    if (config.seeds_size() >= static_cast<int>(kMaxSeeds)) break;  // those written come first
    if (std::find(config.seeds().begin(), config.seeds().end(), seed) == config.seeds().end())
      config.add_seeds(seed);
  }
  return config;
}

Reloader::Reloader(config::Sources sources, config::v1::Config running,
                   const tls::Material& material,
                   std::function<identity::Certificate()> certificate, Target target)
    : sources_(std::move(sources)),
      running_(std::move(running)),
      id_(material.key.id()),
      roots_(material.bundle.ToPem()),
      certificate_(std::move(certificate)),
      target_(std::move(target)) {}

absl::StatusOr<v1::ReloadResponse> Reloader::Reload() {
  v1::ReloadResponse report;
  auto fresh = config::Load(sources_);
  const absl::Status usable = fresh.ok() ? ReloadIdentity(report) : fresh.status();
  if (!usable.ok()) {
    kLog.Error("not reloaded; nothing has changed", {{"error", std::string(usable.message())}});
    return usable;
  }
  running_ = Merge(WithStoredSeeds(*std::move(fresh)), report);
  target_.reconfigure(running_);
  const auto level = config::ParseLevel(running_.log().level()).value_or(config::Level::kInfo);
  // Said at the more talkative of both levels, whichever it is.
  if (config::LogEnabled(config::Level::kInfo)) {
    LogReport(report);
    config::SetLogLevel(level);
  } else {
    config::SetLogLevel(level);
    LogReport(report);
  }
  return report;
}

// The last of what may fail: a certificate that cannot be used changes nothing.
absl::Status Reloader::ReloadIdentity(v1::ReloadResponse& report) {
  const auto material = tls::LoadMaterial(IdentityDirectory(running_.data_dir()));
  if (!material.ok()) return material.status();
  if (material->key.id() != id_) {
    Add(*report.mutable_needs_restart(), "identity", id_.ToText(), material->key.id().ToText());
    return absl::OkStatus();
  }
  if (material->bundle.ToPem() != roots_)
    Add(*report.mutable_needs_restart(), "identity/ca.pem", "as at the start", "changed");
  const identity::Certificate current = certificate_();
  if (material->certificate.der() == current.der()) {
    report.set_unchanged(1);
    return absl::OkStatus();
  }
  if (absl::Status status = target_.adopt(material->certificate); !status.ok()) return status;
  Add(*report.mutable_changed(), "identity", Expiry(current), Expiry(material->certificate));
  return absl::OkStatus();
}

// What is in force after a change to `fresh`: of each setting the new value if it can change, else
// the one so far.
config::v1::Config Reloader::Merge(const config::v1::Config& fresh,
                                   v1::ReloadResponse& report) const {
  const std::vector<config::Value> before = config::Values(running_);
  const std::vector<config::Value> after = config::Values(fresh);
  for (std::size_t i = 0; i < before.size(); ++i) {
    if (before[i].text == after[i].text) {
      report.set_unchanged(report.unchanged() + 1);
    } else {
      auto& list =
          IsReloaded(before[i].path) ? *report.mutable_changed() : *report.mutable_needs_restart();
      Add(list, before[i].path, before[i].text, after[i].text);
    }
  }
  config::v1::Config merged = running_;
  *merged.mutable_seeds() = fresh.seeds();
  *merged.mutable_limits() = fresh.limits();
  *merged.mutable_drain_timeout() = fresh.drain_timeout();
  merged.mutable_log()->set_level(fresh.log().level());
  return merged;
}

}  // namespace peermesh
