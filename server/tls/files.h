// Files that hold secrets, and the lock on a data directory.
//
// Rules: a directory for keys is 0700 and ours, a key file 0600 and ours and not a link; anything
// else is refused with the command that mends it, because a key that others could read is no
// longer an identity. Files appear whole or not at all: temporary file (O_EXCL, O_NOFOLLOW),
// fsync, rename, fsync of the directory.
//
// Blocking I/O: never on a queue thread. Thread-safe.
#ifndef PEERMESH_SERVER_TLS_FILES_H_
#define PEERMESH_SERVER_TLS_FILES_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace peermesh::tls {

inline constexpr std::size_t kMaxPrivateFileBytes = 1u << 20;  // ours are below 10 KiB

// Creates it (and its parents) with mode 0700, or checks what is there. FAILED_PRECONDITION says
// what to change.
absl::Status EnsurePrivateDirectory(const std::string& directory);

// The file is replaced atomically and is durable when this returns.
absl::Status WritePrivateFile(const std::string& path, std::string_view bytes);

// NOT_FOUND if there is none; FAILED_PRECONDITION if it is a link, somebody else's, or readable by
// others.
absl::StatusOr<std::string> ReadPrivateFile(const std::string& path);

// Holds DIRECTORY/lock for as long as it lives. The kernel lets go when the process dies, however
// it dies.
class DirectoryLock {
 public:
  // UNAVAILABLE: "another <program> (pid N) uses DIRECTORY".
  static absl::StatusOr<DirectoryLock> Take(const std::string& directory, std::string_view program);

  DirectoryLock(DirectoryLock&& other) noexcept;
  DirectoryLock& operator=(DirectoryLock&& other) noexcept;
  ~DirectoryLock();

 private:
  explicit DirectoryLock(int fd) : fd_(fd) {}
  int fd_ = -1;
};

}  // namespace peermesh::tls

#endif  // PEERMESH_SERVER_TLS_FILES_H_
