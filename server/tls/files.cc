#include "server/tls/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

namespace peermesh::tls {
namespace {

constexpr mode_t kOthers = S_IRWXG | S_IRWXO;

// An open descriptor, closed at the end of the scope.
class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd() {
    if (fd_ >= 0) close(fd_);
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

absl::Status Failed(const char* what, const std::string& path, int error) {
  const std::string directory = std::filesystem::path(path).parent_path();
  std::string advice = fmt::format("Look at it: ls -ld {}", path);
  if (error == ENOSPC || error == EDQUOT || error == EFBIG) {
    advice = fmt::format("Make room there: df -h {}", directory);
  } else if (error == ENOENT) {
    advice = fmt::format("Look there: ls -la {}", directory);
  } else if (error == EACCES || error == EPERM || error == EROFS) {
    advice = fmt::format("Give it to user {}: ls -ld {}", geteuid(), directory);
  }
  const std::string text =
      fmt::format("Cannot {} {}: {}. {}", what, path, std::strerror(error), advice);
  return error == ENOENT ? absl::NotFoundError(text) : absl::FailedPreconditionError(text);
}

absl::Status CheckOwnerAndMode(const struct stat& info, const std::string& path, const char* mode) {
  if (info.st_uid != geteuid()) {
    return absl::FailedPreconditionError(
        fmt::format("{} belongs to user {}, not to user {} who runs this program. Run: chown {} {}",
                    path, info.st_uid, geteuid(), geteuid(), path));
  }
  if ((info.st_mode & kOthers) != 0) {
    return absl::FailedPreconditionError(
        fmt::format("{} is open to other users (mode {:04o}). Run: chmod {} {}", path,
                    info.st_mode & 07777, mode, path));
  }
  return absl::OkStatus();
}

absl::Status SyncDirectory(const std::string& path) {
  const Fd directory(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() < 0) return Failed("open", path, errno);
  if (fsync(directory.get()) != 0) return Failed("sync", path, errno);
  return absl::OkStatus();
}

std::string ParentOf(const std::string& path) {
  const std::string parent = std::filesystem::path(path).parent_path();
  return parent.empty() ? "." : parent;
}

absl::Status WriteAll(int fd, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written = write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return Failed("write", path, errno);
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadAll(int fd, const std::string& path) {
  std::string bytes;
  char buffer[4096];
  for (;;) {
    const ssize_t got = read(fd, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Failed("read", path, errno);
    if (got == 0) return bytes;
    bytes.append(buffer, static_cast<std::size_t>(got));
    if (bytes.size() > kMaxPrivateFileBytes) {
      return absl::FailedPreconditionError(path + " is far too long. Restore it from a backup.");
    }
  }
}

}  // namespace

absl::Status EnsurePrivateDirectory(const std::string& directory) {
  const std::string parent = ParentOf(directory);
  std::error_code error;
  std::filesystem::create_directories(parent, error);
  if (error) return Failed("create", parent, error.value());
  if (mkdir(directory.c_str(), 0700) == 0) return SyncDirectory(parent);
  if (errno != EEXIST) return Failed("create", directory, errno);
  struct stat info {};
  if (lstat(directory.c_str(), &info) != 0) return Failed("look at", directory, errno);
  if (!S_ISDIR(info.st_mode)) {
    return absl::FailedPreconditionError(
        directory + " is not a directory. Name another one, or remove what is there.");
  }
  return CheckOwnerAndMode(info, directory, "700");
}

absl::Status WritePrivateFile(const std::string& path, std::string_view bytes) {
  const std::string temporary = fmt::format("{}.{}.tmp", path, getpid());
  unlink(temporary.c_str());  // left by a crash of a process with our number
  const Fd file(
      open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (file.get() < 0) return Failed("create", temporary, errno);
  absl::Status status = WriteAll(file.get(), bytes, temporary);
  if (status.ok() && fsync(file.get()) != 0) status = Failed("sync", temporary, errno);
  if (status.ok() && rename(temporary.c_str(), path.c_str()) != 0) {
    status = Failed("replace", path, errno);
  }
  if (!status.ok()) {
    unlink(temporary.c_str());
    return status;
  }
  return SyncDirectory(ParentOf(path));
}

absl::StatusOr<std::string> ReadPrivateFile(const std::string& path) {
  // O_NONBLOCK: a FIFO in the file's place must not hang us.
  const Fd file(open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (file.get() < 0 && errno == ELOOP) {
    return absl::FailedPreconditionError(path + " is a symbolic link. Put the file itself there.");
  }
  if (file.get() < 0) return Failed("open", path, errno);
  struct stat info {};
  if (fstat(file.get(), &info) != 0) return Failed("look at", path, errno);
  if (!S_ISREG(info.st_mode)) {
    return absl::FailedPreconditionError(path +
                                         " is not a regular file. Put the file itself there.");
  }
  if (absl::Status status = CheckOwnerAndMode(info, path, "600"); !status.ok()) return status;
  return ReadAll(file.get(), path);
}

absl::StatusOr<DirectoryLock> DirectoryLock::Take(const std::string& directory,
                                                  std::string_view program) {
  const std::string path = directory + "/lock";
  Fd file(open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (file.get() < 0) return Failed("open", path, errno);
  if (flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return Failed("lock", path, errno);
    auto holder = ReadAll(file.get(), path);
    const std::string who = holder.ok() && !holder->empty() ? *holder : "an unknown process";
    return absl::UnavailableError(
        fmt::format("Another {} ({}) uses {}. Stop it, or give this one its own --data-dir.",
                    program, who, directory));
  }
  const std::string who = fmt::format("pid {}", getpid());
  if (ftruncate(file.get(), 0) != 0) return Failed("write", path, errno);
  if (absl::Status status = WriteAll(file.get(), who, path); !status.ok()) return status;
  return DirectoryLock(file.release());
}

DirectoryLock::DirectoryLock(DirectoryLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

DirectoryLock& DirectoryLock::operator=(DirectoryLock&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

DirectoryLock::~DirectoryLock() {
  if (fd_ >= 0) close(fd_);
}

}  // namespace peermesh::tls
