#include "tests/sim/experiment/account.h"

#include <gtest/gtest.h>

#include "tests/sim/experiment/rounds.h"

namespace peermesh::sim::experiment {
namespace {

// A world of two peers with an application each; only what the account is told is made up.
class AccountTest : public testing::Test {
 protected:
  AccountTest() {
    world_.witnesses = {&account_};
    for (const char* name : {"a", "b"}) apps_.push_back(world_.Open(world_.Add(name)));
    account_.Subscribed(apps_[1], {});
  }
  void Accept(std::uint64_t number) {
    Accepted message;
    message.number = number;
    message.when = world_.now();
    account_.Took(apps_[0], message, {});
  }
  flow::Delivery From() const {
    flow::Delivery delivery;
    std::tie(delivery.origin, delivery.epoch) = world_.ProcessOf(0);
    return delivery;
  }
  void Receive(std::uint64_t number) {
    flow::Delivery delivery = From();
    delivery.batch = std::make_shared<const Batch>();
    delivery.items.push_back({0, number});
    account_.Receives(apps_[1], delivery);
  }
  void ReceiveGap(std::uint64_t from, std::uint64_t to) {
    flow::Delivery gap = From();
    gap.gap_from = from;
    gap.gap_to = to;
    account_.Receives(apps_[1], gap);
  }
  double Of(const std::string& figure) {
    Figures figures;
    account_.Describe(figures);
    return figures.Find(figure).value_or(-1);
  }

  World world_{1};
  Account account_{world_};
  std::vector<AppIndex> apps_;
};

TEST_F(AccountTest, WhatCameOrWasAnnouncedIsNotMissing) {
  world_.Run(kMeeting);
  for (std::uint64_t number = 1; number <= 4; ++number) Accept(number);
  Receive(1);
  ReceiveGap(2, 3);
  Receive(4);
  EXPECT_EQ(Of("accepted"), 4);
  EXPECT_EQ(Of("came"), 2);
  EXPECT_EQ(Of("announced"), 2);
  EXPECT_EQ(Of("missing"), 0);
}

TEST_F(AccountTest, AHoleIsMissingAndSoIsTheEnd) {
  world_.Run(kMeeting);
  for (std::uint64_t number = 1; number <= 6; ++number) Accept(number);
  Receive(1);
  Receive(4);
  EXPECT_EQ(Of("missing"), 2 + 2);
}

TEST_F(AccountTest, WhoGetsNothingMissesEverythingThatIsOwed) {
  Accept(1);
  world_.Run(kMeeting);
  Accept(2);
  Accept(3);
  EXPECT_EQ(Of("missing"), 2) << "the first one came before they can have met";
}

TEST_F(AccountTest, NothingIsOwedFromBeforeTheyHaveMet) {
  Accept(1);
  Accept(2);
  world_.Run(kMeeting);
  Accept(3);
  Receive(3);
  EXPECT_EQ(Of("missing"), 0);
}

TEST_F(AccountTest, ComingAgainIsNotComingLate) {
  world_.Run(kMeeting);
  for (std::uint64_t number = 1; number <= 3; ++number) Accept(number);
  Receive(1);
  Receive(1);
  ReceiveGap(2, 2);
  Receive(2);
  Receive(3);
  EXPECT_EQ(Of("repeated"), 1);
  EXPECT_EQ(Of("belated"), 1);
}

// Four peers: 0 published; 1 had it in time, 2 late, 3 never.
TEST(RoundsTest, SharesAreOfThoseThatAreOwedTheMessage) {
  const Instant begin{std::chrono::seconds(10)};
  Round round{
      begin,
      0,
      {begin, begin + std::chrono::milliseconds(100), begin + std::chrono::seconds(3), kNever},
      {0, 1, 2, 0},
      4};
  Broadcast broadcast;
  Figures figures;
  Curves curves;
  Describe({round}, {true, true, true, true}, broadcast, begin - std::chrono::seconds(5), figures,
           curves);
  EXPECT_DOUBLE_EQ(*figures.Find("delivered"), 1 / 3.0);
  EXPECT_DOUBLE_EQ(*figures.Find("eventually[1]"), 2 / 3.0);
  EXPECT_EQ(figures.Find("missed"), 1);
  EXPECT_EQ(figures.Find("late"), 1);
  EXPECT_EQ(figures.Find("redundancy"), 1) << "four copies for the two that had it";
  EXPECT_EQ(figures.Find("hops_last"), 2);
  EXPECT_EQ(figures.Find("last_max"), 3);
  EXPECT_EQ(curves.rounds.at(0).first, 5);
  figures = {};
  Describe({round}, {true, true, true, false}, broadcast, std::nullopt, figures, curves);
  EXPECT_EQ(figures.Find("missed"), 0) << "the dead are owed nothing";
}

}  // namespace
}  // namespace peermesh::sim::experiment
