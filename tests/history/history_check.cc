// history_check: proves what drivers wrote down of a run, or says what is wrong with it.
//
//   history_check DIRECTORY [--json] [--violations N]
//
// Prints what was accepted, delivered, announced as lost and dropped for each pair of peers, every
// invariant with whether it holds, and the first violations (default 3) with their records. Exit
// codes: 0 it holds, 1 it does not, 3 the run proves nothing (a fault did not bite, or there is no
// end), 2 usage.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "tests/history/checker.h"
#include "tests/history/reader.h"
#include "tests/history/report.h"

namespace peermesh::history {
namespace {

constexpr int kUsage = 2;
constexpr std::size_t kDefaultViolations = 3;

int Fail(const std::string& what) {
  std::fprintf(stderr, "history_check: %s\n", what.c_str());
  return kUsage;
}

int Main(int argc, char** argv) {
  std::string directory;
  bool json = false;
  std::size_t most = kDefaultViolations;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--json") {
      json = true;
    } else if (word == "--violations" && i + 1 < argc) {
      most = std::strtoul(argv[++i], nullptr, 10);
    } else if (directory.empty() && !word.starts_with("-")) {
      directory = word;
    } else {
      return Fail("usage: history_check DIRECTORY [--json] [--violations N]");
    }
  }
  if (directory.empty()) return Fail("usage: history_check DIRECTORY [--json] [--violations N]");
  const auto reader = Reader::Open(directory);
  if (!reader.ok()) return Fail(reader.status().ToString());
  Checker checker(reader->names());
  reader->ForEach([&](const Record& record) { checker.Add(record); });
  const Report report = checker.Finish();
  if (json) {
    std::fputs(ToJson(report, reader->names()).c_str(), stdout);
  } else {
    std::fputs(ToText(report, reader->names()).c_str(), stdout);
    std::fputs(Explain(report, *reader, most).c_str(), stdout);
  }
  switch (report.verdict) {
    case Verdict::kHolds: return 0;
    case Verdict::kViolated: return 1;
    case Verdict::kInconclusive: return 3;
  }
  return 1;
}

}  // namespace
}  // namespace peermesh::history

int main(int argc, char** argv) { return peermesh::history::Main(argc, argv); }
