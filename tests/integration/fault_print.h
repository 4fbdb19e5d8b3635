// What an auditor found, one line of JSON each on standard error: of programs that have no report
// of their own. For the tests of faults.h.
#ifndef PEERMESH_TESTS_INTEGRATION_FAULT_PRINT_H_
#define PEERMESH_TESTS_INTEGRATION_FAULT_PRINT_H_

#include <cstdio>
#include <string>
#include <vector>

#include "metrics/ledger/verdict.h"
#include "nlohmann/json.hpp"

namespace peermesh::faults {

// Of those that are confirmed. `program` goes before each.
inline void Print(const char* program, const std::vector<ledger::Verdict>& verdicts) {
  for (const ledger::Verdict& one : verdicts) {
    if (one.state != ledger::State::kConfirmed) continue;
    nlohmann::json line = {{"program", program},
                           {"rule", ToString(one.rule)},
                           {"tier", ToString(one.tier())},
                           {"kind", one.kind},
                           {"site", one.site},
                           {"count", one.count},
                           {"owner", one.owner},
                           {"oldest_ms", one.oldest.count()}};
    for (const ledger::Example& example : one.examples) {
      line["examples"].push_back({{"scope", example.scope}, {"note", example.note}});
    }
    std::fprintf(stderr, "LEAK %s\n", line.dump().c_str());
  }
}

}  // namespace peermesh::faults

#endif  // PEERMESH_TESTS_INTEGRATION_FAULT_PRINT_H_
