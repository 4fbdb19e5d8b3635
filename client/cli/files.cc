#include "client/cli/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "client/cli/lines.h"
#include "metrics/ledger/fd.h"
#include "metrics/ledger/kinds.h"

namespace peermesh::cli {
namespace {

constexpr std::size_t kLongest = 1u << 20;

absl::Status CannotWrite(const std::string& path) {
  const std::string why = std::strerror(errno);
  return absl::InternalError(fmt::format(
      "{} cannot be written: {}. Check the directory and who may write there.", path, why));
}

// Closed by itself; removed unless it took the place of the file.
class Temporary {
 public:
  explicit Temporary(const std::string& path)
      : path_(path + ".XXXXXX"),
        fd_(mkostemp(path_.data(), O_CLOEXEC), ledger::kBriefFd, ledger::Scope{}) {}
  ~Temporary() {
    if (fd_ && !moved_) unlink(path_.c_str());
  }
  bool Write(std::string_view bytes, unsigned mode) {
    if (!fd_ || fchmod(fd_.get(), mode) != 0) return false;
    while (!bytes.empty()) {
      const ssize_t count = write(fd_.get(), bytes.data(), bytes.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(count));
    }
    return fsync(fd_.get()) == 0;
  }
  bool MoveTo(const std::string& path) {
    moved_ = std::rename(path_.c_str(), path.c_str()) == 0;
    return moved_;
  }

 private:
  std::string path_;
  ledger::UniqueFd fd_;
  bool moved_ = false;
};

}  // namespace

absl::Status WriteFile(const std::string& path, std::string_view bytes, unsigned mode) {
  Temporary file(path);
  if (!file.Write(bytes, mode) || !file.MoveTo(path)) return CannotWrite(path);
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  const ledger::UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC), ledger::kBriefFd,
                            ledger::Scope{});
  if (!fd) {
    const std::string why = fmt::format("{} cannot be read: {}.", path, std::strerror(errno));
    return errno == ENOENT ? absl::NotFoundError(why) : absl::PermissionDeniedError(why);
  }
  return ReadAll(fd.get(), kLongest);
}

}  // namespace peermesh::cli
