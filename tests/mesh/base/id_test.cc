#include "mesh/base/id.h"

#include <gtest/gtest.h>

#include <type_traits>
#include <unordered_set>

namespace peermesh {
namespace {

static_assert(!std::is_convertible_v<LinkId, SessionId>, "ids of different things do not mix");

PeerId Counting() {
  PeerId id;
  for (std::size_t i = 0; i < id.bytes.size(); ++i) id.bytes[i] = static_cast<std::uint8_t>(i);
  return id;
}

TEST(IdTest, ZeroMeansNone) {
  EXPECT_FALSE(LinkId{});
  EXPECT_TRUE(LinkId{1});
  EXPECT_LT(LinkId{1}, LinkId{2});
}

TEST(IdTest, IdsCanBeKeysOfAHashTable) {
  const std::unordered_set<LinkId> ids = {LinkId{1}, LinkId{2}, LinkId{1}};
  EXPECT_EQ(ids.size(), 2u);
}

TEST(PeerIdTest, TextIsFiftyTwoCharactersThatFitADnsLabel) {
  const std::string text = Counting().ToText();
  EXPECT_EQ(text, "aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dypq");
  EXPECT_EQ(text.size(), 52u);
  EXPECT_EQ(Counting().ToShortText(), "aaaqeaye");
}

TEST(PeerIdTest, TextAndBytesComeBackUnchanged) {
  const PeerId id = Counting();
  EXPECT_EQ(PeerId::FromText(id.ToText()), id);
  EXPECT_EQ(PeerId::FromBytes(id.ToBytes()), id);
}

TEST(PeerIdTest, AnyOtherSpellingIsRefused) {
  std::string text = Counting().ToText();
  EXPECT_EQ(PeerId::FromText(""), std::nullopt);
  EXPECT_EQ(PeerId::FromText(text.substr(1)), std::nullopt);
  EXPECT_EQ(PeerId::FromText(text + "a"), std::nullopt);
  std::string upper = text;
  upper[0] = 'A';
  EXPECT_EQ(PeerId::FromText(upper), std::nullopt);
  std::string stray_bits = text;  // 52 characters hold 260 bits, 4 more than the id
  stray_bits.back() = 'r';
  EXPECT_EQ(PeerId::FromText(stray_bits), std::nullopt);
}

TEST(PeerIdTest, OnlyThirtyTwoBytesAreAnId) {
  for (const std::size_t size : {0u, 31u, 33u}) {
    EXPECT_EQ(PeerId::FromBytes(std::string(size, 'x')), std::nullopt) << size;
  }
}

TEST(PeerIdTest, OrderIsThatOfTheBytes) {
  PeerId low;
  PeerId high;
  high.bytes[0] = 0x80;
  EXPECT_LT(low, high);
}

}  // namespace
}  // namespace peermesh
