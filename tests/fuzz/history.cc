// Histories: what the reader makes of any files, and that the checker reaches a verdict over any
// records without falling over them.
//
// An input is the lines of names.txt up to an empty line, one byte, and the bytes of two files: the
// byte says where the first ends.
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "mesh/base/check.h"
#include "tests/fuzz/fuzz.h"
#include "tests/history/checker.h"
#include "tests/history/reader.h"

namespace peermesh::fuzz {
namespace {

using history::Record;

// In memory if the machine has such a place; gone with the process.
class Directory {
 public:
  Directory() {
    const bool memory = std::filesystem::is_directory("/dev/shm");
    std::string path = memory ? "/dev/shm/peermesh-fuzz-XXXXXX" : "/tmp/peermesh-fuzz-XXXXXX";
    PM_CHECK(mkdtemp(path.data()) != nullptr);
    path_ = path;
  }
  ~Directory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }
  void Write(const char* name, std::string_view bytes) const {
    std::FILE* file = std::fopen((path_ + "/" + name).c_str(), "wb");
    PM_CHECK(file != nullptr);
    PM_CHECK(std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size());
    PM_CHECK(std::fclose(file) == 0);
  }

 private:
  std::string path_;
};

std::string BytesOf(const Record& record) {
  return {reinterpret_cast<const char*>(&record), sizeof record};
}

}  // namespace

void Try(std::string_view input) {
  static const Directory directory;
  const std::size_t blank = input.find("\n\n");
  const std::string_view names = input.substr(0, std::min(blank, input.size() - 1) + 1);
  Parts parts(blank == std::string_view::npos ? "" : input.substr(blank + 2));
  const std::size_t cut = parts.Byte();
  const std::string_view records = parts.Rest();
  const std::string_view first = records.substr(0, records.size() * cut / 256);
  const std::string_view second = records.substr(first.size());
  directory.Write("names.txt", input.empty() ? "" : names);
  directory.Write("a.history", first);
  directory.Write("b.history", second);

  const auto reader = history::Reader::Open(directory.path());
  PM_CHECK(reader.ok() && reader->files() == 2);
  PM_CHECK(reader->names().size() ==
           static_cast<std::size_t>(std::count(names.begin(), names.end(), '\n')));
  PM_CHECK(reader->records() == first.size() / sizeof(Record) + second.size() / sizeof(Record));
  const auto ragged = [](std::string_view file) { return file.size() % sizeof(Record) != 0; };
  PM_CHECK(reader->cut_short() == std::size_t{ragged(first)} + std::size_t{ragged(second)});

  // Every record of each file comes, in the order of its file.
  std::vector<std::string> seen;
  history::Checker checker(reader->names());
  reader->ForEach([&](const Record& record) {
    seen.push_back(BytesOf(record));
    checker.Add(record);
  });
  PM_CHECK(seen.size() == reader->records());
  std::vector<std::string> again;
  reader->ForEach([&](const Record& record) { again.push_back(BytesOf(record)); });
  PM_CHECK(seen == again);
  for (const std::string_view file : {first, second}) {
    std::size_t at = 0;
    for (const std::string& record : seen) {
      if (file.substr(at, sizeof(Record)) == record) at += sizeof(Record);
    }
    PM_CHECK(at == file.size() / sizeof(Record) * sizeof(Record));
  }
  const history::Report report = checker.Finish();
  PM_CHECK(report.records == seen.size());
  std::uint64_t violations = 0;
  for (const std::uint64_t count : report.violations) violations += count;
  PM_CHECK((violations > 0) == (report.verdict == history::Verdict::kViolated));
}

}  // namespace peermesh::fuzz
