// What a check found, as the three formats that monitoring takes.
//
//   nagios      OK - what was found|label=value[unit];warning;critical;minimum ...
//   json        {"schema", "status", "code", "summary", "target", "figures"}
//   prometheus  the text format, for the textfile collector of the node exporter
#ifndef PEERMESH_CLIENT_CLI_CHECK_RESULT_H_
#define PEERMESH_CLIENT_CLI_CHECK_RESULT_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace peermesh::cli {

// The numbers are Nagios' exit codes.
enum class CheckState { kOk = 0, kWarning = 1, kCritical = 2, kUnknown = 3 };
const char* ToString(CheckState state);

struct Figure {
  std::string name;  // "time"
  std::string unit;  // "s", or empty for a count
  double value = 0;
  std::optional<double> warning, critical;
  std::string help;  // for Prometheus
};

struct CheckResult {
  std::string check;   // "conn"
  std::string target;  // the socket or address
  CheckState state = CheckState::kOk;
  std::string summary;
  std::vector<Figure> figures;

  // The worse of the two.
  void Raise(CheckState to) { state = to > state ? to : state; }
};

enum class CheckFormat { kNagios, kJson, kPrometheus };
std::string Render(const CheckResult& result, CheckFormat format, std::string_view schema);

}  // namespace peermesh::cli

#endif  // PEERMESH_CLIENT_CLI_CHECK_RESULT_H_
