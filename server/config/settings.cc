#include <fmt/format.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <cctype>
#include <map>

#include "server/config/config.h"
#include "server/config/value.h"

namespace peermesh::config {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

void Collect(const Descriptor& section, const std::string& prefix,
             std::vector<std::string>& paths) {
  for (int i = 0; i < section.field_count(); ++i) {
    const FieldDescriptor& field = *section.field(i);
    if (IsValue(field)) {
      paths.push_back(prefix + field.name());
    } else {
      Collect(*field.message_type(), prefix + field.name() + ".", paths);
    }
  }
}

}  // namespace

std::vector<std::string> SettingPaths() {
  std::vector<std::string> paths;
  Collect(*v1::Config::descriptor(), "", paths);
  return paths;
}

std::string VariableName(std::string_view path) {
  std::string name = "PEERMESH_";
  for (const char c : path) {
    name.push_back(c == '.' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c))));
  }
  return name;
}

std::vector<Setting> FromEnvironment(const char* const* variables) {
  std::map<std::string, std::string, std::less<>> paths;
  for (const std::string& path : SettingPaths()) paths.emplace(VariableName(path), path);
  std::vector<Setting> settings;
  for (; *variables != nullptr; ++variables) {
    const std::string_view variable = *variables;
    const std::size_t equals = variable.find('=');
    if (equals == std::string_view::npos || equals + 1 == variable.size()) continue;
    const auto found = paths.find(variable.substr(0, equals));
    if (found != paths.end()) {
      settings.push_back({found->second, std::string(variable.substr(equals + 1))});
    }
  }
  return settings;
}

absl::Status Set(v1::Config& config, const Setting& setting) {
  v1::Config changed = config;
  Message* section = &changed;
  const FieldDescriptor* field = nullptr;
  std::string_view rest = setting.path;
  for (;;) {
    const std::string_view word = rest.substr(0, rest.find('.'));
    field = section->GetDescriptor()->FindFieldByName(std::string(word));
    const bool last = word.size() == rest.size();
    if (field == nullptr || IsValue(*field) != last) {
      const std::string nearest = Nearest(setting.path, SettingPaths());
      return absl::InvalidArgumentError(
          fmt::format("there is no setting '{}'. {}", setting.path,
                      nearest.empty() ? "The comments in config.proto name them all."
                                      : fmt::format("Did you mean '{}'?", nearest)));
    }
    if (last) break;
    rest.remove_prefix(word.size() + 1);
    section = section->GetReflection()->MutableMessage(section, field);
  }
  if (field->is_repeated()) {
    section->GetReflection()->ClearField(section, field);
    for (const std::string& part : ParseList(setting.value)) {
      if (auto status = SetValue(*section, *field, part); !status.ok()) return status;
    }
  } else if (auto status = SetValue(*section, *field, setting.value); !status.ok()) {
    return status;
  }
  config = std::move(changed);
  return absl::OkStatus();
}

}  // namespace peermesh::config
