#include "client/cli/lines.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "client/errors.h"

namespace peermesh::cli {
namespace {

constexpr std::size_t kReadBytes = 256u << 10;  // a full batch for each system call

absl::Status TooLong(const std::string& what, std::size_t longest) {
  return client::MakeError(
      absl::StatusCode::kResourceExhausted, "MESSAGE_TOO_LARGE",
      fmt::format("{} is too large. Split it: with this subject at most {} bytes fit into a "
                  "message.",
                  what, longest));
}

}  // namespace

absl::Status LineSplitter::Feed(std::string_view bytes, std::vector<std::string>& lines) {
  for (;;) {
    const std::size_t end = bytes.find('\n');
    const std::string_view part = bytes.substr(0, end);
    if (rest_.size() + part.size() > longest_) {
      return TooLong(fmt::format("Line {} of the input", complete_ + 1), longest_);
    }
    rest_ += part;
    if (end == std::string_view::npos) return absl::OkStatus();
    lines.push_back(std::exchange(rest_, {}));
    ++complete_;
    bytes.remove_prefix(end + 1);
  }
}

void LineSplitter::End(std::vector<std::string>& lines) {
  if (!rest_.empty()) lines.push_back(std::exchange(rest_, {}));
}

std::vector<std::string> Split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(separator), text.size());
    parts.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

absl::StatusOr<bool> ReadSome(int fd, std::string& bytes) {
  bytes.resize(kReadBytes);
  ssize_t got = 0;
  do {
    got = read(fd, bytes.data(), bytes.size());
  } while (got < 0 && errno == EINTR);
  if (got < 0) {
    return absl::UnknownError(fmt::format("The input cannot be read: {}.", std::strerror(errno)));
  }
  bytes.resize(static_cast<std::size_t>(got));
  return got > 0;
}

absl::StatusOr<std::string> ReadAll(int fd, std::size_t longest) {
  std::string all, some;
  for (;;) {
    const auto more = ReadSome(fd, some);
    if (!more.ok()) return more.status();
    if (!*more) return all;
    if (all.size() + some.size() > longest) return TooLong("The input", longest);
    all += some;
  }
}

}  // namespace peermesh::cli
