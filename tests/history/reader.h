// Reads a history: the records of all files in one order, by time.
//
// Files are mapped, not loaded, so a history may be larger than memory. Each is read once from its
// beginning; where its times go back (they should not), the record counts as of the latest time
// before it. Records of one time come in the order of their files' names. Not thread-safe.
#ifndef PEERMESH_TESTS_HISTORY_READER_H_
#define PEERMESH_TESTS_HISTORY_READER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "tests/history/record.h"

namespace peermesh::history {

class Reader {
 public:
  // NOT_FOUND: no such directory, no names.txt, or no *.history in it.
  static absl::StatusOr<Reader> Open(const std::string& directory);
  ~Reader();
  Reader(Reader&& other) noexcept;
  Reader& operator=(Reader&&) = delete;

  const std::vector<std::string>& names() const { return names_; }
  std::uint64_t records() const;
  std::size_t files() const { return files_.size(); }
  std::size_t cut_short() const { return cut_short_; }  // files whose last record is

  // May be called again.
  void ForEach(const std::function<void(const Record&)>& take) const;

 private:
  struct File {
    std::string path;
    const Record* records = nullptr;
    std::size_t count = 0;
    std::size_t mapped_bytes = 0;
  };
  Reader() = default;
  absl::Status Map(const std::string& path);

  std::vector<std::string> names_;
  std::vector<File> files_;
  std::size_t cut_short_ = 0;
};

}  // namespace peermesh::history

#endif  // PEERMESH_TESTS_HISTORY_READER_H_
