// names.txt of a history: strings that many writers, also of different processes, know by one
// number.
//
// A new name is appended under a lock on the file, after reading what others have appended
// meanwhile, so a line number means one name for ever. Names are few and come early: looking one up
// that is known takes no system call. Thread-safe.
#ifndef PEERMESH_TESTS_HISTORY_NAMES_H_
#define PEERMESH_TESTS_HISTORY_NAMES_H_

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"

namespace peermesh::history {

class Names {
 public:
  // Makes the file if there is none. `directory` must exist.
  static absl::StatusOr<std::unique_ptr<Names>> Open(const std::string& directory);
  ~Names();
  Names(const Names&) = delete;
  Names& operator=(const Names&) = delete;

  // The line of `name`, appended if it is new. A name holds no line break.
  std::uint32_t Of(std::string_view name);

 private:
  explicit Names(int fd) : fd_(fd) {}
  void ReadOn();

  const int fd_;
  std::mutex mutex_;
  // Under mutex_.
  std::uint64_t offset_ = 0;  // of the file, read so far
  absl::flat_hash_map<std::string, std::uint32_t> lines_;
};

// All names, in order; a last line without its end is ignored.
absl::StatusOr<std::vector<std::string>> ReadNames(const std::string& directory);

}  // namespace peermesh::history

#endif  // PEERMESH_TESTS_HISTORY_NAMES_H_
