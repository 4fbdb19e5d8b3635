#include "tests/history/reader.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <queue>
#include <tuple>
#include <utility>

#include "fmt/format.h"
#include "tests/history/names.h"

namespace peermesh::history {

absl::StatusOr<Reader> Reader::Open(const std::string& directory) {
  auto names = ReadNames(directory);
  if (!names.ok()) return names.status();
  Reader reader;
  reader.names_ = *std::move(names);
  std::vector<std::string> paths;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    if (entry.path().extension() == ".history") paths.push_back(entry.path().string());
  }
  if (paths.empty()) {
    return absl::NotFoundError(fmt::format("{} holds no *.history", directory));
  }
  std::sort(paths.begin(), paths.end());
  for (const std::string& path : paths) {
    if (auto status = reader.Map(path); !status.ok()) return status;
  }
  return reader;
}

absl::Status Reader::Map(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat facts {};
  if (fd < 0 || fstat(fd, &facts) != 0) {
    const int error = errno;
    if (fd >= 0) close(fd);
    return absl::ErrnoToStatus(error, fmt::format("{} cannot be read", path));
  }
  File file;
  file.path = path;
  file.mapped_bytes = static_cast<std::size_t>(facts.st_size);
  file.count = file.mapped_bytes / sizeof(Record);
  if (file.mapped_bytes % sizeof(Record) != 0) ++cut_short_;
  void* at = nullptr;
  if (file.mapped_bytes > 0) at = mmap(nullptr, file.mapped_bytes, PROT_READ, MAP_SHARED, fd, 0);
  close(fd);
  if (at == MAP_FAILED) {
    return absl::ErrnoToStatus(errno, fmt::format("{} cannot be mapped", path));
  }
  if (at != nullptr) madvise(at, file.mapped_bytes, MADV_SEQUENTIAL);
  file.records = static_cast<const Record*>(at);
  files_.push_back(std::move(file));
  return absl::OkStatus();
}

Reader::Reader(Reader&& other) noexcept
    : names_(std::move(other.names_)),
      files_(std::exchange(other.files_, {})),
      cut_short_(other.cut_short_) {}

Reader::~Reader() {
  for (const File& file : files_) {
    if (file.mapped_bytes > 0) munmap(const_cast<Record*>(file.records), file.mapped_bytes);
  }
}

std::uint64_t Reader::records() const {
  std::uint64_t records = 0;
  for (const File& file : files_) records += file.count;
  return records;
}

void Reader::ForEach(const std::function<void(const Record&)>& take) const {
  using Place = std::tuple<std::int64_t, std::size_t, std::size_t>;  // time, file, record
  std::priority_queue<Place, std::vector<Place>, std::greater<>> next;
  for (std::size_t file = 0; file < files_.size(); ++file) {
    if (files_[file].count > 0) next.emplace(files_[file].records[0].time_ns, file, 0);
  }
  while (!next.empty()) {
    auto [time, file, at] = next.top();
    next.pop();
    const File& from = files_[file];
    // On until another file is due.
    const Place due = next.empty() ? Place{INT64_MAX, SIZE_MAX, 0} : next.top();
    do {
      take(from.records[at]);
      if (++at == from.count) break;
      time = std::max(time, from.records[at].time_ns);
    } while (Place{time, file, at} < due);
    if (at < from.count) next.emplace(time, file, at);
  }
}

}  // namespace peermesh::history
