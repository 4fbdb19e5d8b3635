#include "peermesh/v1/messaging.pb.h"
#include "server/wire/api.h"
#include "tests/server/wire/wire_testing.h"

namespace peermesh::wire {
namespace {

std::string NameOf(const PeerId& id) { return id == MakePeer(1) ? "alpha" : "beta"; }

flow::Delivery MakeDelivery(const std::vector<std::uint64_t>& sequences) {
  flow::Delivery delivery;
  delivery.origin = MakePeer(1);
  delivery.epoch = 42;
  delivery.channel = 7;
  delivery.publish_time_us = 1'700'000'000'000'000;
  std::vector<v1::Message> messages;
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    messages.push_back(MakeMessage("s." + std::to_string(sequences[i])));
    delivery.items.push_back({static_cast<std::uint32_t>(i), sequences[i]});
  }
  delivery.batch = MakeBatch(messages);
  delivery.matched = {1};
  return delivery;
}

flow::Delivery MakeGap(std::uint64_t from, std::uint64_t to) {
  flow::Delivery gap;
  gap.origin = MakePeer(2);
  gap.epoch = 43;
  gap.channel = 8;
  gap.gap_from = from;
  gap.gap_to = to;
  gap.gap_reason = LossReason::kSlowSubscriber;
  return gap;
}

v1::SubscribeResponse Encode(const std::vector<flow::Delivery>& deliveries) {
  const std::string bytes = EncodeDeliveries(deliveries, NameOf).Flat();
  v1::SubscribeResponse response;
  EXPECT_TRUE(response.ParseFromString(bytes));
  EXPECT_EQ(response.GetReflection()->GetUnknownFields(response).field_count(), 0);
  EXPECT_EQ(response.SerializeAsString(), bytes) << "the bytes are those of the generated classes";
  return response;
}

TEST(DeliveriesTest, ARunIsDescribedAndItsMessagesFollow) {
  const v1::SubscribeResponse response = Encode({MakeDelivery({5, 6, 7})});
  ASSERT_EQ(response.deliveries_size(), 1);
  const v1::Delivery& run = response.deliveries(0);
  EXPECT_EQ(run.count(), 3u);
  EXPECT_EQ(run.origin(), MakePeer(1).ToBytes());
  EXPECT_EQ(run.origin_name(), "alpha");
  EXPECT_EQ(run.epoch(), 42u);
  EXPECT_EQ(run.channel(), 7u);
  EXPECT_EQ(run.first_sequence(), 5u);
  EXPECT_EQ(run.skips_size(), 0);
  EXPECT_EQ(run.publish_time_us(), 1'700'000'000'000'000);
  EXPECT_THAT(run.matched(), ::testing::ElementsAre(1));
  EXPECT_EQ(run.matched_counts_size(), 0);
  ASSERT_EQ(response.messages_size(), 3);
  EXPECT_EQ(response.messages(2).subject(), "s.7");
}

TEST(DeliveriesTest, NumbersLeftOutAreSkipsBeforeTheirSuccessor) {
  const v1::SubscribeResponse response = Encode({MakeDelivery({5, 9, 10, 400})});
  EXPECT_THAT(response.deliveries(0).skips(), ::testing::ElementsAre(0, 3, 0, 389));
}

TEST(DeliveriesTest, EachMessageKeepsItsSubscriptions) {
  flow::Delivery delivery = MakeDelivery({1, 2, 3});
  delivery.matched = {1, 4, 300, 4};
  delivery.matched_counts = {2, 1, 1};
  const v1::SubscribeResponse response = Encode({delivery});
  EXPECT_THAT(response.deliveries(0).matched(), ::testing::ElementsAre(1, 4, 300, 4));
  EXPECT_THAT(response.deliveries(0).matched_counts(), ::testing::ElementsAre(2, 1, 1));
}

TEST(DeliveriesTest, GapsStandAtTheirPlaceAmongTheMessages) {
  const v1::SubscribeResponse response = Encode(
      {MakeGap(1, 4), MakeDelivery({5, 6}), MakeGap(7, 9), MakeDelivery({10}), MakeGap(11, 11)});
  ASSERT_EQ(response.gaps_size(), 3);
  EXPECT_EQ(response.gaps(0).before_message(), 0u);
  EXPECT_EQ(response.gaps(1).before_message(), 2u);
  EXPECT_EQ(response.gaps(2).before_message(), 3u);
  const v1::Gap& gap = response.gaps(1);
  EXPECT_EQ(gap.origin(), MakePeer(2).ToBytes());
  EXPECT_EQ(gap.epoch(), 43u);
  EXPECT_EQ(gap.channel(), 8u);
  EXPECT_EQ(gap.from(), 7u);
  EXPECT_EQ(gap.to(), 9u);
  EXPECT_EQ(gap.reason(), v1::LOSS_REASON_SLOW_SUBSCRIBER);
  EXPECT_EQ(response.messages_size(), 3);
}

TEST(DeliveriesTest, AChoiceOfRowsOfSeveralBatchesIsSplicedInOrder) {
  flow::Delivery first = MakeDelivery({1, 2, 3, 4});
  first.items = {{1, 2}, {3, 4}};
  flow::Delivery second = MakeDelivery({8, 9});
  second.origin = MakePeer(2);
  const v1::SubscribeResponse response = Encode({first, second, first});
  std::vector<std::string> subjects;
  for (const auto& message : response.messages()) subjects.push_back(message.subject());
  EXPECT_THAT(subjects, ::testing::ElementsAre("s.2", "s.4", "s.8", "s.9", "s.2", "s.4"));
  EXPECT_EQ(response.deliveries(1).origin_name(), "beta");
  EXPECT_EQ(response.deliveries(2).origin_name(), "alpha");
}

TEST(DeliveriesTest, ASkipBeyond32BitsBeginsANewRun) {
  const std::uint64_t far = std::uint64_t{1} << 40;
  flow::Delivery delivery = MakeDelivery({1, 2, far, far + 1});
  v1::SubscribeResponse response = Encode({delivery});
  ASSERT_EQ(response.deliveries_size(), 2);
  EXPECT_EQ(response.deliveries(0).count(), 2u);
  EXPECT_EQ(response.deliveries(1).count(), 2u);
  EXPECT_EQ(response.deliveries(1).first_sequence(), far);
  EXPECT_THAT(response.deliveries(0).matched(), ::testing::ElementsAre(1));
  EXPECT_THAT(response.deliveries(1).matched(), ::testing::ElementsAre(1));
  delivery.matched = {1, 2, 3, 4, 5};
  delivery.matched_counts = {1, 1, 2, 1};
  response = Encode({delivery});
  EXPECT_THAT(response.deliveries(0).matched(), ::testing::ElementsAre(1, 2));
  EXPECT_THAT(response.deliveries(1).matched(), ::testing::ElementsAre(3, 4, 5));
  EXPECT_THAT(response.deliveries(1).matched_counts(), ::testing::ElementsAre(2, 1));
}

TEST(DeliveriesTest, AnExchangeResponseLooksTheSame) {
  v1::ExchangeResponse response;
  const std::vector<flow::Delivery> deliveries = {MakeDelivery({1}), MakeGap(2, 3)};
  ASSERT_TRUE(response.ParseFromString(EncodeDeliveries(deliveries, NameOf).Flat()));
  EXPECT_EQ(response.deliveries_size(), 1);
  EXPECT_EQ(response.gaps_size(), 1);
  EXPECT_EQ(response.messages_size(), 1);
}

TEST(DeliveriesTest, NamesAreAskedForOncePerRunOfAnOrigin) {
  int asked = 0;
  const std::vector<flow::Delivery> deliveries = {MakeDelivery({1}), MakeDelivery({2}),
                                                  MakeDelivery({3})};
  EncodeDeliveries(deliveries, [&](const PeerId&) { return ++asked, std::string("alpha"); });
  EXPECT_EQ(asked, 1);
}

}  // namespace
}  // namespace peermesh::wire
