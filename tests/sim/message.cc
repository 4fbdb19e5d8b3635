#include "tests/sim/message.h"

#include <algorithm>
#include <charconv>

namespace peermesh::sim {
namespace {

constexpr std::size_t kAround = 12;  // a record's bytes that are neither subject nor payload, about

void AppendVarint(std::string& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
}

}  // namespace

Row AppendRecord(std::string& out, std::string_view subject, std::uint64_t id, std::size_t bytes) {
  const std::string text = std::to_string(id);
  const std::size_t payload =
      std::max(text.size(), bytes - std::min(bytes, subject.size() + kAround));
  std::string body;
  body.push_back('\x0a');
  AppendVarint(body, subject.size());
  const std::size_t subject_at = body.size();
  body.append(subject);
  body.push_back('\x12');
  AppendVarint(body, payload);
  body.append(text).append(payload - text.size(), '.');
  Row row;
  row.record_offset = static_cast<std::uint32_t>(out.size());
  out.push_back('\x7a');
  AppendVarint(out, body.size());
  row.subject_offset = static_cast<std::uint32_t>(out.size() + subject_at);
  row.subject_length = static_cast<std::uint32_t>(subject.size());
  out.append(body);
  row.record_length = static_cast<std::uint32_t>(out.size() - row.record_offset);
  return row;
}

std::string TextOf(const Batch& batch, const Row& row) {
  std::string_view rest = batch.record(row);
  rest.remove_prefix(row.subject_offset - row.record_offset + row.subject_length + 1);
  while (static_cast<unsigned char>(rest.front()) >= 0x80) rest.remove_prefix(1);
  rest.remove_prefix(1);
  return std::string(rest.substr(0, rest.find('.')));
}

std::uint64_t IdOf(const Batch& batch, const Row& row) {
  const std::string text = TextOf(batch, row);
  std::uint64_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  return error == std::errc() && end == text.data() + text.size() ? id : 0;
}

}  // namespace peermesh::sim
