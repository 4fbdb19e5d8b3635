#include "server/wire/reader.h"

#include <optional>

#include "tests/server/wire/wire_testing.h"

namespace peermesh::wire {
namespace {

std::optional<std::uint64_t> Read(std::string bytes) {
  std::string_view rest = bytes;
  std::uint64_t value = 0;
  if (!TakeVarint(rest, value)) return std::nullopt;
  return value;
}

Rule RuleOf(const std::string& bytes) {
  Reader reader(bytes);
  while (reader.Next()) {
  }
  return reader.rule();
}

TEST(ReaderTest, VarintsOfEveryLengthComeBack) {
  for (int bits = 0; bits < 64; ++bits) {
    for (const std::uint64_t value : {std::uint64_t{1} << bits, (std::uint64_t{1} << bits) - 1}) {
      EXPECT_EQ(Read(Varint(value)), value);
      EXPECT_EQ(Varint(value).size(), VarintSize(value));
    }
  }
  EXPECT_EQ(Read(Varint(~std::uint64_t{0})), ~std::uint64_t{0});
}

TEST(ReaderTest, VarintsThatAreLongerThanNeededAreRefused) {
  EXPECT_EQ(Read(std::string("\x80\x00", 2)), std::nullopt);
  EXPECT_EQ(Read(std::string("\xff\x80\x00", 3)), std::nullopt);
  EXPECT_EQ(Read(std::string("\x00", 1)), 0u);
}

TEST(ReaderTest, VarintsAbove64BitsOrCutShortAreRefused) {
  EXPECT_EQ(Read("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"), std::nullopt);
  EXPECT_EQ(Read("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), std::nullopt);
  EXPECT_EQ(Read("\xff"), std::nullopt);
  EXPECT_EQ(Read(""), std::nullopt);
}

TEST(ReaderTest, WalksEveryKindOfField) {
  const std::string bytes =
      Number(1, 300) + Bytes(2, "text") + Tag(3, 1) + "12345678" + Tag(4, 5) + "1234";
  Reader reader(bytes);
  ASSERT_TRUE(reader.Next());
  EXPECT_EQ(reader.number(), 1u);
  EXPECT_EQ(reader.Varint(), 300u);
  ASSERT_TRUE(reader.Next());
  EXPECT_EQ(reader.Bytes(), "text");
  EXPECT_EQ(reader.whole(), Bytes(2, "text"));
  ASSERT_TRUE(reader.Next());
  EXPECT_EQ(reader.whole().size(), 9u);
  ASSERT_TRUE(reader.Next());
  EXPECT_EQ(reader.whole().size(), 5u);
  EXPECT_FALSE(reader.Next());
  EXPECT_EQ(reader.rule(), Rule::kNone);
}

TEST(ReaderTest, BrokenFramesNameTheirRule) {
  EXPECT_EQ(RuleOf(Bytes(1, "abc").substr(0, 3)), Rule::kTruncated);
  EXPECT_EQ(RuleOf(Tag(1, 1) + "1234567"), Rule::kTruncated);
  EXPECT_EQ(RuleOf(Tag(1, 5) + "123"), Rule::kTruncated);
  EXPECT_EQ(RuleOf(Tag(1, 2) + Varint(~std::uint64_t{0})), Rule::kTruncated)
      << "an announced size is no size";
  EXPECT_EQ(RuleOf(Tag(1, 0)), Rule::kVarint);
  EXPECT_EQ(RuleOf(Tag(1, 3) + Tag(1, 4)), Rule::kWireType) << "groups";
  EXPECT_EQ(RuleOf(Tag(1, 7)), Rule::kWireType);
  EXPECT_EQ(RuleOf(Number(0, 1)), Rule::kFieldNumber);
  EXPECT_EQ(RuleOf(Varint(std::uint64_t{1} << 32) + Varint(1)), Rule::kFieldNumber);
}

TEST(ReaderTest, AFieldOfAnotherTypeBreaksTheWalk) {
  const std::string number = Number(1, 1);
  Reader reader(number);
  ASSERT_TRUE(reader.Next());
  EXPECT_EQ(reader.Bytes(), "");
  EXPECT_EQ(reader.rule(), Rule::kWireType);
  const std::string text = Bytes(1, "x") + number;
  Reader other(text);
  ASSERT_TRUE(other.Next());
  EXPECT_EQ(other.Varint(), 0u);
  EXPECT_FALSE(other.Next()) << "nothing is read behind a broken rule";
}

TEST(ReaderTest, UnknownFieldsAreBoundedInAll) {
  const std::string half = Bytes(99, std::string(kMaxUnknownBytes / 2 - 8, 'x'));
  const std::string bytes = half + half + half;
  Reader reader(bytes);
  int read = 0;
  while (reader.Next()) {
    reader.Skip();
    ++read;
  }
  EXPECT_EQ(read, 3);
  EXPECT_EQ(reader.rule(), Rule::kUnknownTooLarge);
}

TEST(ReaderTest, Utf8IsJudgedStrictly) {
  for (const char* good : {"", "plain", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x90\x9d",
                           "\xf4\x8f\xbf\xbf", "\xed\x9f\xbf"}) {
    EXPECT_TRUE(IsUtf8(good)) << good;
  }
  for (const char* bad :
       {"\x80", "\xc3", "\xc0\xaf", "\xc1\xbf", "\xe0\x80\xaf", "\xe2\x82", "\xed\xa0\x80",
        "\xf0\x80\x80\xaf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "a\xc3z"}) {
    EXPECT_FALSE(IsUtf8(bad)) << bad;
  }
  EXPECT_TRUE(IsUtf8(std::string("\0", 1))) << "NUL is a character";
}

}  // namespace
}  // namespace peermesh::wire
