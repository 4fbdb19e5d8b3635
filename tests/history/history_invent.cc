// history_invent: writes an invented good history, to measure history_check by.
//
//   history_invent DIRECTORY ROUNDS
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "mesh/base/check.h"
#include "tests/history/invented.h"
#include "tests/history/names.h"
#include "tests/history/writer.h"

int main(int argc, char** argv) {
  using namespace peermesh::history;
  if (argc != 3) {
    std::fputs("usage: history_invent DIRECTORY ROUNDS\n", stderr);
    return 2;
  }
  const auto names = Names::Open(argv[1]);
  PM_CHECK(names.ok());
  for (const std::string& name : Invented::Names()) (*names)->Of(name);
  std::vector<std::unique_ptr<Writer>> writers;
  for (const char* name : {"a", "b", "c", "d"}) {
    auto writer = Writer::Create(argv[1], name);
    PM_CHECK(writer.ok());
    writers.push_back(*std::move(writer));
  }
  Invent(std::strtoull(argv[2], nullptr, 10), [&](const Record& record) {
    writers[record.actor % writers.size()]->AppendTimed({&record, 1});
  });
  return 0;
}
