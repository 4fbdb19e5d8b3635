#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <sstream>
#include <utility>

#include "fmt/format.h"
#include "mesh/base/check.h"
#include "server/config/logging.h"
#include "server/journal/fields.h"
#include "server/journal/journal.h"
#include "server/journal/wish_fields.h"

namespace peermesh::journal {
namespace {

constexpr config::Logger kLog("journal");

template <class T>
std::string Encode(const T& value) {
  std::ostringstream out;
  cereal::PortableBinaryOutputArchive archive(out);
  archive(value);
  return std::move(out).str();
}

std::string Framed(const Entry& entry) {
  const std::string body = Encode(entry);
  const auto length = static_cast<std::uint32_t>(body.size());
  const auto checksum = static_cast<std::uint32_t>(HashBytes(body));
  std::string text;
  for (const std::uint32_t word : {length, checksum}) {
    for (int shift = 0; shift < 32; shift += 8) text += static_cast<char>(word >> shift & 0xff);
  }
  return text + body;
}

}  // namespace

void WishDigest::Add(const node::Effects& wishes) {
  if (!wishes.empty()) digest_.Add(Encode(wishes));
}

std::uint64_t DigestOf(const Mark& mark) {
  return Digest().Add(mark.wishes).Add(mark.state).value();
}

absl::StatusOr<std::unique_ptr<Writer>> Writer::Create(const std::string& path, const Start& start,
                                                       Options options) {
  std::error_code ignored;
  std::filesystem::rename(path, path + ".old", ignored);  // most often there is none
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0) {
    return absl::InvalidArgumentError("cannot write the journal " + path + ": " +
                                      std::strerror(errno) + "; choose another with --journal");
  }
  std::unique_ptr<Writer> writer(new Writer(path, file, options));
  writer->Write(kMagic);
  writer->Write(Framed(start));
  kLog.Info("records everything but payloads", {{"file", path}});
  return writer;
}

Writer::Writer(std::string path, int file, Options options)
    : path_(std::move(path)), options_(options), file_(file) {}

Writer::~Writer() { Close(); }

void Writer::Begin(Instant now, bool woke) {
  turn_.now = now;
  turn_.woke = woke;
  turn_.wishes_before = wishes_.value();
  turn_.facts.clear();
}

void Writer::Add(const node::Input& fact) { turn_.facts.push_back(fact); }

void Writer::Commit() {
  open_ = file_ >= 0 && (turn_.woke || !turn_.facts.empty());
  if (!open_) return;
  Write(Framed(turn_));
  ++turns_;
}

void Writer::Done(const node::Effects& wishes, const node::Node& node) {
  if (file_ < 0) return;
  // A turn without facts that wished something would be lost on whoever repeats the run.
  PM_CHECK(open_ || wishes.empty());
  wishes_.Add(wishes);
  const bool full = written_ >= options_.max_bytes;
  if (full || (open_ && turns_ % options_.turns_per_mark == 0)) MarkState(node, full);
  if (full) {
    kLog.Warning("full; nothing more is recorded", {{"file", path_}, {"bytes", written_}});
    Close();
  }
}

void Writer::End(const node::Node& node) {
  if (file_ < 0) return;
  MarkState(node, true);
  Close();
}

void Writer::MarkState(const node::Node& node, bool last) {
  const Mark mark{.wishes = wishes_.value(), .state = node.Digest(), .last = last};
  Write(Framed(mark));
  if (last && file_ >= 0) {
    kLog.Info(
        "ended",
        {{"file", path_}, {"turns", turns_}, {"digest", fmt::format("{:016x}", DigestOf(mark))}});
  }
}

void Writer::Write(std::string_view bytes) {
  while (file_ >= 0 && !bytes.empty()) {
    const ssize_t wrote = ::write(file_, bytes.data(), bytes.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) {
      kLog.Error("cannot be written; nothing more is recorded",
                 {{"file", path_}, {"reason", std::strerror(errno)}});
      return Close();
    }
    written_ += static_cast<std::uint64_t>(wrote);
    bytes.remove_prefix(static_cast<std::size_t>(wrote));
  }
}

void Writer::Close() {
  if (const int file = std::exchange(file_, -1); file >= 0) ::close(file);
}

}  // namespace peermesh::journal
