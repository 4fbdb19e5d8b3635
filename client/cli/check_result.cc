#include "client/cli/check_result.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "client/cli/output.h"

namespace peermesh::cli {
namespace {

// In a line of Nagios '|' begins the figures.
std::string OneLine(const std::string& text) {
  std::string out = Escape(text);
  for (char& c : out) {
    if (c == '|' || c == '\t') c = ' ';
  }
  return out;
}

std::string Nagios(const CheckResult& result) {
  std::string text = fmt::format("{} - {}", ToString(result.state), OneLine(result.summary));
  const auto bound = [](const std::optional<double>& value) {
    return value ? fmt::format("{}", *value) : "";
  };
  const char* separator = "|";
  for (const Figure& figure : result.figures) {
    text += fmt::format("{}{}={}{};{};{};0", std::exchange(separator, " "), figure.name,
                        figure.value, figure.unit, bound(figure.warning), bound(figure.critical));
  }
  return text + "\n";
}

std::string InJson(const CheckResult& result, std::string_view schema) {
  nlohmann::ordered_json json = {{"schema", schema},
                                 {"status", ToString(result.state)},
                                 {"code", static_cast<int>(result.state)},
                                 {"summary", result.summary},
                                 {"target", result.target},
                                 {"figures", nlohmann::ordered_json::object()}};
  for (const Figure& figure : result.figures) {
    nlohmann::ordered_json& out = json["figures"][figure.name];
    out["value"] = figure.value;
    if (!figure.unit.empty()) out["unit"] = figure.unit;
    if (figure.warning) out["warning"] = *figure.warning;
    if (figure.critical) out["critical"] = *figure.critical;
  }
  return json.dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

std::string LabelValue(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\' || c == '"') out += '\\';
    out += c == '\n' ? ' ' : c;
  }
  return out;
}

std::string Prometheus(const CheckResult& result) {
  const std::string labels = fmt::format("target=\"{}\"", LabelValue(result.target));
  std::string text = fmt::format(
      "# HELP peermesh_check_status Result of a check: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.\n"
      "# TYPE peermesh_check_status gauge\n"
      "peermesh_check_status{{check=\"{}\",{}}} {}\n",
      result.check, labels, static_cast<int>(result.state));
  for (const Figure& figure : result.figures) {
    const std::string name = fmt::format("peermesh_check_{}_{}{}", result.check, figure.name,
                                         figure.unit == "s" ? "_seconds" : "");
    text += fmt::format("# HELP {0} {1}\n# TYPE {0} gauge\n{0}{{{2}}} {3}\n", name, figure.help,
                        labels, figure.value);
  }
  return text;
}

}  // namespace

const char* ToString(CheckState state) {
  switch (state) {
    case CheckState::kOk: return "OK";
    case CheckState::kWarning: return "WARNING";
    case CheckState::kCritical: return "CRITICAL";
    case CheckState::kUnknown: return "UNKNOWN";
  }
  return "UNKNOWN";
}

std::string Render(const CheckResult& result, CheckFormat format, std::string_view schema) {
  switch (format) {
    case CheckFormat::kNagios: return Nagios(result);
    case CheckFormat::kJson: return InJson(result, schema);
    case CheckFormat::kPrometheus: return Prometheus(result);
  }
  return "";
}

}  // namespace peermesh::cli
