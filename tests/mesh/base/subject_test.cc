#include "mesh/base/subject.h"

#include <gtest/gtest.h>

#include <string>

#include "mesh/base/limits.h"

namespace peermesh {
namespace {

std::string Tokens(std::size_t count, const std::string& token) {
  std::string text = token;
  for (std::size_t i = 1; i < count; ++i) text += "." + token;
  return text;
}

TEST(SubjectTest, TokensOfLettersDigitsDashAndUnderscoreJoinedByDotsAreASubject) {
  for (const char* good : {"a", "A.b_c.d-e.0", "-", "_._"}) {
    EXPECT_TRUE(IsValidSubject(good)) << good;
    EXPECT_TRUE(IsValidPattern(good)) << good;
  }
}

TEST(SubjectTest, EmptyTokensAndOtherBytesAreRefused) {
  for (const char* bad :
       {"", ".", ".a", "a.", "a..b", "a b", "a\n", "a/b", "\xc3\xa4", "a.$", "a,b", "a:b"}) {
    EXPECT_FALSE(IsValidSubject(bad)) << bad;
    EXPECT_FALSE(IsValidPattern(bad)) << bad;
  }
  EXPECT_FALSE(IsValidSubject(std::string_view("a\0b", 3)));
}

TEST(SubjectTest, EveryByteIsJudged) {
  std::size_t good = 0;
  for (int byte = 0; byte < 256; ++byte) {
    good += IsValidSubject(std::string(1, static_cast<char>(byte)));
  }
  EXPECT_EQ(good, 26u + 26 + 10 + 2);
}

TEST(SubjectTest, WildcardsAreForPatternsAndStandAlone) {
  for (const char* good : {"*", ">", "*.a", "a.*", "*.*", "a.>", "*.>", "a.*.b.>"}) {
    EXPECT_TRUE(IsValidPattern(good)) << good;
    EXPECT_FALSE(IsValidSubject(good)) << good;
  }
  for (const char* bad : {">.a", "a.>.b", "a*", "*a", "a>", "**", ">>", "a.>.", "*.>.>"}) {
    EXPECT_FALSE(IsValidPattern(bad)) << bad;
  }
}

TEST(SubjectTest, LengthAndTokensAreBounded) {
  EXPECT_TRUE(IsValidSubject(std::string(kMaxSubjectBytes, 'a')));
  EXPECT_FALSE(IsValidSubject(std::string(kMaxSubjectBytes + 1, 'a')));
  EXPECT_TRUE(IsValidSubject(Tokens(kMaxSubjectTokens, "t")));
  EXPECT_FALSE(IsValidSubject(Tokens(kMaxSubjectTokens + 1, "t")));
  EXPECT_TRUE(IsValidPattern(Tokens(kMaxSubjectTokens, "*")));
  EXPECT_FALSE(IsValidPattern(Tokens(kMaxSubjectTokens + 1, "*")));
}

}  // namespace
}  // namespace peermesh
