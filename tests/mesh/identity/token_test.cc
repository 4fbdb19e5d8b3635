#include "mesh/identity/token.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace peermesh::identity {
namespace {

using testing::HasSubstr;
using testing::Not;

Token Sample() {
  return {PinOf("root"), "abcdefg234", std::string(25, 'b') + "a", "ca.example.org:7444"};
}

std::string FaultOf(const std::string& text) {
  const auto token = ParseToken(text);
  return token.ok() ? "none" : std::string(token.status().message());
}

TEST(Token, RoundTrips) {
  for (const char* address : {"127.0.0.1:7444", "[::1]:1", "host:65535", "a.b-c.example:7444"}) {
    Token token = Sample();
    token.address = address;
    const auto parsed = ParseToken(FormatToken(token));
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    EXPECT_EQ(*parsed, token);
  }
}

TEST(Token, WhiteSpaceAroundItDoesNotMatter) {
  EXPECT_EQ(*ParseToken(" \t" + FormatToken(Sample()) + "\r\n"), Sample());
}

TEST(Token, TheAddressMayBeChangedByHand) {
  std::string text = FormatToken(Sample());
  text = text.substr(0, text.find('@')) + "@10.0.0.1:99";
  const auto parsed = ParseToken(text);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->address, "10.0.0.1:99");
}

TEST(Token, EveryChangedCharacterBeforeTheAddressIsNoticed) {
  const std::string text = FormatToken(Sample());
  for (std::size_t i = 0; i < text.find('@'); ++i) {
    std::string damaged = text;
    damaged[i] = damaged[i] == 'c' ? 'd' : 'c';
    EXPECT_FALSE(ParseToken(damaged).ok()) << "character " << i;
  }
}

TEST(Token, EveryCutIsNoticed) {
  const std::string text = FormatToken(Sample());
  for (std::size_t length = 0; length <= text.find(':'); ++length) {
    EXPECT_FALSE(ParseToken(text.substr(0, length)).ok()) << "after " << length;
  }
}

TEST(Token, FaultsAreNamedForTheReader) {
  const std::string text = FormatToken(Sample());
  EXPECT_THAT(FaultOf(""), HasSubstr("empty"));
  EXPECT_THAT(FaultOf("SWMTKN-1-abc"), HasSubstr("pm1."));
  EXPECT_THAT(FaultOf(text.substr(0, text.find('@'))), HasSubstr("cut off"));
  EXPECT_THAT(FaultOf(text.substr(0, 20) + "\n" + text.substr(20)), HasSubstr("line end"));
  EXPECT_THAT(FaultOf("pm1.a@h:1"), HasSubstr("five parts"));
  EXPECT_THAT(FaultOf(text.substr(0, text.find('@')) + "@host"), HasSubstr("host:port"));
  EXPECT_THAT(FaultOf(text + std::string(kMaxTokenBytes, 'x')), HasSubstr("too long"));
  std::string slip = text;
  slip[text.find("abcdefg234")] = 'z';
  EXPECT_THAT(FaultOf(slip), HasSubstr("typing error"));
}

TEST(Token, FaultsNeverRepeatTheSecret) {
  std::string text = FormatToken(Sample());
  text[5] = text[5] == 'a' ? 'b' : 'a';
  EXPECT_THAT(FaultOf(text), Not(HasSubstr(Sample().secret)));
}

TEST(HostPort, IsWhatADialTakes) {
  for (const char* good : {"a:1", "127.0.0.1:7444", "[::1]:7444", "[fe80::1]:65535", "x-y.z:80"}) {
    EXPECT_TRUE(IsHostPort(good)) << good;
  }
  for (const char* bad : {"", "a", "a:", ":1", "a:0", "a:65536", "a:1x", "a:-1", "a: 1", "::1:7444",
                          "[::1]", "[]:1", "[a]:1", "a b:1", "a@b:1", "a/b:1"}) {
    EXPECT_FALSE(IsHostPort(bad)) << bad;
  }
}

}  // namespace
}  // namespace peermesh::identity
