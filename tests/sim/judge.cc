#include "tests/sim/judge.h"

#include "tests/history/checker.h"
#include "tests/history/reader.h"

namespace peermesh::sim {

std::vector<std::string> Judge(const std::string& directory) {
  const auto reader = history::Reader::Open(directory);
  if (!reader.ok()) return {"history: " + reader.status().ToString()};
  history::Checker checker(reader->names());
  reader->ForEach([&](const history::Record& record) { checker.Add(record); });
  const history::Report report = checker.Finish();
  std::vector<std::string> wrong;
  for (const history::Violation& violation : report.first) {
    wrong.push_back(std::string("history: ") + IdOf(violation.invariant) + ": " + violation.what);
  }
  if (report.verdict == history::Verdict::kInconclusive) {
    for (const std::string& doubt : report.doubts) wrong.push_back("history: no proof: " + doubt);
  }
  return wrong;
}

}  // namespace peermesh::sim
