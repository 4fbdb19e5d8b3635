// A place in the source: where a resource was acquired. As std::source_location, for compilers that
// lack it.
#ifndef PEERMESH_METRICS_LEDGER_SITE_H_
#define PEERMESH_METRICS_LEDGER_SITE_H_

#include <cstdint>
#include <string>

namespace peermesh::ledger {

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
  // "server/net/acceptor.cc:211"
  std::string ToText() const { return std::string(file) + ":" + std::to_string(line); }
};

}  // namespace peermesh::ledger

#endif  // PEERMESH_METRICS_LEDGER_SITE_H_
