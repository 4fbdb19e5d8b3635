#include <fmt/format.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>

#include "server/config/config.h"
#include "server/config/value.h"

namespace peermesh::config {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

constexpr std::size_t kCommentColumn = 40;

// Needs no quotes in YAML, and is no null.
bool IsPlain(const std::string& text) {
  if (text.empty() || text.back() == ':' || text == "null" || text == "Null" || text == "NULL")
    return false;
  const auto is_word = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; };
  if (!is_word(text.front()) && text.front() != '/') return false;
  return std::all_of(text.begin(), text.end(), [&](char c) {
    return is_word(c) || std::string_view("_./:-").find(c) != std::string_view::npos;
  });
}

std::string Quoted(const std::string& text) {
  if (IsPlain(text)) return text;
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string TextOf(const Message& message, const FieldDescriptor& field) {
  const auto* reflection = message.GetReflection();
  if (field.is_repeated()) {
    std::vector<std::string> entries;
    for (int i = 0; i < reflection->FieldSize(message, &field); ++i) {
      entries.push_back(Quoted(reflection->GetRepeatedString(message, &field, i)));
    }
    return fmt::format("[{}]", fmt::join(entries, ", "));
  }
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING: return Quoted(reflection->GetString(message, &field));
    case FieldDescriptor::CPPTYPE_BOOL:
      return reflection->GetBool(message, &field) ? "true" : "false";
    case FieldDescriptor::CPPTYPE_UINT32:
      return std::to_string(reflection->GetUInt32(message, &field));
    case FieldDescriptor::CPPTYPE_UINT64:
      return std::to_string(reflection->GetUInt64(message, &field));
    default: break;  // see SetValue: what is left is a duration
  }
  const auto& duration =
      static_cast<const google::protobuf::Duration&>(reflection->GetMessage(message, &field));
  return FormatDuration(std::chrono::seconds(duration.seconds()) +
                        std::chrono::microseconds(duration.nanos() / 1000));
}

void Collect(const Message& section, const std::string& prefix, std::vector<Value>& values) {
  const auto& descriptor = *section.GetDescriptor();
  for (int i = 0; i < descriptor.field_count(); ++i) {
    const FieldDescriptor& field = *descriptor.field(i);
    if (IsValue(field)) {
      values.push_back({prefix + field.name(), TextOf(section, field)});
    } else {
      Collect(section.GetReflection()->GetMessage(section, &field), prefix + field.name() + ".",
              values);
    }
  }
}

bool Sets(const std::vector<Setting>& settings, const std::string& path) {
  return std::any_of(settings.begin(), settings.end(),
                     [&](const Setting& setting) { return setting.path == path; });
}

std::string Origin(const Sources& sources, const Lines& lines, const std::string& path) {
  if (Sets(sources.flags, path)) return "flag";
  if (Sets(sources.environment, path)) return "environment, " + VariableName(path);
  const auto line = lines.find(path);
  return line == lines.end() ? "default" : fmt::format("file, line {}", line->second);
}

// The sections of `path` that are not those of `before`, and how deep the setting is then.
std::size_t OpenSections(std::string_view path, std::string_view before, std::string& yaml) {
  std::size_t depth = 0;
  bool same = true;
  for (;; ++depth) {
    const std::size_t dot = path.find('.');
    if (dot == std::string_view::npos) return depth;
    same = same && before.substr(0, before.find('.')) == path.substr(0, dot) &&
           before.find('.') != std::string_view::npos;
    if (!same) yaml += fmt::format("{:{}}{}:\n", "", 2 * depth, path.substr(0, dot));
    if (same) before.remove_prefix(dot + 1);
    path.remove_prefix(dot + 1);
  }
}

}  // namespace

std::vector<Value> Values(const v1::Config& config) {
  std::vector<Value> values;
  Collect(config, "", values);
  return values;
}

absl::StatusOr<std::string> Describe(const Sources& sources) {
  const auto config = Load(sources);
  if (!config.ok()) return config.status();
  Lines lines;
  if (!sources.file.empty()) {
    const auto read = ReadFile(sources.file, &lines);
    if (!read.ok()) return read.status();
  }
  std::string yaml, before;
  for (const Value& value : Values(*config)) {
    const std::size_t depth = OpenSections(value.path, before, yaml);
    const std::string line = fmt::format("{:{}}{}: {}", "", 2 * depth,
                                         value.path.substr(value.path.rfind('.') + 1), value.text);
    yaml += fmt::format("{:<{}} # {}\n", line, kCommentColumn, Origin(sources, lines, value.path));
    before = value.path;
  }
  return yaml;
}

}  // namespace peermesh::config
