// Configurations as people write them.
//
// An input is a YAML file; one that begins with a line "set" holds settings instead, `path=value` a
// line, as flags and the environment give them.
#include "server/config/config.h"

#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <string>

#include "mesh/base/check.h"
#include "server/config/value.h"
#include "tests/fuzz/fuzz.h"

namespace peermesh::fuzz {
namespace {

using config::v1::Config;
using google::protobuf::util::MessageDifferencer;

constexpr std::string_view kFile = "file.yaml";

void CheckWhy(const absl::Status& status) {
  PM_CHECK(status.code() == absl::StatusCode::kInvalidArgument && !status.message().empty());
}

// Defaults are filled in once and for all; a whole that cannot work is refused with the reason.
void TryWhole(Config config) {
  config::Host host;
  host.name = "host";
  host.working_directory = "/work";
  host.home = "/home/user";
  config::FillDefaults(config, host);
  Config again = config;
  config::FillDefaults(again, host);
  PM_CHECK(MessageDifferencer::Equals(config, again));
  if (const absl::Status status = config::Validate(config); !status.ok()) return CheckWhy(status);
  PM_CHECK(config::IsListenAddress(config.listen()) &&
           config::IsListenAddress(config.ca().listen()));
  PM_CHECK(config.data_dir().starts_with('/') && config.run_dir().starts_with('/'));
  PM_CHECK(!config.name().empty() && config.name().size() <= 63);
  PM_CHECK(config.limits().connections_per_address() <= config.limits().connections());
  PM_CHECK(config.ca().certificate_lifetime().seconds() <= config::kMaxCertificateLifetime.count());
}

void TryYaml(std::string_view text) {
  const auto config = config::ParseYaml(text, kFile);
  if (config.ok()) return TryWhole(*config);
  CheckWhy(config.status());
  PM_CHECK(std::string(config.status().message()).starts_with(kFile));
}

void TryValues(std::string_view text) {
  if (const auto duration = config::ParseDuration(text); duration.ok()) {
    PM_CHECK(duration->count() >= 0 && *duration <= config::kMaxDuration);
    const auto again = config::ParseDuration(std::to_string(duration->count()) + "us");
    PM_CHECK(again.ok() && *again == *duration);
  } else {
    CheckWhy(duration.status());
  }
  if (const auto number = config::ParseNumber(text); number.ok()) {
    const auto again = config::ParseNumber(std::to_string(*number));
    PM_CHECK(again.ok() && *again == *number);
  } else {
    CheckWhy(number.status());
  }
  for (const std::string& part : config::ParseList(text)) {
    PM_CHECK(!part.empty() && part.find(',') == std::string::npos);
    PM_CHECK(part.find_first_of(" \t") != 0 && part.find_last_of(" \t") != part.size() - 1);
  }
}

// A refused setting changes nothing; one that is taken is taken from the same words in a file too.
void TrySettings(Parts& parts) {
  static const auto* const paths = new auto(config::SettingPaths());
  Config config;
  while (!parts.empty()) {
    const std::string_view line = parts.Line();
    const std::size_t equals = std::min(line.find('='), line.size());
    const std::string path(line.substr(0, equals));
    const std::string value(line.substr(std::min(equals + 1, line.size())));
    TryValues(value);
    const Config before = config;
    const absl::Status status = config::Set(config, {path, value});
    if (!status.ok()) {
      CheckWhy(status);
      PM_CHECK(MessageDifferencer::Equals(config, before));
      continue;
    }
    PM_CHECK(std::find(paths->begin(), paths->end(), path) != paths->end());
    const std::string entry = config::VariableName(path) + "=" + value;
    if (value.empty() || value.find('\0') != std::string::npos) continue;
    const char* const variables[] = {"PATH=/bin", entry.c_str(), nullptr};
    const auto settings = config::FromEnvironment(variables);
    PM_CHECK(settings.size() == 1 && settings[0].path == path && settings[0].value == value);
  }
  TryWhole(config);
}

}  // namespace

void Try(std::string_view input) {
  Parts parts(input);
  if (parts.Line() == "set") return TrySettings(parts);
  TryYaml(input);
}

}  // namespace peermesh::fuzz
