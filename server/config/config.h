// The configuration of a peer: from a YAML file, the environment and flags to one checked message.
//
// The schema is peermesh.config.v1.Config; nothing here knows a setting by name but the defaults
// and the checks. A setting is named by its path: `metrics.listen` in YAML is
//
//   metrics:
//     listen: 127.0.0.1:9464
//
// PEERMESH_METRICS_LISTEN in the environment, and Setting{"metrics.listen", ...} from a flag.
// Precedence: flag, environment, file, default. A list in the environment or a flag is comma
// separated and replaces the whole list.
//
// What is unknown or of the wrong type is refused with file and line, because a limit that is
// misspelt and therefore absent is found too late. Unknown variables are not refused: Kubernetes
// makes PEERMESH_SERVICE_HOST and its kin for a service named peermesh.
//
// Errors are for people: one sentence what is wrong, one what to do. Functions are pure but for
// ReadFile and Host::Current, and thread-safe.
#ifndef PEERMESH_SERVER_CONFIG_CONFIG_H_
#define PEERMESH_SERVER_CONFIG_CONFIG_H_

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "peermesh/config/v1/config.pb.h"

namespace peermesh::config {

inline constexpr std::size_t kMaxFileBytes = 1u << 20;  // a configuration, not a data set

// Life of a peer's certificate: here, and for --certificate-lifetime of the CA.
inline constexpr std::chrono::seconds kMinCertificateLifetime(1);  // tests of renewal
inline constexpr std::chrono::seconds kMaxCertificateLifetime = std::chrono::hours(24 * 365);

// One value for one setting, in text.
struct Setting {
  std::string path;  // "metrics.listen"
  std::string value;
};

// What defaults depend on.
struct Host {
  bool root = false;
  std::string name;               // of the host, up to its first dot
  std::string working_directory;  // relative paths start here
  std::string home;               // HOME
  std::string xdg_state_home;     // XDG_STATE_HOME
  std::string xdg_runtime_dir;    // XDG_RUNTIME_DIR
  bool terminal = false;          // standard error is one

  static Host Current();
};

struct Sources {
  std::string file;                  // path; empty: none
  std::vector<Setting> environment;  // see FromEnvironment
  std::vector<Setting> flags;
  Host host;
};

// Everything at once: what a main() calls. The result is complete and valid.
absl::StatusOr<v1::Config> Load(const Sources& sources);
// Only what somebody wrote, without defaults and checks.
absl::StatusOr<v1::Config> Written(const Sources& sources);
// What Load comes to, as YAML that Load takes for a file: every setting, with a comment that says
// whether it is from a flag, the environment, a line of the file, or a default.
absl::StatusOr<std::string> Describe(const Sources& sources);

// A setting of a configuration and its value as YAML has it.
struct Value {
  std::string path;
  std::string text;
};
// All of them, in the order of the schema.
std::vector<Value> Values(const v1::Config& config);

// The steps of Load. `name` stands for the file in messages. An empty text is an empty
// configuration.
// `lines`, if given, learns where each setting is.
using Lines = std::map<std::string, int, std::less<>>;  // path to line, from 1
absl::StatusOr<v1::Config> ParseYaml(std::string_view text, std::string_view name,
                                     Lines* lines = nullptr);
absl::StatusOr<v1::Config> ReadFile(const std::string& path, Lines* lines = nullptr);

// The settings among the variables ("NAME=value", as in environ; null at the end). Empty values are
// not settings.
std::vector<Setting> FromEnvironment(const char* const* variables);

// Sets one field from text, as a flag does. `config` is unchanged on error.
absl::Status Set(v1::Config& config, const Setting& setting);

// The paths of all settings, in the order of the schema, and the variable that stands for one.
std::vector<std::string> SettingPaths();
std::string VariableName(std::string_view path);

// Fills in what is absent, as the comments in config.proto promise; makes directories absolute.
void FillDefaults(v1::Config& config, const Host& host);

// "host:port" or "[v6]:port": what a listener may be told.
bool IsListenAddress(std::string_view text);

// Every reason why a complete configuration cannot work, one per line.
absl::Status Validate(const v1::Config& config);

}  // namespace peermesh::config

#endif  // PEERMESH_SERVER_CONFIG_CONFIG_H_
