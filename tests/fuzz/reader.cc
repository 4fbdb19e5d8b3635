// The strict reader of protobuf's wire format, against protobuf's own parser.
#include "server/wire/reader.h"

#include <google/protobuf/unknown_field_set.h>

#include "mesh/base/check.h"
#include "tests/fuzz/fuzz.h"

namespace peermesh::fuzz {
namespace {

using google::protobuf::UnknownFieldSet;
using wire::Reader;
using wire::Rule;

// What is read strictly is what protobuf reads, and what protobuf would write: byte for byte.
void TryFields(std::string_view input) {
  Reader reader(input);
  std::size_t walked = 0;
  while (reader.Next()) {
    PM_CHECK(reader.whole().data() == input.data() + walked && !reader.whole().empty());
    PM_CHECK(reader.number() >= 1 && reader.number() < 1u << 29);
    PM_CHECK(!reader.IsLength() || reader.whole().ends_with(reader.Bytes()));
    walked += reader.whole().size();
  }
  if (reader.rule() != Rule::kNone) {
    PM_CHECK(*wire::Describe(reader.rule()).what != '\0');
    PM_CHECK(walked < input.size());
    return;
  }
  PM_CHECK(walked == input.size());
  UnknownFieldSet fields;
  PM_CHECK(fields.ParseFromArray(input.data(), static_cast<int>(input.size())));
  std::string written;
  PM_CHECK(fields.SerializeToString(&written));
  PM_CHECK(written == input);
}

void TryVarint(std::string_view input) {
  std::string_view rest = input;
  std::uint64_t value = 0;
  if (!wire::TakeVarint(rest, value)) {
    PM_CHECK(rest == input);
    return;
  }
  std::string written;
  wire::Writer(written).Varint(value);
  PM_CHECK(written == input.substr(0, input.size() - rest.size()));
  PM_CHECK(written.size() == wire::VarintSize(value));
}

// By code points, as in table 3-6 of the Unicode standard, section 3.9.
bool NaiveIsUtf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<std::uint8_t>(text[i++]);
    if (lead < 0x80) continue;
    const std::size_t follow = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : lead >= 0xc0 ? 1 : 9;
    if (lead >= 0xf8 || follow == 9 || text.size() - i < follow) return false;
    std::uint32_t point = lead & (0x3fu >> follow);
    for (std::size_t k = 0; k < follow; ++k) {
      const auto byte = static_cast<std::uint8_t>(text[i++]);
      if (byte >> 6 != 2) return false;
      point = point << 6 | (byte & 0x3fu);
    }
    constexpr std::uint32_t kLeast[] = {0, 0x80, 0x800, 0x10000};
    if (point < kLeast[follow] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000)) {
      return false;
    }
  }
  return true;
}

}  // namespace

void Try(std::string_view input) {
  TryFields(input);
  TryVarint(input);
  PM_CHECK(wire::IsUtf8(input) == NaiveIsUtf8(input));
}

}  // namespace peermesh::fuzz
