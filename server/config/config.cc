#include "server/config/config.h"

#include "server/config/value.h"

namespace peermesh::config {

absl::StatusOr<v1::Config> Written(const Sources& sources) {
  v1::Config config;
  if (!sources.file.empty()) {
    auto read = ReadFile(sources.file);
    if (!read.ok()) return read.status();
    config = *std::move(read);
  }
  for (const Setting& setting : sources.environment) {
    if (auto status = Set(config, setting); !status.ok()) {
      return At(VariableName(setting.path), status);
    }
  }
  for (const Setting& setting : sources.flags) {
    if (auto status = Set(config, setting); !status.ok()) {
      return At(setting.path, status);
    }
  }
  return config;
}

absl::StatusOr<v1::Config> Load(const Sources& sources) {
  auto config = Written(sources);
  if (!config.ok()) return config;
  FillDefaults(*config, sources.host);
  if (auto status = Validate(*config); !status.ok()) return status;
  return config;
}

}  // namespace peermesh::config
