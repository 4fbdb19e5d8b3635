// Lines of a file or pipe as they come: what is there is handed out at once, so that `tail -f |
// peermesh pub` works.
#ifndef PEERMESH_CLIENT_CLI_LINES_H_
#define PEERMESH_CLIENT_CLI_LINES_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace peermesh::cli {

// Cuts bytes into lines without their '\n'. Thread-compatible.
class LineSplitter {
 public:
  // `longest`: longer lines are an error.
  explicit LineSplitter(std::size_t longest) : longest_(longest) {}

  // Appends the lines that `bytes` completes, up to one that is too long: MESSAGE_TOO_LARGE.
  absl::Status Feed(std::string_view bytes, std::vector<std::string>& lines);
  // Appends what is left after the last '\n', if anything.
  void End(std::vector<std::string>& lines);

 private:
  const std::size_t longest_;
  std::string rest_;
  std::uint64_t complete_ = 0;  // lines
};

// The parts of a text between separators; nothing after a last one.
std::vector<std::string> Split(std::string_view text, char separator);

// One read(2): false at the end of the input.
absl::StatusOr<bool> ReadSome(int fd, std::string& bytes);

// Everything up to the end; MESSAGE_TOO_LARGE beyond `longest` bytes.
absl::StatusOr<std::string> ReadAll(int fd, std::size_t longest);

}  // namespace peermesh::cli

#endif  // PEERMESH_CLIENT_CLI_LINES_H_
