#include "mesh/base/sorted_map.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>

#include "mesh/base/rng.h"

namespace peermesh {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

TEST(SortedMapTest, AWalkIsInOrderOfKeys) {
  SortedMap<int, std::string> map;
  map[3] = "three";
  map[1] = "one";
  map[2] = "two";
  EXPECT_THAT(map, ElementsAre(Pair(1, "one"), Pair(2, "two"), Pair(3, "three")));
}

TEST(SortedMapTest, AValueMayBeOneThatIsOnlyMoved) {
  SortedMap<int, std::unique_ptr<int>> map;
  map[2] = std::make_unique<int>(7);
  map[1];
  EXPECT_EQ(*map.find(2)->second, 7);
  EXPECT_EQ(map.find(1)->second, nullptr);
}

TEST(SortedMapTest, ItDoesWhatAMapDoes) {
  Rng rng(Rng::Seed{1, 2, 3, 4});
  SortedMap<std::uint64_t, std::uint64_t> sorted;
  std::map<std::uint64_t, std::uint64_t> map;
  for (int step = 0; step < 2000; ++step) {
    const std::uint64_t key = rng.Below(50), what = rng.Below(100);
    if (what == 0) {
      const auto goes = [key](const auto& entry) { return entry.first > key; };
      sorted.EraseIf(goes);
      std::erase_if(map, goes);
    } else if (what < 33) {
      ASSERT_EQ(sorted.erase(key), map.erase(key));
    } else if (what < 66) {
      ASSERT_EQ(sorted.contains(key), map.contains(key));
      if (map.contains(key)) {
        ASSERT_EQ(sorted.at(key), map.at(key));
      }
    } else {
      sorted[key] = map[key] = rng.Below(1000);
    }
    ASSERT_EQ(sorted.size(), map.size());
    ASSERT_EQ(sorted.empty(), map.empty());
    ASSERT_TRUE(std::equal(
        sorted.begin(), sorted.end(), map.begin(), map.end(),
        [](const auto& a, const auto& b) { return a.first == b.first && a.second == b.second; }));
  }
}

}  // namespace
}  // namespace peermesh
