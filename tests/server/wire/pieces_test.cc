#include "server/wire/pieces.h"

#include <gtest/gtest.h>

namespace peermesh::wire {
namespace {

std::shared_ptr<const std::string> Buffer(std::size_t bytes, char fill) {
  return std::make_shared<const std::string>(bytes, fill);
}

TEST(PiecesTest, ALongStretchIsSharedAndKeepsItsBufferAlive) {
  auto buffer = Buffer(2 * kMinShared, 'b');
  const std::weak_ptr<const std::string> watched = buffer;
  const char* const place = buffer->data() + 10;
  Pieces pieces(std::string("head"));
  pieces.Add(buffer, std::string_view(*buffer).substr(10, kMinShared));
  buffer.reset();
  ASSERT_EQ(pieces.all().size(), 2u);
  EXPECT_EQ(pieces.all()[1].bytes().data(), place);
  EXPECT_EQ(pieces.size(), 4 + kMinShared);
  pieces.Take();
  EXPECT_TRUE(watched.expired());
  EXPECT_TRUE(pieces.empty());
}

TEST(PiecesTest, AShortStretchIsCopiedAndSoIsASmallPartOfALargeBuffer) {
  const auto small = Buffer(kMinShared, 's');
  const auto large = Buffer(kKeptForOne * kMinShared + 1, 'l');
  Pieces pieces;
  pieces.Add(small, std::string_view(*small).substr(1));
  pieces.Add(large, std::string_view(*large).substr(0, kMinShared));
  ASSERT_EQ(pieces.all().size(), 1u);
  EXPECT_EQ(pieces.Flat(), std::string(kMinShared - 1, 's') + std::string(kMinShared, 'l'));
  EXPECT_EQ(small.use_count(), 1);
  EXPECT_EQ(large.use_count(), 1);
}

TEST(PiecesTest, WhatIsAppendedComesAfterWhateverItIs) {
  const auto buffer = Buffer(kMinShared, 'b');
  Pieces pieces(std::string("one"));
  pieces.Append(std::string("two"));
  EXPECT_EQ(pieces.all().size(), 1u) << "small ones are joined";
  Pieces more(std::string("three"));
  more.Add(buffer, *buffer);
  more.tail().append("four");
  pieces.Append(std::move(more));
  pieces.tail().append("five");
  EXPECT_EQ(pieces.Flat(), "onetwothree" + *buffer + "fourfive");
  EXPECT_EQ(pieces.size(), pieces.Flat().size());
}

}  // namespace
}  // namespace peermesh::wire
