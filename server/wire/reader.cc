#include "server/wire/reader.h"

namespace peermesh::wire {
namespace {

constexpr std::uint32_t kMaxFieldNumber = (1u << 29) - 1;

}  // namespace

bool Reader::Next() {
  if (rule_ != Rule::kNone || rest_.empty()) return false;
  const std::string_view from = rest_;
  std::uint64_t tag = 0;
  const auto fail = [this](Rule rule) {
    rule_ = rule;
    return false;
  };
  if (!TakeVarint(rest_, tag)) return fail(Rule::kVarint);
  if (tag >> 3 == 0 || tag >> 3 > kMaxFieldNumber) return fail(Rule::kFieldNumber);
  number_ = static_cast<std::uint32_t>(tag >> 3);
  std::size_t length = 0;
  switch (tag & 7) {
    case 0:
      type_ = WireType::kVarint;
      if (!TakeVarint(rest_, varint_)) return fail(Rule::kVarint);
      break;
    case 1:
      type_ = WireType::kFixed64;
      length = 8;
      break;
    case 2: {
      type_ = WireType::kLength;
      std::uint64_t announced = 0;
      if (!TakeVarint(rest_, announced)) return fail(Rule::kVarint);
      if (announced > rest_.size()) return fail(Rule::kTruncated);
      length = static_cast<std::size_t>(announced);
      break;
    }
    case 5:
      type_ = WireType::kFixed32;
      length = 4;
      break;
    default: return fail(Rule::kWireType);
  }
  if (length > rest_.size()) return fail(Rule::kTruncated);
  bytes_ = rest_.substr(0, length);
  rest_.remove_prefix(length);
  whole_ = from.substr(0, from.size() - rest_.size());
  return true;
}

std::uint64_t Reader::Varint(std::uint64_t max) {
  if (type_ != WireType::kVarint) {
    Fail(Rule::kWireType);
    return 0;
  }
  if (varint_ > max) Fail(Rule::kValue);
  return varint_;
}

std::string_view Reader::Bytes() {
  if (type_ == WireType::kLength) return bytes_;
  Fail(Rule::kWireType);
  return {};
}

void Reader::Skip() {
  unknown_bytes_ += whole_.size();
  if (unknown_bytes_ > kMaxUnknownBytes) Fail(Rule::kUnknownTooLarge);
}

bool IsUtf8(std::string_view text) {
  const auto* p = reinterpret_cast<const unsigned char*>(text.data());
  const auto* const end = p + text.size();
  const auto follows = [&](unsigned char low, unsigned char high) {
    return p != end && *p >= low && *p <= high ? (++p, true) : false;
  };
  while (p != end) {
    const unsigned char lead = *p++;
    if (lead < 0x80) continue;
    bool ok = false;
    if (lead >= 0xc2 && lead <= 0xdf) {
      ok = follows(0x80, 0xbf);
    } else if (lead >= 0xe0 && lead <= 0xef) {
      ok = follows(lead == 0xe0 ? 0xa0 : 0x80, lead == 0xed ? 0x9f : 0xbf) && follows(0x80, 0xbf);
    } else if (lead >= 0xf0 && lead <= 0xf4) {
      ok = follows(lead == 0xf0 ? 0x90 : 0x80, lead == 0xf4 ? 0x8f : 0xbf) && follows(0x80, 0xbf) &&
           follows(0x80, 0xbf);
    }
    if (!ok) return false;
  }
  return true;
}

}  // namespace peermesh::wire
