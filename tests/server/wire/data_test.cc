#include "server/wire/data.h"

#include "peermesh/link/v1/link.pb.h"
#include "tests/server/wire/wire_testing.h"

namespace peermesh::wire {
namespace {

namespace pb = link::v1;

flow::Run MakeRun(std::uint64_t first, const std::vector<std::uint64_t>& skips_before,
                  std::uint64_t skip_after = 0) {
  flow::Run run;
  run.first = first;
  run.publish_time_us = 1'700'000'000'000'000;
  std::vector<v1::Message> messages;
  std::uint64_t cursor = first;
  for (std::size_t i = 0; i < skips_before.size(); ++i) {
    messages.push_back(MakeMessage("orders." + std::to_string(i)));
    cursor += skips_before[i];
    run.items.push_back({static_cast<std::uint32_t>(i), cursor++});
  }
  run.next = cursor + skip_after;
  run.channel = routing::ChannelOf("orders");
  if (!messages.empty()) run.batch = MakeBatch(messages);
  return run;
}

void ExpectSame(const flow::Run& a, const flow::Run& b) {
  EXPECT_EQ(a.channel, b.channel);
  EXPECT_EQ(a.first, b.first);
  EXPECT_EQ(a.next, b.next);
  EXPECT_EQ(a.lost, b.lost);
  EXPECT_EQ(a.lost_reason, b.lost_reason);
  EXPECT_EQ(a.behind, b.behind);
  EXPECT_EQ(a.mark, b.mark);
  EXPECT_EQ(a.publish_time_us, b.publish_time_us);
  ASSERT_EQ(a.items.size(), b.items.size());
  for (std::size_t i = 0; i < a.items.size(); ++i) {
    EXPECT_EQ(a.items[i].sequence, b.items[i].sequence) << i;
    EXPECT_EQ(a.batch->record(a.batch->rows[a.items[i].row]),
              b.batch->record(b.batch->rows[b.items[i].row]))
        << i;
  }
}

// Encodes and decodes.
node::DataFrame RoundTrip(const node::DataFrame& frame) {
  auto decoded = DecodeData(Share(EncodeData(frame).Flat()));
  EXPECT_TRUE(decoded.ok()) << Describe(decoded.error().rule).label;
  return decoded->frame;
}

Rule RuleOf(const pb::DataRequest& request) {
  const auto decoded = DecodeData(Share(request.SerializeAsString()));
  return decoded.ok() ? Rule::kNone : decoded.error().rule;
}
Rule RuleOfBatch(const std::string& batch) {
  const auto decoded = DecodeData(Share(Bytes(1, Bytes(2, batch))));
  return decoded.ok() ? Rule::kNone : decoded.error().rule;
}

TEST(DataTest, RunsComeBackAsTheyWere) {
  node::DataFrame frame;
  frame.runs.push_back(MakeRun(1, {0, 0, 0}));
  frame.runs.push_back(MakeRun(100, {0, 7, 0, 300}, 5));
  frame.runs.push_back(MakeRun(500, {}, 12));
  frame.runs.push_back(MakeRun(600, {}));
  frame.runs.back().mark = true;
  frame.runs.push_back(MakeRun(700, {0}));
  frame.runs.back().lost_reason = LossReason::kSlowLink;
  frame.runs.back().lost = 3;
  frame.runs.back().items[0].sequence = 703;
  frame.runs.back().next = 704;
  frame.runs.back().publish_time_us = -1;
  frame.runs.push_back(MakeRun(800, {2}));
  frame.runs.back().behind = 802;
  frame.end = true;
  const node::DataFrame back = RoundTrip(frame);
  ASSERT_EQ(back.runs.size(), frame.runs.size());
  for (std::size_t i = 0; i < frame.runs.size(); ++i) {
    SCOPED_TRACE(i);
    ExpectSame(frame.runs[i], back.runs[i]);
    EXPECT_TRUE(back.runs[i].IsWellFormed());
  }
  EXPECT_TRUE(back.end);
}

TEST(DataTest, TheBytesAreThoseOfTheGeneratedClasses) {
  node::DataFrame frame;
  frame.runs.push_back(MakeRun(1, {0, 2, 0}, 1));
  frame.runs.push_back(MakeRun(9, {0}));
  frame.runs[1].lost_reason = LossReason::kLinkLost;
  frame.runs[1].lost = 1;
  frame.runs[1].mark = true;
  frame.runs[1].behind = 10;
  frame.runs[1].items[0].sequence = 10;
  frame.runs[1].next = 11;
  frame.end = true;
  pb::DataRequest request;
  for (const flow::Run& run : frame.runs) {
    pb::Batch& batch = *request.mutable_frame()->add_batches();
    batch.set_channel(run.channel);
    batch.set_first_sequence(run.first);
    batch.set_publish_time_us(run.publish_time_us);
    batch.set_lost(run.lost);
    batch.set_lost_reason(static_cast<v1::LossReason>(run.lost_reason));
    batch.set_mark(run.mark);
    batch.set_behind(run.behind);
    for (std::size_t i = 0; i < run.items.size(); ++i) {
      *batch.add_messages() = MakeMessage("orders." + std::to_string(i));
    }
  }
  for (const int skip : {0, 2, 0, 1}) request.mutable_frame()->mutable_batches(0)->add_skips(skip);
  request.mutable_frame()->set_end(true);
  EXPECT_EQ(EncodeData(frame).Flat(), request.SerializeAsString());
  const auto decoded = DecodeData(Share(request.SerializeAsString()));
  ASSERT_TRUE(decoded.ok());
  for (std::size_t i = 0; i < frame.runs.size(); ++i)
    ExpectSame(frame.runs[i], decoded->frame.runs[i]);
}

TEST(DataTest, AChoiceOfRowsIsSplicedInOrder) {
  flow::Run run = MakeRun(1, {0, 0, 0, 0, 0, 0});
  run.items = {{0, 1}, {1, 2}, {3, 4}, {5, 6}};
  run.next = 7;
  const node::DataFrame back = RoundTrip({{run}, {}, false});
  ASSERT_EQ(back.runs[0].items.size(), 4u);
  const flow::Run& got = back.runs[0];
  EXPECT_EQ(got.batch->subject(got.batch->rows[2]), "orders.3");
  EXPECT_EQ(got.items[2].sequence, 4u);
  EXPECT_EQ(got.batch->subject(got.batch->rows[3]), "orders.5");
}

TEST(DataTest, SkipsMayBeLargerThan32Bits) {
  const flow::Run run = MakeRun(1, {std::uint64_t{1} << 40}, std::uint64_t{1} << 41);
  ExpectSame(run, RoundTrip({{run}, {}, false}).runs[0]);
}

TEST(DataTest, UnpackedSkipsAreReadToo) {
  const std::string message = Bytes(15, Bytes(1, "orders.0"));
  const std::string channel = Number(1, routing::ChannelOf("orders"));
  const std::string bytes =
      Bytes(1, Bytes(2, channel + Number(2, 5) + Number(3, 2) + Number(3, 1) + message));
  const auto decoded = DecodeData(Share(bytes));
  ASSERT_TRUE(decoded.ok()) << Describe(decoded.error().rule).label;
  EXPECT_EQ(decoded->frame.runs[0].items[0].sequence, 7u);
  EXPECT_EQ(decoded->frame.runs[0].next, 9u);
}

TEST(DataTest, HellosComeBack) {
  const std::string token(kLinkTokenBytes, 'x');
  const auto hello = DecodeData(Share(EncodeDataHello(token)));
  ASSERT_TRUE(hello.ok());
  EXPECT_EQ(hello->hello, token);
  const auto answer = DecodeData(Share(EncodeDataHello("")));
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->hello, "");
  EXPECT_FALSE(DecodeData(Share(EncodeData({}).Flat()))->hello.has_value());
  pb::DataRequest request;
  request.mutable_frame()->mutable_hello()->set_link_token(token);
  EXPECT_EQ(EncodeDataHello(token), request.SerializeAsString());
  EXPECT_FALSE(DecodeData(Share(EncodeDataHello("short"))).ok());
}

TEST(DataTest, NumbersThatDoNotAddUpAreRefused) {
  const std::string channel = Number(1, routing::ChannelOf("orders"));
  const std::string message = Bytes(15, Bytes(1, "orders.0"));
  const std::uint64_t huge = ~std::uint64_t{0};
  EXPECT_EQ(RuleOfBatch(channel + message), Rule::kSequence) << "numbers begin at 1";
  EXPECT_EQ(RuleOfBatch(channel + Number(2, huge) + message), Rule::kSequence);
  EXPECT_EQ(RuleOfBatch(channel + Number(2, huge / 2) + message), Rule::kSequence);
  EXPECT_EQ(RuleOfBatch(channel + Number(2, 1) + Number(5, huge)), Rule::kSequence);
  EXPECT_EQ(RuleOfBatch(channel + Number(2, 1) + Bytes(3, Varint(huge) + Varint(huge)) + message),
            Rule::kSequence);
  EXPECT_EQ(RuleOfBatch(channel + Number(2, 1) + Bytes(3, Varint(0)) + message), Rule::kSequence)
      << "one skip too few";
  EXPECT_EQ(
      RuleOfBatch(channel + Number(2, 1) + Bytes(3, Varint(0) + Varint(1) + Varint(1)) + message),
      Rule::kSequence);
  EXPECT_EQ(RuleOfBatch(channel + Number(2, 1) + Bytes(3, "\x80") + message), Rule::kVarint);
  EXPECT_EQ(RuleOfBatch(channel + Number(2, 1) + Bytes(3, std::string(2000, '\x01')) + message),
            Rule::kSequence);
  EXPECT_EQ(RuleOfBatch(channel + Number(2, 1) + message), Rule::kNone);
}

TEST(DataTest, TheChannelMustBeThatOfTheSubjects) {
  const std::uint32_t right = routing::ChannelOf("orders");
  const std::string message = Bytes(15, Bytes(1, "orders.0"));
  EXPECT_EQ(RuleOfBatch(Number(1, (right + 1) % kChannels) + Number(2, 1) + message),
            Rule::kChannel);
  EXPECT_EQ(RuleOfBatch(Number(1, kChannels) + Number(2, 1)), Rule::kValue);
}

TEST(DataTest, AReasonOfALaterVersionIsStillALoss) {
  const auto decoded =
      DecodeData(Share(Bytes(1, Bytes(2, Number(2, 1) + Number(5, 2) + Number(6, 77)))));
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(decoded->frame.runs[0].lost_reason, LossReason::kMissing);
  EXPECT_EQ(decoded->frame.runs[0].next, 3u);
}

TEST(DataTest, FramesAreBounded) {
  pb::DataRequest request;
  for (std::size_t i = 0; i < kMaxFrameBatches; ++i)
    request.mutable_frame()->add_batches()->set_first_sequence(1);
  EXPECT_EQ(RuleOf(request), Rule::kNone);
  request.mutable_frame()->add_batches()->set_first_sequence(1);
  EXPECT_EQ(RuleOf(request), Rule::kTooManyBatches);

  pb::DataRequest many;
  many.mutable_frame()->add_batches()->set_channel(routing::ChannelOf("a"));
  many.mutable_frame()->mutable_batches(0)->set_first_sequence(1);
  for (std::size_t i = 0; i <= kMaxBatchMessages; ++i) {
    *many.mutable_frame()->mutable_batches(0)->add_messages() = MakeMessage("a");
  }
  EXPECT_EQ(RuleOf(many), Rule::kTooManyMessages);

  const auto large = DecodeData(Share(std::string(kMaxDataFrameBytes + 1, '\0')));
  ASSERT_FALSE(large.ok());
  EXPECT_EQ(large.error().rule, Rule::kFrameTooLarge);
}

TEST(DataTest, ABrokenMessageIsNamed) {
  const std::string good = Bytes(15, Bytes(1, "a"));
  const auto decoded =
      DecodeData(Share(Bytes(1, Bytes(2, Number(1, routing::ChannelOf("a")) + Number(2, 1) + good +
                                             good + Bytes(15, "")))));
  ASSERT_FALSE(decoded.ok());
  EXPECT_EQ(decoded.error(), (WireError{Rule::kSubject, 2}));
}

TEST(DataTest, FieldsOfALaterVersionAreSkipped) {
  const std::string batch = Number(2, 1) + Bytes(14, "later");
  const auto decoded =
      DecodeData(Share(Bytes(1, Bytes(2, batch) + Bytes(9, "later")) + Number(7, 1)));
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(decoded->frame.runs.size(), 1u);
  EXPECT_FALSE(DecodeData(Share(Bytes(1, "") + Bytes(1, ""))).ok()) << "but a frame has one body";
}

TEST(DataTest, EveryPrefixIsJudgedWithoutHarm) {
  node::DataFrame frame;
  frame.runs.push_back(MakeRun(1, {0, 7, 0}, 5));
  const std::string bytes = EncodeData(frame).Flat();
  for (std::size_t size = 1; size < bytes.size(); ++size) {
    EXPECT_FALSE(DecodeData(Share(bytes.substr(0, size))).ok()) << size;
  }
}

TEST(DataTest, WhateverIsAcceptedIsWellFormedAndEncodesAgain) {
  node::DataFrame frame;
  frame.runs.push_back(MakeRun(1, {0, 7, 0}, 5));
  frame.runs.push_back(MakeRun(30, {0, 0}));
  frame.runs.back().mark = true;
  const std::string good = EncodeData(frame).Flat();
  Rng rng = TestRng(2);
  int accepted = 0;
  for (int round = 0; round < 50'000; ++round) {
    SCOPED_TRACE(round);
    const std::string bytes = Mutate(good, rng);
    const auto decoded = DecodeData(Share(bytes));
    if (!decoded.ok()) continue;
    ++accepted;
    pb::DataRequest parsed;
    ASSERT_TRUE(parsed.ParseFromString(bytes));
    ASSERT_EQ(parsed.frame().batches_size(), static_cast<int>(decoded->frame.runs.size()));
    for (const flow::Run& run : decoded->frame.runs) ASSERT_TRUE(run.IsWellFormed());
    const auto again = DecodeData(Share(EncodeData(decoded->frame).Flat()));
    ASSERT_TRUE(again.ok());
    for (std::size_t i = 0; i < decoded->frame.runs.size(); ++i) {
      ExpectSame(decoded->frame.runs[i], again->frame.runs[i]);
    }
  }
  EXPECT_GT(accepted, 1'000) << "mutations that are all refused prove nothing";
}

}  // namespace
}  // namespace peermesh::wire
