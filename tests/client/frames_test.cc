#include "client/frames.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/errors.h"
#include "tests/client/in_pieces.h"

namespace peermesh::client {
namespace {

v1::Delivery& AddRun(v1::ExchangeResponse& frame, int count, std::uint64_t first) {
  auto& run = *frame.add_deliveries();
  run.set_count(static_cast<std::uint32_t>(count));
  run.set_origin(std::string(32, 'o'));
  run.set_origin_name("beta");
  run.set_first_sequence(first);
  run.add_matched(7);
  for (int i = 0; i < count; ++i) frame.add_messages()->set_subject("s");
  return run;
}

void AddGap(v1::ExchangeResponse& frame, std::uint32_t before, std::uint64_t from) {
  auto& gap = *frame.add_gaps();
  gap.set_origin(std::string(32, 'o'));
  gap.set_before_message(before);
  gap.set_from(from);
  gap.set_to(from);
  gap.set_reason(v1::LOSS_REASON_SLOW_LINK);
}

// "17" for a message, "-3" for a gap.
std::vector<std::string> Shape(const std::vector<Event>& events) {
  std::vector<std::string> out;
  for (const Event& event : events) {
    if (const auto* received = std::get_if<Received>(&event)) {
      out.push_back(std::to_string(received->sequence));
    } else {
      out.push_back("-" + std::to_string(std::get<Gap>(event).from));
    }
  }
  return out;
}

absl::Status Take(const std::string& bytes, std::size_t size, std::vector<Event>& events) {
  const auto arrived = Arrived::Parse(InPieces(bytes, size));
  return arrived.ok() ? arrived->TakeEvents(events) : arrived.status();
}

absl::Status Take(const v1::ExchangeResponse& frame, std::vector<Event>& events) {
  return Take(frame.SerializeAsString(), 5, events);
}

std::string BytesOf(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> pieces;
  EXPECT_TRUE(buffer.Dump(&pieces).ok());
  std::string bytes;
  for (const grpc::Slice& piece : pieces)
    bytes.append(reinterpret_cast<const char*>(piece.begin()), piece.size());
  return bytes;
}

Message Full(std::size_t payload) {
  return {.subject = "orders.new",
          .payload = std::string(payload, 'p'),
          .reply_to = "orders.answers",
          .headers = {{"trace", "1-2-3"}, {"empty", ""}, {std::string(200, 'k'), "v"}},
          .content_type = "application/json"};
}

TEST(RecordsTest, ProtobufReadsWhatWasWritten) {
  Records records;
  const std::vector<std::size_t> payloads = {
      0, 1, kOwnPieceBytes - 1, kOwnPieceBytes, 3, 200, 9, kSharedPieceBytes + 500, 128};
  for (const std::size_t bytes : payloads) records.Add(Full(bytes));
  records.Add({.subject = "s"});
  v1::ExchangeRequest head;
  head.set_publish_id(300);
  head.set_target("beta");
  v1::ExchangeRequest read;
  ASSERT_TRUE(read.ParseFromString(BytesOf(records.TakeFrame(head))));
  EXPECT_EQ(read.publish_id(), 300u);
  EXPECT_EQ(read.target(), "beta");
  ASSERT_EQ(read.messages_size(), 10);
  for (std::size_t i = 0; i < payloads.size(); ++i) {
    v1::Message expected;
    ToProto(Full(payloads[i]), expected);
    EXPECT_EQ(read.messages(static_cast<int>(i)).SerializeAsString(), expected.SerializeAsString());
    EXPECT_EQ(WireBytes(Full(payloads[i])), expected.ByteSizeLong());
  }
  EXPECT_EQ(read.messages(9).subject(), "s");
  EXPECT_EQ(BytesOf(records.TakeFrame({})), "") << "they are gone";
}

TEST(RecordsTest, ALargePayloadIsNotCopied) {
  Message message = Full(kOwnPieceBytes);
  const void* const place = message.payload.data();
  Records records;
  records.Add(std::move(message));
  std::vector<grpc::Slice> pieces;
  ASSERT_TRUE(records.TakeFrame({}).Dump(&pieces).ok());
  EXPECT_EQ(pieces.back().begin(), place);
}

TEST(ArrivedTest, ReadsWhatProtobufWroteHoweverItIsCut) {
  v1::ExchangeResponse frame;
  AddRun(frame, 2, 1);
  ToProto(Full(1000), *frame.mutable_messages(0));
  ToProto(Full(0), *frame.mutable_messages(1));
  frame.add_published()->set_publish_id(70000);
  frame.set_pong(9);
  const std::string bytes = frame.SerializeAsString();
  for (const std::size_t size : {std::size_t{1}, std::size_t{3}, std::size_t{64}, bytes.size()}) {
    const auto arrived = Arrived::Parse(InPieces(bytes, size));
    ASSERT_TRUE(arrived.ok());
    EXPECT_EQ(arrived->rest().published(0).publish_id(), 70000u);
    EXPECT_EQ(arrived->rest().pong(), 9u);
    std::vector<Event> events;
    ASSERT_TRUE(arrived->TakeEvents(events).ok());
    ASSERT_EQ(events.size(), 2u);
    for (int i = 0; i < 2; ++i) {
      v1::Message read;
      ToProto(std::get<Received>(events[static_cast<std::size_t>(i)]).message, read);
      EXPECT_EQ(read.SerializeAsString(), frame.messages(i).SerializeAsString());
    }
  }
}

TEST(ArrivedTest, FieldsOfLaterVersionsAreSkipped) {
  v1::ExchangeResponse frame;
  AddRun(frame, 1, 1);
  const std::string unknown(
      "\xa0\x06\x05\xa1\x06"
      "12345678"
      "\xa5\x06"
      "1234"
      "\xa2\x06\x02"
      "ab",
      24);
  frame.mutable_messages(0)->ParseFromString(frame.messages(0).SerializeAsString() + unknown);
  std::vector<Event> events;
  ASSERT_TRUE(Take(frame.SerializeAsString() + unknown, 2, events).ok());
  EXPECT_EQ(std::get<Received>(events[0]).message.subject, "s");
}

TEST(ArrivedTest, WhatIsCutShortOrNonsenseIsRefused) {
  v1::ExchangeResponse frame;
  AddRun(frame, 1, 1);
  ToProto(Full(10), *frame.mutable_messages(0));
  const std::string bytes = frame.SerializeAsString();
  for (std::size_t length = 1; length < bytes.size(); ++length) {
    std::vector<Event> events;
    EXPECT_EQ(ReasonOf(Take(bytes.substr(0, length), 7, events)), "BAD_FRAME") << length;
    EXPECT_TRUE(events.empty()) << length;
  }
  const std::string run = bytes.substr(0, bytes.find("orders.new") - 4);
  for (const std::string& record :
       {std::string("\x7a\x02\x0a\x05"),
        std::string("\x7a\x03\x0a\x7f"
                    "x"),
        std::string("\x7a\x01\x0b"), std::string("\x7a\x01\x80"),
        std::string("\x7a\x03\x22\x01\x0a"), std::string("\x7a\x7f"),
        std::string("\x7a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), std::string(11, '\xff')}) {
    std::vector<Event> events;
    EXPECT_EQ(ReasonOf(Take(run + record, 3, events)), "BAD_FRAME");
  }
}

TEST(ArrivedTest, NumbersSkipWhatWasNotAddressedToTheSession) {
  v1::ExchangeResponse frame;
  auto& run = AddRun(frame, 3, 10);
  for (const std::uint32_t skip : {0, 2, 0}) run.add_skips(skip);
  AddRun(frame, 2, 100);
  std::vector<Event> events;
  ASSERT_TRUE(Take(frame, events).ok());
  EXPECT_THAT(Shape(events), testing::ElementsAre("10", "13", "14", "100", "101"));
  EXPECT_EQ(std::get<Received>(events[0]).origin, std::get<Received>(events[2]).origin);
  EXPECT_THAT(std::get<Received>(events[4]).subscriptions, testing::ElementsAre(7));
}

TEST(ArrivedTest, GapsStandWhereTheirMessagesWouldHave) {
  v1::ExchangeResponse frame;
  AddGap(frame, 0, 1);
  AddGap(frame, 1, 3);
  AddGap(frame, 1, 4);
  AddGap(frame, 2, 6);
  AddRun(frame, 1, 2);
  AddRun(frame, 1, 5);
  std::vector<Event> events;
  ASSERT_TRUE(Take(frame, events).ok());
  EXPECT_THAT(Shape(events), testing::ElementsAre("-1", "2", "-3", "-4", "5", "-6"));
  EXPECT_EQ(std::get<Gap>(events[0]).reason, LossReason::kSlowLink);
}

TEST(ArrivedTest, EveryMessageGetsItsOwnSubscriptions) {
  v1::ExchangeResponse frame;
  auto& run = AddRun(frame, 3, 1);
  run.clear_matched();
  for (const std::uint32_t id : {1, 2, 3}) run.add_matched(id);
  for (const std::uint32_t count : {2, 0, 1}) run.add_matched_counts(count);
  std::vector<Event> events;
  ASSERT_TRUE(Take(frame, events).ok());
  EXPECT_THAT(std::get<Received>(events[0]).subscriptions, testing::ElementsAre(1, 2));
  EXPECT_THAT(std::get<Received>(events[1]).subscriptions, testing::IsEmpty());
  EXPECT_THAT(std::get<Received>(events[2]).subscriptions, testing::ElementsAre(3));
}

TEST(ArrivedTest, AFrameThatContradictsItselfIsRefusedWhole) {
  using Spoil = void (*)(v1::ExchangeResponse&);
  const std::vector<Spoil> faults = {
      [](v1::ExchangeResponse& f) { f.mutable_deliveries(0)->set_count(3); },
      [](v1::ExchangeResponse& f) { f.mutable_deliveries(0)->set_count(0); },
      [](v1::ExchangeResponse& f) { f.mutable_deliveries(0)->set_count(0xffffffff); },
      [](v1::ExchangeResponse& f) { f.add_messages(); },
      [](v1::ExchangeResponse& f) { f.mutable_deliveries(0)->add_skips(1); },
      [](v1::ExchangeResponse& f) { f.mutable_deliveries(0)->add_matched(1); },
      [](v1::ExchangeResponse& f) { f.mutable_deliveries(0)->add_matched_counts(1); },
      [](v1::ExchangeResponse& f) { f.mutable_deliveries(0)->set_origin("short"); },
      [](v1::ExchangeResponse& f) { AddGap(f, 3, 1); },
      [](v1::ExchangeResponse& f) {
        AddGap(f, 1, 1);
        AddGap(f, 0, 1);
      }};
  for (std::size_t i = 0; i < faults.size(); ++i) {
    v1::ExchangeResponse frame;
    AddRun(frame, 2, 1);
    faults[i](frame);
    std::vector<Event> events;
    EXPECT_EQ(ReasonOf(Take(frame, events)), "BAD_FRAME") << "fault " << i;
    EXPECT_TRUE(events.empty()) << "fault " << i;
  }
}

}  // namespace
}  // namespace peermesh::client
