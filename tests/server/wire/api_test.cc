#include "server/wire/api.h"

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "peermesh/v1/messaging.pb.h"
#include "peermesh/v1/peers.pb.h"
#include "tests/server/wire/wire_testing.h"

namespace peermesh::wire {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string ReasonOf(const RpcError& error) {
  google::rpc::Status status;
  EXPECT_TRUE(status.ParseFromString(error.details));
  google::rpc::ErrorInfo info;
  EXPECT_TRUE(status.details_size() > 0 && status.details(0).UnpackTo(&info));
  return info.reason();
}

template <class T>
std::string ReasonOf(const Result<T>& result) {
  return result.ok() ? "" : ReasonOf(result.error());
}

// --- Publish -------------------------------------------------------------------------------------

TEST(PublishTest, ABatchBecomesRows) {
  v1::PublishRequest request;
  request.set_target("beta");
  *request.add_messages() = MakeMessage("a.b", "one");
  *request.add_messages() = MakeMessage("c", "two");
  const auto decoded = DecodePublish(Share(request.SerializeAsString()));
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(decoded->target, "beta");
  ASSERT_EQ(decoded->batch->rows.size(), 2u);
  EXPECT_EQ(decoded->batch->subject(decoded->batch->rows[1]), "c");
  EXPECT_EQ(decoded->batch->record(decoded->batch->rows[0]),
            Bytes(15, request.messages(0).SerializeAsString()));
}

TEST(PublishTest, EveryFaultHasItsReason) {
  v1::PublishRequest request;
  EXPECT_EQ(ReasonOf(DecodePublish(Share(request.SerializeAsString()))), "EMPTY_BATCH");
  *request.add_messages() = MakeMessage("a");
  *request.add_messages() = MakeMessage("a.*");
  const auto subject = DecodePublish(Share(request.SerializeAsString()));
  EXPECT_EQ(ReasonOf(subject), "INVALID_SUBJECT");
  EXPECT_EQ(subject.error().code, 3);
  EXPECT_THAT(subject.error().message, HasSubstr("messages[1].subject"));
  *request.mutable_messages(1) = MakeMessage("a", std::string(kMaxMessageBytes, 'x'));
  const auto large = DecodePublish(Share(request.SerializeAsString()));
  EXPECT_EQ(ReasonOf(large), "MESSAGE_TOO_LARGE");
  EXPECT_EQ(large.error().code, 8);
  EXPECT_EQ(large.error().retry_pushback, std::nullopt) << "it will not get smaller";
  request.mutable_messages()->DeleteSubrange(1, 1);
  for (std::size_t i = 0; i < kMaxBatchMessages; ++i)
    *request.add_messages() = MakeMessage("a", "");
  EXPECT_EQ(ReasonOf(DecodePublish(Share(request.SerializeAsString()))), "BATCH_TOO_LARGE");
  EXPECT_EQ(ReasonOf(DecodePublish(Share(std::string(kMaxPublishBytes + 1, '\0')))),
            "BATCH_TOO_LARGE");
  EXPECT_EQ(ReasonOf(DecodePublish(Share("\xff"))), "MALFORMED_MESSAGE");
  EXPECT_EQ(ReasonOf(DecodePublish(Share(Bytes(1, std::string(kMaxTargetBytes + 1, 'a'))))),
            "MALFORMED_MESSAGE");
  EXPECT_EQ(ReasonOf(DecodePublish(Share(Bytes(1, "\xff")))), "MALFORMED_MESSAGE");
}

// --- Subscribe -----------------------------------------------------------------------------------

TEST(SubscribeTest, PatternsAreNumberedInOrder) {
  v1::SubscribeRequest request;
  request.add_subjects("a.*");
  request.add_subjects("b.>");
  const auto plain = DecodeSubscribe(request.SerializeAsString());
  ASSERT_TRUE(plain.ok());
  ASSERT_EQ(plain->size(), 2u);
  EXPECT_EQ((*plain)[0].id, 1u);
  EXPECT_EQ((*plain)[1].id, 2u);
  EXPECT_EQ((*plain)[1].pattern, "b.>");
  EXPECT_EQ((*plain)[1].on_overflow, OnOverflow::kGap);
  EXPECT_EQ((*plain)[1].block_timeout, kDefaultBlockTimeout);
  request.set_on_overflow(v1::ON_OVERFLOW_BLOCK);
  request.mutable_block_timeout()->set_seconds(59);
  request.mutable_block_timeout()->set_nanos(500'000'000);
  const auto blocking = DecodeSubscribe(request.SerializeAsString());
  ASSERT_TRUE(blocking.ok());
  for (const node::Subscription& subscription : *blocking) {
    EXPECT_EQ(subscription.on_overflow, OnOverflow::kBlock);
    EXPECT_EQ(subscription.block_timeout, std::chrono::milliseconds(59'500));
  }
}

TEST(SubscribeTest, EveryFaultHasItsReason) {
  v1::SubscribeRequest request;
  EXPECT_EQ(ReasonOf(DecodeSubscribe("")), "MALFORMED_SUBSCRIPTION");
  request.add_subjects("a");
  request.add_subjects("a..b");
  const auto pattern = DecodeSubscribe(request.SerializeAsString());
  EXPECT_EQ(ReasonOf(pattern), "INVALID_PATTERN");
  EXPECT_THAT(pattern.error().message, HasSubstr("subjects[1]"));
  request.set_subjects(1, "b");
  request.mutable_block_timeout()->set_seconds(61);
  EXPECT_EQ(ReasonOf(DecodeSubscribe(request.SerializeAsString())), "MALFORMED_SUBSCRIPTION");
  request.mutable_block_timeout()->set_seconds(-1);
  EXPECT_EQ(ReasonOf(DecodeSubscribe(request.SerializeAsString())), "MALFORMED_SUBSCRIPTION");
  request.mutable_block_timeout()->set_seconds(60);
  EXPECT_TRUE(DecodeSubscribe(request.SerializeAsString()).ok());
  request.mutable_block_timeout()->set_nanos(1'000);
  EXPECT_EQ(ReasonOf(DecodeSubscribe(request.SerializeAsString())), "MALFORMED_SUBSCRIPTION");
  request.clear_block_timeout();
  request.set_on_overflow(static_cast<v1::OnOverflow>(9));
  EXPECT_EQ(ReasonOf(DecodeSubscribe(request.SerializeAsString())), "MALFORMED_SUBSCRIPTION");
  v1::SubscribeRequest many;
  for (std::size_t i = 0; i <= kMaxSubscriptionsPerSession; ++i) many.add_subjects("a");
  EXPECT_EQ(ReasonOf(DecodeSubscribe(many.SerializeAsString())), "TOO_MANY_SUBSCRIPTIONS");
}

// --- Exchange ------------------------------------------------------------------------------------

TEST(ExchangeTest, EveryPartOfAFrameArrives) {
  v1::ExchangeRequest request;
  request.mutable_hello()->set_client("python/1.0");
  v1::Subscription& subscription = *request.add_subscribe();
  subscription.set_id(7);
  subscription.set_subject("a.>");
  subscription.set_on_overflow(v1::ON_OVERFLOW_CLOSE);
  subscription.mutable_block_timeout()->set_nanos(1'000'000);
  request.add_unsubscribe(8);
  request.add_unsubscribe(300);
  request.set_ping(99);
  request.set_publish_id(5);
  request.set_target("beta");
  *request.add_messages() = MakeMessage("a.b");
  const auto decoded = DecodeExchange(Share(request.SerializeAsString()));
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(decoded->hello, "python/1.0");
  ASSERT_EQ(decoded->subscribe.size(), 1u);
  EXPECT_EQ(decoded->subscribe[0].id, 7u);
  EXPECT_EQ(decoded->subscribe[0].pattern, "a.>");
  EXPECT_EQ(decoded->subscribe[0].on_overflow, OnOverflow::kClose);
  EXPECT_EQ(decoded->subscribe[0].block_timeout, std::chrono::milliseconds(1));
  EXPECT_THAT(decoded->unsubscribe, ElementsAre(8, 300));
  EXPECT_EQ(decoded->ping, 99u);
  EXPECT_EQ(decoded->publish_id, 5u);
  EXPECT_EQ(decoded->target, "beta");
  ASSERT_NE(decoded->batch, nullptr);
  EXPECT_EQ(decoded->batch->rows.size(), 1u);
  EXPECT_FALSE(decoded->refused.has_value());
}

TEST(ExchangeTest, AnEmptyFrameAndAnEmptyHelloAreFine) {
  const auto empty = DecodeExchange(Share(""));
  ASSERT_TRUE(empty.ok());
  EXPECT_FALSE(empty->hello.has_value());
  EXPECT_EQ(empty->batch, nullptr);
  const auto hello = DecodeExchange(Share(Bytes(1, "")));
  ASSERT_TRUE(hello.ok());
  EXPECT_EQ(hello->hello, "");
}

TEST(ExchangeTest, ABadMessageRefusesItsBatchAndNothingElse) {
  v1::ExchangeRequest request;
  request.set_publish_id(5);
  *request.add_messages() = MakeMessage("a");
  *request.add_messages() = MakeMessage("not a subject");
  *request.add_messages() = MakeMessage("b");
  request.set_ping(3);
  const auto decoded = DecodeExchange(Share(request.SerializeAsString()));
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(decoded->batch, nullptr);
  EXPECT_EQ(decoded->publish_id, 5u);
  EXPECT_EQ(decoded->ping, 3u);
  ASSERT_TRUE(decoded->refused.has_value());
  EXPECT_EQ(ReasonOf(*decoded->refused), "INVALID_SUBJECT");
  EXPECT_THAT(decoded->refused->message, HasSubstr("messages[1].subject"));
}

TEST(ExchangeTest, ABrokenFrameEndsTheStream) {
  v1::ExchangeRequest request;
  request.add_subscribe()->set_subject("a");
  EXPECT_EQ(ReasonOf(DecodeExchange(Share(request.SerializeAsString()))), "MALFORMED_SUBSCRIPTION")
      << "no id";
  request.mutable_subscribe(0)->set_id(1);
  request.mutable_subscribe(0)->set_subject("a b");
  const auto pattern = DecodeExchange(Share(request.SerializeAsString()));
  EXPECT_EQ(ReasonOf(pattern), "INVALID_PATTERN");
  EXPECT_THAT(pattern.error().message, HasSubstr("subscribe[0]"));
  EXPECT_EQ(ReasonOf(DecodeExchange(Share(Bytes(15, "abc").substr(0, 3)))), "MALFORMED_MESSAGE");
  EXPECT_EQ(ReasonOf(DecodeExchange(Share(Number(15, 1)))), "MALFORMED_MESSAGE");
  EXPECT_EQ(ReasonOf(DecodeExchange(Share(Number(3, std::uint64_t{1} << 32)))),
            "MALFORMED_MESSAGE");
  EXPECT_EQ(ReasonOf(DecodeExchange(Share(Bytes(3, Varint(std::uint64_t{1} << 32))))),
            "MALFORMED_MESSAGE");
  EXPECT_EQ(
      ReasonOf(DecodeExchange(Share(Bytes(3, std::string(kMaxSubscriptionsPerSession + 1, '\1'))))),
      "TOO_MANY_SUBSCRIPTIONS");
  EXPECT_EQ(ReasonOf(DecodeExchange(
                Share(Bytes(1, Bytes(1, std::string(kMaxClientLabelBytes + 1, 'x')))))),
            "MALFORMED_MESSAGE");
}

TEST(ExchangeTest, IdsMayComeOneByOneOrPacked) {
  const auto decoded =
      DecodeExchange(Share(Number(3, 1) + Bytes(3, Varint(2) + Varint(3)) + Number(3, 4)));
  ASSERT_TRUE(decoded.ok());
  EXPECT_THAT(decoded->unsubscribe, ElementsAre(1, 2, 3, 4));
}

TEST(ExchangeTest, WhateverIsAcceptedIsReadTheSameWayByProtobuf) {
  v1::ExchangeRequest request;
  request.add_subscribe()->set_id(7);
  request.mutable_subscribe(0)->set_subject("a.>");
  request.mutable_subscribe(0)->mutable_block_timeout()->set_seconds(5);
  request.add_unsubscribe(8);
  request.set_publish_id(5);
  *request.add_messages() = MakeMessage("a.b");
  *request.add_messages() = MakeMessage("c");
  const std::string good = request.SerializeAsString();
  Rng rng = TestRng(5);
  int accepted = 0;
  for (int round = 0; round < 50'000; ++round) {
    const std::string bytes = Mutate(good, rng);
    const auto decoded = DecodeExchange(Share(bytes));
    if (!decoded.ok() || decoded->refused) continue;
    ++accepted;
    v1::ExchangeRequest parsed;
    ASSERT_TRUE(parsed.ParseFromString(bytes)) << "round " << round;
    ASSERT_EQ(parsed.publish_id(), decoded->publish_id) << "round " << round;
    ASSERT_EQ(parsed.subscribe_size(), static_cast<int>(decoded->subscribe.size()))
        << "round " << round;
    ASSERT_EQ(parsed.unsubscribe_size(), static_cast<int>(decoded->unsubscribe.size()))
        << "round " << round;
    const int rows = decoded->batch == nullptr ? 0 : static_cast<int>(decoded->batch->rows.size());
    ASSERT_EQ(parsed.messages_size(), rows) << "round " << round;
    for (int i = 0; i < rows; ++i) {
      ASSERT_EQ(parsed.messages(i).subject(), decoded->batch->subject(decoded->batch->rows[i]))
          << "round " << round;
    }
  }
  EXPECT_GT(accepted, 1'000) << "mutations that are all refused prove nothing";
}

// --- To applications -----------------------------------------------------------------------------

template <class Proto>
Proto Parse(const std::string& bytes) {
  Proto proto;
  EXPECT_TRUE(proto.ParseFromString(bytes));
  EXPECT_EQ(proto.GetReflection()->GetUnknownFields(proto).field_count(), 0);
  return proto;
}

TEST(AnswersTest, PublishAnswersSayWhatWasAccepted) {
  Accepted accepted;
  accepted.numbers = {{3, 10, 12}};
  accepted.interested_peers = 2;
  accepted.unreachable_peers = {"x"};
  const auto response = Parse<v1::PublishResponse>(EncodePublishResponse(accepted));
  ASSERT_EQ(response.numbers_size(), 1);
  EXPECT_EQ(response.numbers(0).channel(), 3u);
  EXPECT_EQ(response.numbers(0).first(), 10u);
  EXPECT_EQ(response.numbers(0).last(), 12u);
  EXPECT_EQ(response.interested_peers(), 2u);
  EXPECT_THAT(response.unreachable_peers(), ElementsAre("x"));
  const auto published = Parse<v1::ExchangeResponse>(EncodePublished(5, accepted));
  ASSERT_EQ(published.published_size(), 1);
  EXPECT_EQ(published.published(0).publish_id(), 5u);
  EXPECT_EQ(published.published(0).accepted().SerializeAsString(), response.SerializeAsString());
  EXPECT_FALSE(published.published(0).has_error());
}

TEST(AnswersTest, ARefusalCarriesItsDetails) {
  const RpcError error = Refused(node::Refusal::kDraining);
  const auto response = Parse<v1::ExchangeResponse>(EncodePublishRefused(5, error));
  ASSERT_EQ(response.published_size(), 1);
  EXPECT_EQ(response.published(0).publish_id(), 5u);
  EXPECT_FALSE(response.published(0).has_accepted());
  EXPECT_EQ(response.published(0).error().code(), error.code);
  EXPECT_EQ(response.published(0).error().SerializeAsString(), error.details);
}

TEST(AnswersTest, TheOtherFramesHoldWhatTheyShould) {
  const auto subscribed = Parse<v1::ExchangeResponse>(EncodeSubscribed({1, 2}, {"x"}));
  ASSERT_EQ(subscribed.subscribed_size(), 1);
  EXPECT_THAT(subscribed.subscribed(0).ids(), ElementsAre(1, 2));
  EXPECT_THAT(subscribed.subscribed(0).unconfirmed_peers(), ElementsAre("x"));
  const auto confirmed = Parse<v1::SubscribeResponse>(EncodeSubscribeConfirmation({1}, {}));
  EXPECT_THAT(confirmed.subscribed().ids(), ElementsAre(1));
  EXPECT_EQ(Parse<v1::ExchangeResponse>(EncodePong(9)).pong(), 9u);
  const auto welcome =
      Parse<v1::ExchangeResponse>(EncodeWelcome(4, "id", "alpha", "mesh")).welcome();
  EXPECT_EQ(welcome.session_id(), 4u);
  EXPECT_EQ(welcome.peer_id(), "id");
  EXPECT_EQ(welcome.peer_name(), "alpha");
  EXPECT_EQ(welcome.mesh_id(), "mesh");
  EXPECT_EQ(welcome.max_message_bytes(), kMaxMessageBytes);
  EXPECT_EQ(welcome.max_batch_messages(), kMaxBatchMessages);
  const std::string bye = EncodeGoAway("DRAINING", std::chrono::milliseconds(2'500));
  EXPECT_EQ(Parse<v1::SubscribeResponse>(bye).go_away().reason(), "DRAINING");
  EXPECT_EQ(Parse<v1::ExchangeResponse>(bye).go_away().grace().seconds(), 2);
  EXPECT_EQ(Parse<v1::ExchangeResponse>(bye).go_away().grace().nanos(), 500'000'000);
}

TEST(AnswersTest, FramesMayBeAppendedToEachOther) {
  const auto merged = Parse<v1::ExchangeResponse>(
      EncodePublished(1, {}) + EncodePong(2) + EncodePublished(3, {}) + EncodeSubscribed({4}, {}));
  EXPECT_EQ(merged.published_size(), 2);
  EXPECT_EQ(merged.published(1).publish_id(), 3u);
  EXPECT_EQ(merged.pong(), 2u);
  EXPECT_EQ(merged.subscribed_size(), 1);
}

TEST(ToPeerTest, ARowShowsEverythingKnown) {
  membership::PeerView row;
  row.id = MakePeer(1);
  row.name = "alpha";
  row.addresses = {"192.0.2.1:7443"};
  row.state = membership::State::kUnreachable;
  row.reason = membership::StateReason::kHeartbeatTimeout;
  row.connection = membership::Connection::kDisconnected;
  row.connection_reason = membership::StateReason::kConnectionRefused;
  row.round_trip = std::chrono::microseconds(1'500'250);
  row.direction = 2;
  row.software = "1.2.3";
  row.certificate_expiry = WallTime(std::chrono::seconds(1'900'000'000));
  row.incarnation = 12;
  row.metrics_address = "192.0.2.1:9464";
  row.self = true;
  const v1::Peer peer = ToPeer(row, WallTime(std::chrono::milliseconds(1'800'000'000'250)));
  EXPECT_EQ(peer.id(), MakePeer(1).ToText());
  EXPECT_EQ(peer.name(), "alpha");
  EXPECT_THAT(peer.addresses(), ElementsAre("192.0.2.1:7443"));
  EXPECT_EQ(peer.state(), v1::PEER_STATE_UNREACHABLE);
  EXPECT_EQ(peer.reason(), "HEARTBEAT_TIMEOUT");
  EXPECT_EQ(peer.since().seconds(), 1'800'000'000);
  EXPECT_EQ(peer.since().nanos(), 250'000'000);
  EXPECT_EQ(peer.connection(), v1::CONNECTION_STATE_DISCONNECTED);
  EXPECT_EQ(peer.connection_reason(), "CONNECTION_REFUSED");
  EXPECT_EQ(peer.round_trip_time().seconds(), 1);
  EXPECT_EQ(peer.round_trip_time().nanos(), 500'250'000);
  EXPECT_EQ(peer.link_direction(), v1::LINK_DIRECTION_OUTBOUND);
  EXPECT_EQ(peer.version(), "1.2.3");
  EXPECT_EQ(peer.certificate_expiry().seconds(), 1'900'000'000);
  EXPECT_EQ(peer.incarnation(), 12u);
  EXPECT_EQ(peer.metrics_address(), "192.0.2.1:9464");
  EXPECT_TRUE(peer.self());
}

TEST(ToPeerTest, WhatIsUnknownIsUnset) {
  const v1::Peer peer = ToPeer(membership::PeerView{}, WallTime(std::chrono::seconds(1)));
  EXPECT_FALSE(peer.has_round_trip_time());
  EXPECT_FALSE(peer.has_certificate_expiry());
  EXPECT_EQ(peer.link_direction(), v1::LINK_DIRECTION_UNSPECIFIED);
  EXPECT_EQ(peer.reason(), "");
}

}  // namespace
}  // namespace peermesh::wire
