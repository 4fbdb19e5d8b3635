#include <exception>
#include <sstream>
#include <utility>

#include "server/journal/fields.h"
#include "server/journal/journal.h"

namespace peermesh::journal {
namespace {

std::uint32_t Word(const char* bytes) {
  std::uint32_t word = 0;
  for (int i = 3; i >= 0; --i) word = word << 8 | static_cast<std::uint8_t>(bytes[i]);
  return word;
}

}  // namespace

absl::StatusOr<Reader> Reader::Open(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::InvalidArgumentError(path + " cannot be read; is there such a file?");
  std::string magic(kMagic.size(), '\0');
  file.read(magic.data(), static_cast<std::streamsize>(magic.size()));
  if (magic != kMagic) {
    return absl::InvalidArgumentError(
        path + " is no journal of this release; `peermeshd --journal FILE` writes one");
  }
  Reader reader(std::move(file));
  auto first = reader.Next();
  if (!first.ok()) return first.status();
  if (!first->has_value() || !std::holds_alternative<Start>(**first))
    return absl::InvalidArgumentError(path + " ends before its first turn; there is nothing in it");
  reader.start_ = std::get<Start>(*std::move(*first));
  return reader;
}

absl::StatusOr<std::optional<Entry>> Reader::Next() {
  char head[8];
  file_.read(head, sizeof(head));
  if (file_.gcount() == 0) return std::nullopt;
  const std::uint32_t length = Word(head);
  std::string body;
  if (file_.gcount() == sizeof(head) && length <= kMaxEntryBytes) {
    body.resize(length);
    file_.read(body.data(), static_cast<std::streamsize>(length));
  }
  if (file_.eof()) {
    torn_ = true;
    return std::nullopt;
  }
  const auto damaged = [&](const char* what) {
    return absl::DataLossError("entry " + std::to_string(entries_ + 1) + " is damaged: " + what);
  };
  if (length > kMaxEntryBytes) return damaged("it is too long");
  if (Word(head + 4) != static_cast<std::uint32_t>(HashBytes(body))) return damaged("its checksum");
  ++entries_;
  try {  // cereal throws
    std::istringstream in(std::move(body));
    cereal::PortableBinaryInputArchive archive(in);
    Entry entry;
    archive(entry);
    return entry;
  } catch (const std::exception& error) {
    return damaged(error.what());
  }
}

}  // namespace peermesh::journal
