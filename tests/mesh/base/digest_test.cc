#include "mesh/base/digest.h"

#include <gtest/gtest.h>

namespace peermesh {
namespace {

using std::chrono::microseconds;

// The MurmurHash3 64-bit finaliser, and FNV-1a's published values before it.
TEST(DigestTest, HashesComeOutAsPublishedOnEveryMachine) {
  EXPECT_EQ(HashWord(0), 0u);
  EXPECT_EQ(HashWord(1), 0xb456bcfc34c2cb2cull);
  EXPECT_EQ(HashBytes(""), HashWord(0xcbf29ce484222325ull));
  EXPECT_EQ(HashBytes("a"), HashWord(0xaf63dc4c8601ec8cull));
  EXPECT_EQ(HashBytes("foobar"), HashWord(0x85944171f73967e8ull));
}

TEST(DigestTest, BytesAbove127AreUnsigned) {
  EXPECT_EQ(HashBytes("\xff"), HashWord((0xcbf29ce484222325ull ^ 0xff) * 0x100000001b3ull));
}

TEST(DigestTest, OrderMatters) {
  EXPECT_NE(Digest().Add(1).Add(2).value(), Digest().Add(2).Add(1).value());
  EXPECT_EQ(Digest().Add(1).Add(2).value(), Digest().Add(1).Add(2).value());
}

TEST(DigestTest, ZeroIsAFactToo) {
  EXPECT_NE(Digest().value(), Digest().Add(0).value());
  EXPECT_NE(Digest().Add(0).value(), Digest().Add(0).Add(0).value());
}

TEST(DigestTest, InstantsAndIdsCount) {
  PeerId a;
  PeerId b;
  b.bytes[31] = 1;
  EXPECT_NE(Digest().Add(a).value(), Digest().Add(b).value());
  EXPECT_NE(Digest().Add(Instant(microseconds(1))).value(),
            Digest().Add(Instant(microseconds(2))).value());
}

}  // namespace
}  // namespace peermesh
