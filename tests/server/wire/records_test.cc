#include "server/wire/records.h"

#include "mesh/base/limits.h"
#include "tests/server/wire/wire_testing.h"

namespace peermesh::wire {
namespace {

Rule RuleOf(const std::string& body) {
  std::string_view subject;
  return CheckMessage(body, subject);
}

const std::string kSubject = Bytes(1, "a.b");

std::string Header(const std::string& key, const std::string& value) {
  return Bytes(4, Bytes(1, key) + Bytes(2, value));
}

TEST(RecordsTest, AMessageWithEverythingPasses) {
  v1::Message message = MakeMessage("orders.eu.created", std::string("\xff\x00\x80", 3));
  message.set_reply_to("replies.42");
  message.set_content_type("application/json");
  for (std::size_t i = 0; i < kMaxHeaders; ++i) {
    auto* header = message.add_headers();
    header->set_key("key");
    header->set_value("Wert \xc3\xa9");
  }
  std::string_view subject;
  const std::string body = message.SerializeAsString();
  EXPECT_EQ(CheckMessage(body, subject), Rule::kNone);
  EXPECT_EQ(subject, "orders.eu.created");
}

TEST(RecordsTest, TheLargestAndTheSmallestMessagePass) {
  EXPECT_EQ(RuleOf(Bytes(1, "a")), Rule::kNone);
  const std::string payload(kMaxMessageBytes - Bytes(1, "a").size() - 4, 'x');
  const std::string body = Bytes(1, "a") + Bytes(2, payload);
  ASSERT_EQ(body.size(), kMaxMessageBytes);
  EXPECT_EQ(RuleOf(body), Rule::kNone);
  EXPECT_EQ(RuleOf(body + Number(99, 1)), Rule::kMessageTooLarge);
}

TEST(RecordsTest, ExactlyOneSubjectOfTheRightForm) {
  EXPECT_EQ(RuleOf(""), Rule::kSubject);
  EXPECT_EQ(RuleOf(Bytes(2, "payload")), Rule::kSubject);
  EXPECT_EQ(RuleOf(Bytes(1, "")), Rule::kSubject);
  EXPECT_EQ(RuleOf(kSubject + kSubject), Rule::kRepeated);
  for (const char* bad : {".", "a.", ".a", "a..b", "a b", "a/b", "*", "a.*", ">", "a.>", "\xc3\xa9",
                          "a\r\nb", "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q"}) {
    EXPECT_EQ(RuleOf(Bytes(1, bad)), Rule::kSubject) << bad;
  }
  EXPECT_EQ(RuleOf(Bytes(1, std::string(kMaxSubjectBytes, 'a'))), Rule::kNone);
  EXPECT_EQ(RuleOf(Bytes(1, std::string(kMaxSubjectBytes + 1, 'a'))), Rule::kSubject);
  EXPECT_EQ(RuleOf(Bytes(1, std::string("a\0b", 3))), Rule::kSubject);
}

TEST(RecordsTest, EveryOtherRuleIsKept) {
  EXPECT_EQ(RuleOf(kSubject + Bytes(3, "a..b")), Rule::kReplyTo);
  EXPECT_EQ(RuleOf(kSubject + Bytes(3, "")), Rule::kNone);
  EXPECT_EQ(RuleOf(kSubject + Bytes(3, "a") + Bytes(3, "a")), Rule::kRepeated);
  EXPECT_EQ(RuleOf(kSubject + Bytes(2, "a") + Bytes(2, "b")), Rule::kRepeated);
  EXPECT_EQ(RuleOf(kSubject + Bytes(5, std::string(kMaxContentTypeBytes, 'a'))), Rule::kNone);
  EXPECT_EQ(RuleOf(kSubject + Bytes(5, std::string(kMaxContentTypeBytes + 1, 'a'))),
            Rule::kContentType);
  EXPECT_EQ(RuleOf(kSubject + Bytes(5, "\xff")), Rule::kUtf8);
  EXPECT_EQ(RuleOf(Number(1, 5)), Rule::kWireType);
  EXPECT_EQ(RuleOf(kSubject + Number(2, 5)), Rule::kWireType);
  EXPECT_EQ(RuleOf(kSubject + Bytes(2, "abc").substr(0, 4)), Rule::kTruncated);
  EXPECT_EQ(RuleOf(Tag(1, 2) + std::string("\x83\x00", 2) + "a.b"), Rule::kVarint)
      << "a length in a longer form";
}

TEST(RecordsTest, HeadersAreBounded) {
  std::string headers;
  for (std::size_t i = 0; i < kMaxHeaders; ++i) headers += Header("k", "v");
  EXPECT_EQ(RuleOf(kSubject + headers), Rule::kNone);
  EXPECT_EQ(RuleOf(kSubject + headers + Header("k", "v")), Rule::kTooManyHeaders);
  EXPECT_EQ(RuleOf(kSubject + Header("k", std::string(kMaxHeaderBytes - 1, 'v'))), Rule::kNone);
  EXPECT_EQ(RuleOf(kSubject + Header("k", std::string(kMaxHeaderBytes, 'v'))),
            Rule::kHeadersTooLarge);
  const std::string half(kMaxHeaderBytes / 2, 'v');
  EXPECT_EQ(RuleOf(kSubject + Header("k", half) + Header("k", half)), Rule::kHeadersTooLarge);
  EXPECT_EQ(RuleOf(kSubject + Header("", "v")), Rule::kHeaderKey);
  EXPECT_EQ(RuleOf(kSubject + Bytes(4, "")), Rule::kHeaderKey);
  EXPECT_EQ(RuleOf(kSubject + Header(std::string(kMaxHeaderKeyBytes, 'k'), "")), Rule::kNone);
  EXPECT_EQ(RuleOf(kSubject + Header(std::string(kMaxHeaderKeyBytes + 1, 'k'), "")),
            Rule::kHeaderKey);
  EXPECT_EQ(RuleOf(kSubject + Header("\xff", "v")), Rule::kUtf8);
  EXPECT_EQ(RuleOf(kSubject + Header("k", "\xff")), Rule::kUtf8);
  EXPECT_EQ(RuleOf(kSubject + Bytes(4, Bytes(1, "k") + Bytes(1, "k"))), Rule::kRepeated);
}

TEST(RecordsTest, FieldsOfALaterVersionPassWithinBounds) {
  EXPECT_EQ(RuleOf(kSubject + Number(6, 1) + Bytes(7, "later") + Tag(8, 1) + "12345678"),
            Rule::kNone);
  EXPECT_EQ(RuleOf(kSubject + Bytes(6, std::string(kMaxUnknownBytes, 'x'))),
            Rule::kUnknownTooLarge);
  EXPECT_EQ(RuleOf(kSubject + Tag(6, 3) + Tag(6, 4)), Rule::kWireType);
  EXPECT_EQ(RuleOf(kSubject + Bytes(4, Bytes(1, "k") + Number(3, 1))), Rule::kNone);
}

TEST(RecordsTest, RowsPointAtRecordAndSubject) {
  const BatchRef batch = MakeBatch({MakeMessage("a.b", "one"), MakeMessage("c", "two")});
  ASSERT_EQ(batch->rows.size(), 2u);
  EXPECT_EQ(batch->subject(batch->rows[0]), "a.b");
  EXPECT_EQ(batch->subject(batch->rows[1]), "c");
  EXPECT_EQ(batch->record(batch->rows[1]), Bytes(15, MakeMessage("c", "two").SerializeAsString()));
  EXPECT_EQ(batch->bytes, batch->buffer->size());
}

TEST(RecordsTest, ABatchHoldsSoManyMessagesAndNoMore) {
  const std::string record = Bytes(15, Bytes(1, "a"));
  std::string bytes;
  for (std::size_t i = 0; i <= kMaxBatchMessages; ++i) bytes += record;
  const auto buffer = Share(std::move(bytes));
  RecordCollector collector(buffer);
  Reader reader(*buffer);
  for (std::size_t i = 0; i < kMaxBatchMessages; ++i) {
    ASSERT_TRUE(reader.Next());
    ASSERT_EQ(collector.Add(reader.whole(), reader.Bytes()), Rule::kNone);
  }
  ASSERT_TRUE(reader.Next());
  EXPECT_EQ(collector.Add(reader.whole(), reader.Bytes()), Rule::kTooManyMessages);
  EXPECT_EQ(collector.Take()->rows.size(), kMaxBatchMessages);
  EXPECT_EQ(collector.Take(), nullptr);
}

TEST(RecordsTest, WhateverPassesIsReadTheSameWayByProtobuf) {
  v1::Message message = MakeMessage("orders.eu", "payload");
  message.set_reply_to("replies.1");
  message.set_content_type("text/plain");
  message.add_headers()->set_key("k");
  message.mutable_headers(0)->set_value("v");
  const std::string good = message.SerializeAsString();
  Rng rng = TestRng(1);
  int passed = 0;
  for (int round = 0; round < 50'000; ++round) {
    const std::string body = Mutate(good, rng);
    std::string_view subject;
    if (CheckMessage(body, subject) != Rule::kNone) continue;
    ++passed;
    v1::Message parsed;
    ASSERT_TRUE(parsed.ParseFromString(body)) << "round " << round;
    ASSERT_EQ(parsed.subject(), subject) << "round " << round;
    ASSERT_LE(parsed.headers_size(), static_cast<int>(kMaxHeaders));
  }
  EXPECT_GT(passed, 1'000) << "mutations that are all refused prove nothing";
}

}  // namespace
}  // namespace peermesh::wire
