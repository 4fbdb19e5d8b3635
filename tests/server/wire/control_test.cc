#include "server/wire/control.h"

#include <google/protobuf/stubs/logging.h>

#include "peermesh/link/v1/link.pb.h"
#include "tests/server/wire/wire_testing.h"

namespace peermesh::wire {
namespace {

namespace pb = link::v1;
using std::chrono::hours;

template <class Kind>
Kind RoundTrip(const Kind& kind) {
  const auto decoded = DecodeControl(EncodeControl(kind));
  EXPECT_TRUE(decoded.ok());
  const auto* frame = std::get_if<node::ControlFrame>(&*decoded);
  EXPECT_NE(frame, nullptr);
  return std::get<Kind>(*frame);
}

Rule RuleOf(const pb::ControlFrame& frame) {
  pb::ControlRequest request;
  *request.mutable_frame() = frame;
  const auto decoded = DecodeControl(request.SerializeAsString());
  return decoded.ok() ? Rule::kNone : decoded.error().rule;
}

TEST(ControlTest, HeartbeatsComeBack) {
  const node::Heartbeat sent{7, 6, Duration(1234), 5, 0xfeedfacecafebeefull, true, 0xbeef};
  const auto got = RoundTrip(sent);
  EXPECT_EQ(got.number, 7u);
  EXPECT_EQ(got.echo, 6u);
  EXPECT_EQ(got.echo_delay, Duration(1234));
  EXPECT_EQ(got.interest_generation, 5u);
  EXPECT_EQ(got.interest_hash, 0xfeedfacecafebeefull);
  EXPECT_TRUE(got.asks);
  EXPECT_EQ(got.table_hash, 0xbeefu);
}

TEST(ControlTest, AnAbsurdDelayIsCutToABound) {
  pb::ControlRequest request;
  request.mutable_frame()->mutable_heartbeat()->set_echo_delay_us(~std::uint64_t{0});
  const auto decoded = DecodeControl(request.SerializeAsString());
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(std::get<node::Heartbeat>(std::get<node::ControlFrame>(*decoded)).echo_delay,
            Duration(hours(1)));
}

TEST(ControlTest, InterestComesBack) {
  const node::InterestSnapshot snapshot{9, true, false, {{"a.*", 0}, {"b.>", 60'000}}};
  const auto got = RoundTrip(snapshot);
  EXPECT_EQ(got.generation, 9u);
  EXPECT_TRUE(got.first);
  EXPECT_FALSE(got.last);
  EXPECT_EQ(got.entries, snapshot.entries);
  const auto delta = RoundTrip(node::InterestDelta{10, {{"c", 5}}, {"a.*"}});
  EXPECT_EQ(delta.generation, 10u);
  EXPECT_EQ(delta.add, (std::vector<node::Interest>{{"c", 5}}));
  EXPECT_EQ(delta.remove, (std::vector<std::string>{"a.*"}));
  EXPECT_EQ(RoundTrip(node::InterestAck{11}).generation, 11u);
  RoundTrip(node::InterestRequest{});
  RoundTrip(node::LinkReady{});
}

TEST(ControlTest, BeliefsAndGoodbyesComeBack) {
  const auto states = RoundTrip(
      node::PeerStates{{{MakePeer(1), 5, true, false, true}, {MakePeer(2), 6, false, true}}});
  ASSERT_EQ(states.beliefs.size(), 2u);
  EXPECT_TRUE(states.beliefs[0].silent);
  EXPECT_FALSE(states.beliefs[1].silent);
  EXPECT_EQ(states.beliefs[1].id, MakePeer(2));
  EXPECT_EQ(states.beliefs[1].incarnation, 6u);
  EXPECT_FALSE(states.beliefs[1].linked);
  EXPECT_TRUE(states.beliefs[1].left);
  for (const auto reason : {node::GoodbyeReason::kLeaving, node::GoodbyeReason::kDuplicate,
                            node::GoodbyeReason::kReplaced, node::GoodbyeReason::kMisbehaved,
                            node::GoodbyeReason::kSurplus, node::GoodbyeReason::kLost}) {
    EXPECT_EQ(RoundTrip(node::Goodbye{reason}).reason, reason);
  }
}

TEST(ControlTest, HellosComeBack) {
  Hello hello;
  hello.mesh_id = "abcdefghijklmnop";
  hello.version_max = 3;
  hello.features = 5;
  hello.epoch = 1'700'000'000'000;
  hello.software = "1.2.3";
  hello.link_token = std::string(kLinkTokenBytes, 't');
  hello.dial_count = 12;
  const auto decoded = DecodeControl(EncodeHello(hello));
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(std::get<Hello>(*decoded), hello);
}

TEST(ControlTest, HellosOutOfRangeAreRefused) {
  pb::ControlFrame frame;
  frame.mutable_hello()->set_link_token("short");
  EXPECT_EQ(RuleOf(frame), Rule::kToken);
  frame.mutable_hello()->clear_link_token();
  frame.mutable_hello()->set_mesh_id("not a mesh id");
  EXPECT_EQ(RuleOf(frame), Rule::kValue);
  frame.mutable_hello()->clear_mesh_id();
  frame.mutable_hello()->set_software(std::string(kMaxSoftwareBytes + 1, 'x'));
  EXPECT_EQ(RuleOf(frame), Rule::kValue);
  frame.mutable_hello()->clear_software();
  frame.mutable_hello()->set_version_min(2);
  frame.mutable_hello()->set_version_max(1);
  EXPECT_EQ(RuleOf(frame), Rule::kValue);
  frame.mutable_hello()->set_version_max(2);
  EXPECT_EQ(RuleOf(frame), Rule::kValue) << "no epoch";
  frame.mutable_hello()->set_epoch(1);
  EXPECT_EQ(RuleOf(frame), Rule::kNone);
}

TEST(ControlTest, BadPatternsAndIdsAreRefused) {
  pb::ControlFrame frame;
  frame.mutable_interest_snapshot()->add_entries()->set_pattern("a..b");
  EXPECT_EQ(RuleOf(frame), Rule::kPattern);
  frame.mutable_interest_delta()->add_remove("a.>.b");
  EXPECT_EQ(RuleOf(frame), Rule::kPattern);
  frame.mutable_interest_delta()->clear_remove();
  frame.mutable_interest_delta()->add_add()->set_pattern("");
  EXPECT_EQ(RuleOf(frame), Rule::kPattern);
  frame.mutable_peer_states()->add_beliefs()->set_peer_id("short");
  EXPECT_EQ(RuleOf(frame), Rule::kPeerId);
}

TEST(ControlTest, KindsOfALaterVersionAreReportedAsUnknown) {
  for (const std::string& bytes :
       {Bytes(1, Bytes(200, "later")), Bytes(1, ""), std::string(), Bytes(9, "x")}) {
    const auto decoded = DecodeControl(bytes);
    ASSERT_TRUE(decoded.ok());
    EXPECT_TRUE(std::holds_alternative<UnknownKind>(*decoded));
  }
}

TEST(ControlTest, AGoodbyeForAReasonOfALaterVersionClosesInOrder) {
  pb::ControlRequest request;
  request.mutable_frame()->mutable_goodbye()->set_reason(static_cast<pb::GoodbyeReason>(99));
  const auto decoded = DecodeControl(request.SerializeAsString());
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(std::get<node::Goodbye>(std::get<node::ControlFrame>(*decoded)).reason,
            node::GoodbyeReason::kDuplicate);
}

TEST(ControlTest, WhatIsNotAControlFrameIsRefused) {
  EXPECT_EQ(DecodeControl(std::string(kMaxControlFrameBytes + 1, '\0')).error().rule,
            Rule::kFrameTooLarge);
  EXPECT_EQ(DecodeControl(Bytes(1, "x").substr(0, 2)).error().rule, Rule::kTruncated);
}

TEST(ControlTest, MutatedFramesDoNoHarm) {
  const std::string good =
      EncodeControl(node::InterestSnapshot{9, true, false, {{"a.*", 0}, {"b.>", 60'000}}});
  const google::protobuf::LogSilencer silence;  // it reports each string that is not UTF-8
  Rng rng = TestRng(3);
  int accepted = 0;
  for (int round = 0; round < 20'000; ++round) {
    const auto decoded = DecodeControl(Mutate(good, rng));
    if (!decoded.ok()) continue;
    const auto* frame = std::get_if<node::ControlFrame>(&*decoded);
    if (frame == nullptr) continue;
    ++accepted;
    ASSERT_TRUE(DecodeControl(EncodeControl(*frame)).ok()) << "round " << round;
  }
  EXPECT_GT(accepted, 500) << "mutations that are all refused prove nothing";
}

}  // namespace
}  // namespace peermesh::wire
