#include "mesh/broadcast/missing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <utility>
#include <vector>

#include "mesh/base/rng.h"

namespace peermesh::broadcast {
namespace {

using testing::ElementsAre;
using testing::Pair;

class HolesTest : public testing::Test {
 protected:
  ~HolesTest() override { holes.CheckInvariants(); }
  void Append(std::uint64_t first, std::uint64_t next, std::uint32_t creator = 1) {
    Hole hole;
    hole.first = first;
    hole.next = next;
    hole.deadline = Instant{};
    hole.creator = creator;
    holes.Append(hole, counts);
  }
  std::vector<std::pair<std::uint64_t, std::uint64_t>> All() const {
    std::vector<std::pair<std::uint64_t, std::uint64_t>> all;
    for (const Hole& hole : holes) all.emplace_back(hole.first, hole.next);
    return all;
  }
  Holes holes;
  HoleCounts counts;
};

TEST_F(HolesTest, FillingInTheMiddleLeavesTwo) {
  Append(10, 20);
  holes.Fill(13, 15, counts);
  EXPECT_THAT(All(), ElementsAre(Pair(10, 13), Pair(15, 20)));
  EXPECT_EQ(counts.Of(1), 2u);
}

TEST_F(HolesTest, FillingAcrossSeveralRemovesAndTrims) {
  Append(10, 20);
  Append(30, 40, 2);
  Append(50, 60);
  holes.Fill(15, 55, counts);
  EXPECT_THAT(All(), ElementsAre(Pair(10, 15), Pair(55, 60)));
  EXPECT_EQ(counts.Of(2), 0u);
  EXPECT_EQ(counts.total(), 2u);
}

TEST_F(HolesTest, ACutKeepsAllNumbers) {
  Append(10, 20);
  holes.CutAt(10, counts);
  holes.CutAt(14, counts);
  holes.CutAt(20, counts);
  holes.CutAt(99, counts);
  EXPECT_THAT(All(), ElementsAre(Pair(10, 14), Pair(14, 20)));
}

TEST_F(HolesTest, APromiseReplacesAGuessAndEightAreRemembered) {
  Hole hole;
  EXPECT_TRUE(hole.AddAnnouncer(1, false));
  EXPECT_FALSE(hole.AddAnnouncer(1, true));
  EXPECT_TRUE(hole.announcers.front().promised);
  for (std::uint32_t i = 2; i < 20; ++i) hole.AddAnnouncer(i, true);
  EXPECT_EQ(hole.announcers.size(), kMaxAnnouncers);
}

TEST_F(HolesTest, HolesAreASetOfNumbers) {
  Rng rng({1, 2, 3, 4});
  std::set<std::uint64_t> model;
  std::uint64_t end = 1;
  for (int step = 0; step < 5000; ++step) {
    const std::uint64_t a = end < 60 ? 1 : end - 60 + rng.Below(60);
    const std::uint64_t b = a + rng.Below(12);
    if (rng.Below(4) == 0 && holes.size() < kMaxHolesPerStream) {
      end += rng.Below(3);
      const std::uint64_t next = end + 1 + rng.Below(20);
      Append(end, next, static_cast<std::uint32_t>(rng.Below(3)));
      for (; end < next; ++end) model.insert(end);
    } else if (rng.Below(3) == 0) {
      holes.CutAt(a, counts);
    } else {
      holes.Fill(a, b, counts);
      model.erase(model.lower_bound(a), model.lower_bound(b));
    }
    holes.CheckInvariants();
    std::set<std::uint64_t> numbers;
    for (const Hole& hole : holes) {
      for (std::uint64_t number = hole.first; number < hole.next; ++number) numbers.insert(number);
    }
    ASSERT_EQ(numbers, model) << step;
    ASSERT_EQ(counts.total(), holes.size());
  }
  holes.Clear(counts);
  EXPECT_EQ(counts.total(), 0u);
  EXPECT_EQ(counts.Of(1), 0u);
}

}  // namespace
}  // namespace peermesh::broadcast
