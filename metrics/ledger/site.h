// A place in the source: where a resource was acquired. As std::source_location, for compilers that
// lack it.
#ifndef PEERMESH_METRICS_LEDGER_SITE_H_
#define PEERMESH_METRICS_LEDGER_SITE_H_

#include <cstdint>
#include <string>
#include <string_view>

namespace peermesh::ledger {

// Where the sources were when this was compiled, with a '/' at the end.
inline constexpr std::string_view kSourceTop{
    __FILE__, sizeof(__FILE__) - 1 - std::string_view("metrics/ledger/site.h").size()};

struct Site {
  const char* file = "";
  const char* function = "";
  std::uint32_t line = 0;

  // As a default argument: the place of the call.
  static constexpr Site Here(const char* file = __builtin_FILE(),
                             const char* function = __builtin_FUNCTION(),
                             std::uint32_t line = __builtin_LINE()) {
    return {file, function, line};
  }
  // "server/net/acceptor.cc:211": from the top of the source tree, wherever it was built.
  std::string ToText() const {
    std::string_view path = file;
    if (path.starts_with(kSourceTop)) path.remove_prefix(kSourceTop.size());
    return std::string(path) + ":" + std::to_string(line);
  }
};

}  // namespace peermesh::ledger

#endif  // PEERMESH_METRICS_LEDGER_SITE_H_
