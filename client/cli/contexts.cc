#include "client/cli/contexts.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "client/cli/exit_code.h"
#include "client/cli/files.h"
#include "client/errors.h"
#include "mesh/identity/identity.h"

namespace peermesh::cli {
namespace {

constexpr char kSuffix[] = ".json";
constexpr mode_t kPrivate = 0600;

struct Field {
  const char* name;
  std::string Place::*value;
};
constexpr Field kFields[] = {{"dataDir", &Place::data_dir},  {"runDir", &Place::run_dir},
                             {"socket", &Place::socket},     {"address", &Place::address},
                             {"identity", &Place::identity}, {"caSocket", &Place::ca_socket}};

std::string UserDirectory() {
  const char* config = std::getenv("XDG_CONFIG_HOME");
  if (config != nullptr && *config == '/') return std::string(config) + "/peermesh";
  const char* home = std::getenv("HOME");
  return std::string(home == nullptr ? "" : home) + "/.config/peermesh";
}

absl::Status CheckName(const std::string& name) {
  if (identity::IsName(name)) return absl::OkStatus();
  return UsageError(
      fmt::format("\"{:.80}\" is no name for a context. Use 1 to {} of a to z, 0 to 9 and -, not - "
                  "at the ends.",
                  name, identity::kMaxNameBytes));
}

absl::Status Unknown(const std::string& name) {
  return client::MakeError(
      absl::StatusCode::kNotFound, "UNKNOWN_CONTEXT",
      fmt::format("There is no context \"{:.80}\". See \"peermesh context ls\".", name));
}

absl::Status Bad(const std::string& path, const std::string& name) {
  return client::MakeError(
      absl::StatusCode::kFailedPrecondition, "BAD_CONTEXT",
      fmt::format("{} is no context. Make it again with \"peermesh context add {} --replace\", or "
                  "remove it.",
                  path, name));
}

// With its parents, for the user alone where it is new.
absl::Status MakeDirectory(const std::string& path) {
  std::error_code error;
  const std::filesystem::path parent = std::filesystem::path(path).parent_path();
  if (!std::filesystem::exists(parent, error) && parent != path) {
    if (auto status = MakeDirectory(parent); !status.ok()) return status;
  }
  if (mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) return absl::OkStatus();
  return absl::InternalError(
      fmt::format("{} cannot be made: {}. Set XDG_CONFIG_HOME to a directory of yours.", path,
                  std::strerror(errno)));
}

}  // namespace

Contexts::Contexts() : directory_(UserDirectory()) {}

std::string Contexts::PathOf(const std::string& name) const {
  return directory_ + "/contexts/" + name + kSuffix;
}

absl::StatusOr<StoredContext> Contexts::Load(const std::string& name) const {
  if (!identity::IsName(name)) return Unknown(name);
  const std::string path = PathOf(name);
  const auto text = ReadFile(path);
  if (absl::IsNotFound(text.status())) return Unknown(name);
  if (!text.ok()) return text.status();
  const auto json = nlohmann::json::parse(*text, nullptr, false);
  if (!json.is_object()) return Bad(path, name);
  StoredContext context;
  context.name = name;
  const auto read = [&json](const char* field, std::string& value) {
    const auto it = json.find(field);
    if (it == json.end()) return true;
    if (!it->is_string()) return false;
    value = it->get<std::string>();
    return true;
  };
  if (!read("description", context.description)) return Bad(path, name);
  for (const Field& field : kFields) {
    if (!read(field.name, context.place.*field.value)) return Bad(path, name);
  }
  if (!context.place.NamesPeer()) return Bad(path, name);
  return context;
}

std::vector<std::string> Contexts::List() const {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory_ + "/contexts", error)) {
    if (entry.path().extension() != kSuffix) continue;
    if (std::string name = entry.path().stem(); identity::IsName(name)) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

bool Contexts::Has(const std::string& name) const {
  return identity::IsName(name) && access(PathOf(name).c_str(), F_OK) == 0;
}

absl::Status Contexts::Save(const StoredContext& context) const {
  if (auto status = CheckName(context.name); !status.ok()) return status;
  if (auto status = MakeDirectory(directory_ + "/contexts"); !status.ok()) return status;
  nlohmann::ordered_json json = {{"schema", "peermesh.context.v1"}};
  if (!context.description.empty()) json["description"] = context.description;
  for (const Field& field : kFields) {
    if (const std::string& value = context.place.*field.value; !value.empty())
      json[field.name] = value;
  }
  const std::string text = json.dump(1, ' ', false, nlohmann::json::error_handler_t::replace);
  return WriteFile(PathOf(context.name), text + "\n", kPrivate);
}

absl::Status Contexts::Remove(const std::string& name) const {
  if (!Has(name)) return Unknown(name);
  if (Current() == name) {
    if (auto status = Use(""); !status.ok()) return status;
  }
  if (unlink(PathOf(name).c_str()) == 0) return absl::OkStatus();
  return absl::InternalError(
      fmt::format("{} cannot be removed: {}.", PathOf(name), std::strerror(errno)));
}

std::string Contexts::Current() const {
  std::string name = ReadFile(directory_ + "/context").value_or("");
  while (!name.empty() && name.back() == '\n') name.pop_back();
  return name;
}

absl::Status Contexts::Use(const std::string& name) const {
  const std::string path = directory_ + "/context";
  if (name.empty()) {
    if (unlink(path.c_str()) == 0 || errno == ENOENT) return absl::OkStatus();
    return absl::InternalError(
        fmt::format("{} cannot be removed: {}.", path, std::strerror(errno)));
  }
  if (!Has(name)) return Unknown(name);
  return WriteFile(path, name + "\n", kPrivate);
}

}  // namespace peermesh::cli
