// Appends records to a file of a history.
//
// Records wait in memory until kBufferedRecords are there or Flush is called, then go out in one
// write, so a writer costs its program next to nothing and a killed one loses only the last of
// them. It stamps the time itself, under its lock, so that times in a file never go back.
// Thread-safe.
#ifndef PEERMESH_TESTS_HISTORY_WRITER_H_
#define PEERMESH_TESTS_HISTORY_WRITER_H_

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "tests/history/record.h"

namespace peermesh::history {

inline constexpr std::size_t kBufferedRecords = 1024;  // 64 KiB: one write of a pleasant size

// CLOCK_MONOTONIC: one clock for all processes of a host.
std::int64_t NowNs();

class Writer {
 public:
  // Makes `directory`/`name`.history, which must not exist.
  static absl::StatusOr<std::unique_ptr<Writer>> Create(const std::string& directory,
                                                        const std::string& name);
  ~Writer();  // flushes
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  void Append(Record record);
  // All with the same time, and nothing in between.
  void Append(std::span<Record> records);
  // With the times they bear, which must not be before what was appended last.
  void AppendTimed(std::span<const Record> records);

  // A disk that is full ends the program: half a history proves nothing.
  void Flush();
  std::uint64_t records() const;

 private:
  explicit Writer(int fd) : fd_(fd) { buffer_.reserve(kBufferedRecords); }
  void PushLocked(const Record& record);
  void FlushLocked();

  const int fd_;
  mutable std::mutex mutex_;
  // Under mutex_.
  std::vector<Record> buffer_;
  std::int64_t last_ns_ = 0;
  std::uint64_t records_ = 0;
};

}  // namespace peermesh::history

#endif  // PEERMESH_TESTS_HISTORY_WRITER_H_
