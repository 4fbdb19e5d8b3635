#include "tests/sim/baseline/news.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace peermesh::sim::baseline {
namespace {

using testing::ElementsAre;

Update Suspect(std::uint32_t subject) { return {subject, 1, Belief::kSuspect}; }

TEST(NewsTest, WhatWasSentLeastGoesFirstAndTheNewestOfThose) {
  News news(10);
  news.Add(Suspect(1));
  EXPECT_THAT(news.Take(5), ElementsAre(Suspect(1)));
  news.Add(Suspect(2));
  news.Add(Suspect(3));
  EXPECT_THAT(news.Take(2), ElementsAre(Suspect(3), Suspect(2)));
  EXPECT_THAT(news.Take(3), ElementsAre(Suspect(3), Suspect(2), Suspect(1)));
}

TEST(NewsTest, EachIsSentAsOftenAsTheLimitSays) {
  News news(2);
  news.Add(Suspect(1));
  EXPECT_EQ(news.Take(1).size(), 1u);
  EXPECT_FALSE(news.empty());
  EXPECT_EQ(news.Take(1).size(), 1u);
  EXPECT_TRUE(news.empty());
  EXPECT_THAT(news.Take(1), ElementsAre());
}

TEST(NewsTest, AnUpdateReplacesTheOlderOneAboutTheSameMember) {
  News news(3);
  news.Add(Suspect(1));
  news.Take(1);
  news.Add({1, 1, Belief::kDead});
  EXPECT_THAT(news.Take(5), ElementsAre(Update{1, 1, Belief::kDead}));
}

}  // namespace
}  // namespace peermesh::sim::baseline
