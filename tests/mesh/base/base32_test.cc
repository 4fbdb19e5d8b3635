#include "mesh/base/base32.h"

#include <gtest/gtest.h>

#include <set>

#include "mesh/base/rng.h"

namespace peermesh {
namespace {

std::string Encode(std::string_view bytes) {
  return Base32Encode({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
}

// RFC 4648 section 10, lower case and without padding.
TEST(Base32Test, KnowsTheVectorsOfTheRfc) {
  const std::pair<const char*, const char*> vectors[] = {
      {"", ""},
      {"f", "my"},
      {"fo", "mzxq"},
      {"foo", "mzxw6"},
      {"foob", "mzxw6yq"},
      {"fooba", "mzxw6ytb"},
      {"foobar", "mzxw6ytboi"},
  };
  for (const auto& [bytes, text] : vectors) {
    EXPECT_EQ(Encode(bytes), text);
    EXPECT_EQ(Base32Decode(text), bytes);
  }
}

TEST(Base32Test, EveryLengthComesBackUnchanged) {
  Rng rng({1, 2, 3, 4});
  for (std::size_t length = 0; length <= 70; ++length) {
    std::string bytes;
    for (std::size_t i = 0; i < length; ++i) bytes.push_back(static_cast<char>(rng.Below(256)));
    EXPECT_EQ(Base32Decode(Encode(bytes)), bytes) << "length " << length;
  }
}

TEST(Base32Test, RefusesWhatTheEncoderNeverWrites) {
  for (const char* text : {"MY", "my======", "m y", "m1", "m8", "my\n", "m-", "\xff\xff"}) {
    EXPECT_EQ(Base32Decode(text), std::nullopt) << text;
  }
  EXPECT_EQ(Base32Decode(std::string_view("my\0", 3)), std::nullopt);
}

TEST(Base32Test, RefusesLengthsNoByteStringHas) {
  // 1, 3 and 6 characters (modulo 8) carry no whole number of bytes.
  for (const char* text : {"a", "aaa", "aaaaaa", "aaaaaaaaa"}) {
    EXPECT_EQ(Base32Decode(text), std::nullopt) << text;
  }
}

TEST(Base32Test, EveryByteHasExactlyOneSpelling) {
  const std::string alphabet = "abcdefghijklmnopqrstuvwxyz234567";
  std::set<std::string> seen;
  for (const char a : alphabet) {
    for (const char b : alphabet) {
      const auto byte = Base32Decode(std::string{a, b});
      if (byte) {
        EXPECT_TRUE(seen.insert(*byte).second) << a << b << " spells a byte a second time";
      }
    }
  }
  EXPECT_EQ(seen.size(), 256u);
}

}  // namespace
}  // namespace peermesh
