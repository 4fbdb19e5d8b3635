#include "client/message.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/errors.h"
#include "mesh/base/limits.h"
#include "peermesh/v1/messaging.pb.h"

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

TEST(CheckPattern, TakesWildcardsWhereTheyMayStand) {
  for (const char* good : {"a", "a.b-c.D_1", "*", ">", "a.*", "*.b", "a.>", "*.*.>"}) {
    EXPECT_TRUE(CheckPattern(good).ok()) << good;
  }
  std::string long_one = "1";
  for (int i = 2; i <= 17; ++i) long_one += ".t";
  for (const std::string& bad :
       {std::string(), std::string("."), std::string("a..b"), std::string("a."), std::string(".a"),
        std::string(">.a"), std::string("a*"), std::string("a.>b"), std::string("a b"), long_one,
        std::string(257, 'a')}) {
    const absl::Status refused = CheckPattern(bad);
    EXPECT_EQ(ReasonOf(refused), "INVALID_PATTERN") << bad;
    EXPECT_FALSE(IsSubject(bad)) << bad;
  }
  EXPECT_FALSE(IsSubject("a.*"));
}

TEST(TakeEvents, NumbersSkipWhatWasNotAddressedToTheSession) {
  v1::ExchangeResponse frame;
  auto& run = AddRun(frame, 3, 10);
  for (const std::uint32_t skip : {0, 2, 0}) run.add_skips(skip);
  AddRun(frame, 2, 100);
  std::vector<Event> events;
  ASSERT_TRUE(TakeEvents(frame, events).ok());
  EXPECT_THAT(Shape(events), testing::ElementsAre("10", "13", "14", "100", "101"));
  EXPECT_EQ(std::get<Received>(events[0]).origin, std::get<Received>(events[2]).origin);
  EXPECT_THAT(std::get<Received>(events[4]).subscriptions, testing::ElementsAre(7));
}

TEST(TakeEvents, GapsStandWhereTheirMessagesWouldHave) {
  v1::ExchangeResponse frame;
  AddGap(frame, 0, 1);
  AddGap(frame, 1, 3);
  AddGap(frame, 1, 4);
  AddGap(frame, 2, 6);
  AddRun(frame, 1, 2);
  AddRun(frame, 1, 5);
  std::vector<Event> events;
  ASSERT_TRUE(TakeEvents(frame, events).ok());
  EXPECT_THAT(Shape(events), testing::ElementsAre("-1", "2", "-3", "-4", "5", "-6"));
  EXPECT_EQ(std::get<Gap>(events[0]).reason, LossReason::kSlowLink);
}

TEST(TakeEvents, EveryMessageGetsItsOwnSubscriptions) {
  v1::ExchangeResponse frame;
  auto& run = AddRun(frame, 3, 1);
  run.clear_matched();
  for (const std::uint32_t id : {1, 2, 3}) run.add_matched(id);
  for (const std::uint32_t count : {2, 0, 1}) run.add_matched_counts(count);
  std::vector<Event> events;
  ASSERT_TRUE(TakeEvents(frame, events).ok());
  EXPECT_THAT(std::get<Received>(events[0]).subscriptions, testing::ElementsAre(1, 2));
  EXPECT_THAT(std::get<Received>(events[1]).subscriptions, testing::IsEmpty());
  EXPECT_THAT(std::get<Received>(events[2]).subscriptions, testing::ElementsAre(3));
}

TEST(TakeEvents, AFrameThatContradictsItselfIsRefusedWhole) {
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
    EXPECT_EQ(ReasonOf(TakeEvents(frame, events)), "BAD_FRAME") << "fault " << i;
    EXPECT_TRUE(events.empty()) << "fault " << i;
  }
}

TEST(IsSubject, KnowsWhatCanBePublishedTo) {
  for (const char* good : {"a", "a.b", "A-1._x", "1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16"}) {
    EXPECT_TRUE(IsSubject(good)) << good;
  }
  EXPECT_TRUE(IsSubject(std::string(kMaxSubjectBytes, 'a')));
  for (const char* bad : {"", ".", "a.", ".a", "a..b", "a.*", "a.>", "a b", "\xc3\xa4", "a/b",
                          "1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16.17"}) {
    EXPECT_FALSE(IsSubject(bad)) << bad;
  }
  EXPECT_FALSE(IsSubject(std::string(kMaxSubjectBytes + 1, 'a')));
}

TEST(WireBytes, IsWhatTheEncodedMessageHas) {
  for (const std::size_t size : {0u, 1u, 127u, 128u, 16'383u, 16'384u, 1'000'000u}) {
    for (const bool full : {false, true}) {
      Message message{"a.b", std::string(size, 'x'), "", {}, ""};
      if (full) {
        message.reply_to = "r";
        message.content_type = "text/plain";
        message.headers = {{"k", "v"}, {"k2", ""}, {"k3", std::string(200, 'v')}};
      }
      const std::size_t bytes = WireBytes(message);
      v1::Message proto;
      ToProto(std::move(message), proto);
      EXPECT_EQ(bytes, proto.ByteSizeLong()) << size;
    }
  }
}

TEST(Check, RefusesWhatThePeerWouldRefuse) {
  const auto reason = [](const Message& message) { return ReasonOf(Check(message)); };
  Message message{"a", "", "", {}, ""};
  EXPECT_TRUE(Check(message).ok());
  message.payload.assign(kMaxMessageBytes - 7, 'x');  // 3 for the subject, 4 before the payload
  EXPECT_TRUE(Check(message).ok());
  message.payload += 'x';
  EXPECT_EQ(reason(message), "MESSAGE_TOO_LARGE");
  EXPECT_EQ(reason({"a.*", "", "", {}, ""}), "INVALID_SUBJECT");
  EXPECT_EQ(reason({"a", "", "b.", {}, ""}), "INVALID_SUBJECT");
  EXPECT_EQ(reason({"a", "", "", {{"", "v"}}, ""}), "MALFORMED_MESSAGE");
  EXPECT_EQ(reason({"a", "", "", {{"k", std::string(kMaxHeaderBytes, 'v')}}, ""}),
            "MALFORMED_MESSAGE");
  EXPECT_EQ(reason({"a", "", "", std::vector<Header>(kMaxHeaders + 1, {"k", "v"}), ""}),
            "MALFORMED_MESSAGE");
  EXPECT_EQ(reason({"a", "", "", {}, std::string(kMaxContentTypeBytes + 1, 'c')}),
            "MALFORMED_MESSAGE");
}

}  // namespace
}  // namespace peermesh::client
