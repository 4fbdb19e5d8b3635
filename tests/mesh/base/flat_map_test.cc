#include "mesh/base/flat_map.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "mesh/base/rng.h"

namespace peermesh {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

TEST(FlatMapTest, AWalkIsInOrderOfKeys) {
  FlatMap<int, std::string> map;
  map[3] = "three";
  map[1] = "one";
  map[2] = "two";
  EXPECT_THAT(map, ElementsAre(Pair(1, "one"), Pair(2, "two"), Pair(3, "three")));
}

TEST(FlatMapTest, ValuesStayWhereTheyAre) {
  FlatMap<int, std::string> map;
  std::string* const fifth = &map[5];
  *fifth = "five";
  for (int key = 0; key < 100; ++key) map[key];
  for (int key = 0; key < 5; ++key) map.erase(key);
  EXPECT_EQ(&map.at(5), fifth);
  EXPECT_EQ(*fifth, "five");
}

TEST(FlatMapTest, AValueNeedNotMove) {
  struct Fixed {
    const int number = 7;
    std::unique_ptr<int> owned;
  };
  FlatMap<int, Fixed> map;
  EXPECT_EQ(map[1].number, 7);
  EXPECT_EQ(map[1].owned, nullptr);
}

TEST(FlatMapTest, ItDoesWhatAMapDoes) {
  Rng rng(Rng::Seed{1, 2, 3, 4});
  FlatMap<std::uint64_t, std::uint64_t> flat;
  std::map<std::uint64_t, std::uint64_t> map;
  for (int step = 0; step < 2000; ++step) {
    const std::uint64_t key = rng.Below(50), what = rng.Below(4);
    if (what == 0) {
      ASSERT_EQ(flat.erase(key), map.erase(key));
    } else if (what == 1) {
      ASSERT_EQ(flat.contains(key), map.contains(key));
      if (const auto at = flat.find(key); at != flat.end()) {
        ASSERT_EQ(at->second, map.at(key));
        flat.erase(at);
        map.erase(key);
      }
    } else {
      flat[key] = map[key] = rng.Below(1000);
    }
    ASSERT_EQ(flat.size(), map.size());
    ASSERT_EQ(flat.empty(), map.empty());
    auto other = map.begin();
    for (const auto [its, value] : flat) {
      ASSERT_EQ(its, other->first);
      ASSERT_EQ(value, other++->second);
    }
  }
}

TEST(FlatMapDeathTest, ToTakeWhatIsNotThereIsABug) {
  FlatMap<int, int> map;
  EXPECT_DEATH(map.at(1), "broken invariant");
  EXPECT_DEATH(map.erase(map.end()), "broken invariant");
}

}  // namespace
}  // namespace peermesh
