#include "tests/history/writer.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "fmt/format.h"
#include "mesh/base/check.h"

namespace peermesh::history {

std::int64_t NowNs() {
  timespec now{};
  PM_CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

absl::StatusOr<std::unique_ptr<Writer>> Writer::Create(const std::string& directory,
                                                       const std::string& name) {
  const std::string path = directory + "/" + name + ".history";
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0644);
  if (fd < 0) return absl::ErrnoToStatus(errno, fmt::format("{} cannot be made", path));
  return std::unique_ptr<Writer>(new Writer(fd));
}

Writer::~Writer() {
  Flush();
  close(fd_);
}

void Writer::Append(Record record) { Append(std::span(&record, 1)); }

void Writer::Append(std::span<Record> records) {
  const std::lock_guard lock(mutex_);
  const std::int64_t now = std::max(NowNs(), last_ns_);
  for (Record& record : records) {
    record.time_ns = now;
    PushLocked(record);
  }
}

void Writer::AppendTimed(std::span<const Record> records) {
  const std::lock_guard lock(mutex_);
  for (const Record& record : records) PushLocked(record);
}

void Writer::PushLocked(const Record& record) {
  PM_CHECK(record.time_ns >= last_ns_);
  last_ns_ = record.time_ns;
  buffer_.push_back(record);
  ++records_;
  if (buffer_.size() >= kBufferedRecords) FlushLocked();
}

void Writer::Flush() {
  const std::lock_guard lock(mutex_);
  FlushLocked();
}

void Writer::FlushLocked() {
  const auto* bytes = reinterpret_cast<const char*>(buffer_.data());
  std::size_t left = buffer_.size() * sizeof(Record);
  while (left > 0) {
    const ssize_t written = write(fd_, bytes, left);
    if (written < 0 && errno == EINTR) continue;
    PM_CHECK(written > 0);
    bytes += written;
    left -= static_cast<std::size_t>(written);
  }
  buffer_.clear();
}

std::uint64_t Writer::records() const {
  const std::lock_guard lock(mutex_);
  return records_;
}

}  // namespace peermesh::history
