// Protobuf's wire format, read strictly and written exactly.
//
// Stricter than protobuf's own parser, because bytes are forwarded as they came and two readers
// must not see different things in them: varints in their shortest form, no groups, lengths that
// fit. No allocation, no copy.
//
// Not thread-safe; views stay valid as long as the bytes read.
#ifndef PEERMESH_SERVER_WIRE_READER_H_
#define PEERMESH_SERVER_WIRE_READER_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "server/wire/rules.h"

namespace peermesh::wire {

enum class WireType : std::uint8_t { kVarint = 0, kFixed64 = 1, kLength = 2, kFixed32 = 5 };

// Room for what later versions add, in each message and each frame.
inline constexpr std::size_t kMaxUnknownBytes = 4096;

// Reads one varint from the front of `bytes`. False if it is cut short, longer than needed, or
// above 64 bits.
inline bool TakeVarint(std::string_view& bytes, std::uint64_t& value) {
  value = 0;
  for (std::size_t i = 0; i < bytes.size() && i < 10; ++i) {
    const auto byte = static_cast<std::uint8_t>(bytes[i]);
    if (i == 9 && byte > 1) return false;
    value |= static_cast<std::uint64_t>(byte & 0x7f) << (7 * i);
    if ((byte & 0x80) != 0) continue;
    if (byte == 0 && i > 0) return false;
    bytes.remove_prefix(i + 1);
    return true;
  }
  return false;
}

// Walks the fields of one message.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  // Reads the next field. False at the end, or when a rule is broken: then rule() says which.
  bool Next();
  Rule rule() const { return rule_; }

  // Of the field last read.
  std::uint32_t number() const { return number_; }
  std::string_view whole() const { return whole_; }  // tag, length and content
  // Its content, if it is of that type; otherwise breaks kWireType and returns nothing of worth.
  std::uint64_t Varint(std::uint64_t max = std::numeric_limits<std::uint64_t>::max());
  std::string_view Bytes();
  bool Bool() { return Varint(1) != 0; }
  bool IsLength() const { return type_ == WireType::kLength; }
  // A field this version does not know.
  void Skip();
  // A rule above this format is broken: the walk ends.
  void Fail(Rule rule) {
    if (rule_ == Rule::kNone) rule_ = rule;
  }

 private:
  std::string_view rest_;
  std::string_view whole_;
  std::string_view bytes_;
  std::uint64_t varint_ = 0;
  std::uint32_t number_ = 0;
  WireType type_ = WireType::kVarint;
  Rule rule_ = Rule::kNone;
  std::size_t unknown_bytes_ = 0;
};

// No surrogates, nothing overlong, nothing above U+10FFFF.
bool IsUtf8(std::string_view text);

constexpr std::size_t VarintSize(std::uint64_t value) {
  std::size_t size = 1;
  while (value >= 0x80) {
    value >>= 7;
    ++size;
  }
  return size;
}

// Appends to a string whose capacity was computed before.
class Writer {
 public:
  explicit Writer(std::string& out) : out_(out) {}

  void Varint(std::uint64_t value) {
    while (value >= 0x80) {
      out_.push_back(static_cast<char>(value | 0x80));
      value >>= 7;
    }
    out_.push_back(static_cast<char>(value));
  }
  void Tag(std::uint32_t number, WireType type) {
    Varint(std::uint64_t{number} << 3 | static_cast<std::uint64_t>(type));
  }
  // Left out when 0, as proto3 does.
  void VarintField(std::uint32_t number, std::uint64_t value) {
    if (value == 0) return;
    Tag(number, WireType::kVarint);
    Varint(value);
  }
  // Tag and length of a message or packed field whose content follows.
  void Header(std::uint32_t number, std::size_t length) {
    Tag(number, WireType::kLength);
    Varint(length);
  }
  // Left out when empty.
  void BytesField(std::uint32_t number, std::string_view bytes) {
    if (bytes.empty()) return;
    Header(number, bytes.size());
    out_.append(bytes);
  }

 private:
  std::string& out_;
};

// Sizes of the above, for field numbers below 16.
constexpr std::size_t VarintFieldSize(std::uint64_t value) {
  return value == 0 ? 0 : 1 + VarintSize(value);
}
constexpr std::size_t LengthFieldSize(std::size_t length) {
  return 1 + VarintSize(length) + length;
}
constexpr std::size_t BytesFieldSize(std::size_t length) {
  return length == 0 ? 0 : LengthFieldSize(length);
}

}  // namespace peermesh::wire

#endif  // PEERMESH_SERVER_WIRE_READER_H_
