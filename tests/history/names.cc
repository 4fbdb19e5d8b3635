#include "tests/history/names.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <sstream>

#include "fmt/format.h"
#include "mesh/base/check.h"

namespace peermesh::history {
namespace {

std::string PathOf(const std::string& directory) { return directory + "/names.txt"; }

}  // namespace

absl::StatusOr<std::unique_ptr<Names>> Names::Open(const std::string& directory) {
  const std::string path = PathOf(directory);
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd < 0) return absl::ErrnoToStatus(errno, fmt::format("{} cannot be opened", path));
  return std::unique_ptr<Names>(new Names(fd));
}

Names::~Names() { close(fd_); }

// Every writer appends whole lines, so what is read ends with one.
void Names::ReadOn() {
  std::string text;
  char chunk[4096];
  for (;;) {
    const ssize_t got = pread(fd_, chunk, sizeof chunk, static_cast<off_t>(offset_ + text.size()));
    PM_CHECK(got >= 0);
    if (got == 0) break;
    text.append(chunk, static_cast<std::size_t>(got));
  }
  PM_CHECK(text.empty() || text.back() == '\n');
  offset_ += text.size();
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at);
    lines_.try_emplace(text.substr(at, end - at), static_cast<std::uint32_t>(lines_.size()));
    at = end + 1;
  }
}

std::uint32_t Names::Of(std::string_view name) {
  PM_CHECK(name.find('\n') == std::string_view::npos);
  const std::lock_guard lock(mutex_);
  const std::string key(name);
  if (const auto it = lines_.find(key); it != lines_.end()) return it->second;
  PM_CHECK(flock(fd_, LOCK_EX) == 0);
  ReadOn();
  if (!lines_.contains(key)) {
    const std::string line = key + "\n";
    PM_CHECK(write(fd_, line.data(), line.size()) == static_cast<ssize_t>(line.size()));
    ReadOn();
  }
  PM_CHECK(flock(fd_, LOCK_UN) == 0);
  return lines_.at(key);
}

absl::StatusOr<std::vector<std::string>> ReadNames(const std::string& directory) {
  std::ifstream file(PathOf(directory), std::ios::binary);
  if (!file) return absl::NotFoundError(fmt::format("{} cannot be read", PathOf(directory)));
  std::stringstream text;
  text << file.rdbuf();
  std::vector<std::string> names;
  std::string line;
  while (std::getline(text, line)) {
    if (text.eof()) break;
    names.push_back(line);
  }
  return names;
}

}  // namespace peermesh::history
