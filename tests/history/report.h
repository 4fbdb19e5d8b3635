// What history_check says: a table for people, one JSON object for programs, and the records behind
// a violation.
#ifndef PEERMESH_TESTS_HISTORY_REPORT_H_
#define PEERMESH_TESTS_HISTORY_REPORT_H_

#include <string>
#include <vector>

#include "tests/history/checker.h"
#include "tests/history/reader.h"

namespace peermesh::history {

const char* ToString(Verdict verdict);  // "holds"

std::string ToText(const Report& report, const std::vector<std::string>& names);
std::string ToJson(const Report& report, const std::vector<std::string>& names);

// One record in one line; `start_ns` is when the run began.
std::string ToLine(const Record& record, const std::vector<std::string>& names,
                   std::int64_t start_ns);

// The first `most` violations, each with every record that has to do with it. Reads the history
// again.
std::string Explain(const Report& report, const Reader& reader, std::size_t most);

}  // namespace peermesh::history

#endif  // PEERMESH_TESTS_HISTORY_REPORT_H_
