#include "mesh/node/news.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "mesh/node/bounds.h"

namespace peermesh::node {
namespace {

using namespace std::chrono_literals;
using ::testing::IsEmpty;
using ::testing::SizeIs;

PeerId Id(std::uint8_t n) {
  PeerId id;
  id.bytes[0] = n;
  return id;
}

membership::StatementRef Word(std::uint8_t observer, std::uint64_t number,
                              std::size_t bytes = 160) {
  membership::Statement statement;
  statement.encoded = std::string(bytes, 's');
  statement.observer = Id(observer);
  statement.subject = Id(200);
  statement.number = number;
  return std::make_shared<const membership::Statement>(std::move(statement));
}

membership::RecordRef RecordOf(std::uint8_t who, std::size_t bytes = 600) {
  PeerRecord record;
  record.id = Id(who);
  record.incarnation = 1;
  record.encoded = std::string(bytes, 'r');
  return membership::RecordRef(std::move(record));
}

const Instant kStart{1h};

TEST(PassedTest, EachNumberTryAddOnceInAnyOrder) {
  Passed heard;
  for (const std::uint64_t number : {5, 7, 6, 100, 60, 101}) {
    EXPECT_TRUE(heard.TryAdd(kStart, Id(1), number)) << number;
    EXPECT_FALSE(heard.TryAdd(kStart, Id(1), number)) << number;
  }
  EXPECT_FALSE(heard.TryAdd(kStart, Id(1), 7)) << "too old to tell";
  EXPECT_TRUE(heard.TryAdd(kStart, Id(2), 7)) << "of another";
}

TEST(PassedTest, TheEdgesOfTheWindow) {
  Passed heard;
  EXPECT_TRUE(heard.TryAdd(kStart, Id(1), 100));
  EXPECT_TRUE(heard.TryAdd(kStart, Id(1), 164));
  EXPECT_FALSE(heard.TryAdd(kStart, Id(1), 100)) << "64 below: the last that is remembered";
  EXPECT_TRUE(heard.TryAdd(kStart, Id(1), 101));
  EXPECT_FALSE(heard.TryAdd(kStart, Id(1), 99));
  EXPECT_TRUE(heard.TryAdd(kStart, Id(1), 1'000));
  EXPECT_TRUE(heard.TryAdd(kStart, Id(1), 936));
}

TEST(PassedTest, RemembersForItsTimeAtLeastAndForgets) {
  Passed heard;
  EXPECT_TRUE(heard.TryAdd(kStart, Id(1), 9));
  EXPECT_FALSE(heard.TryAdd(kStart + kHeardFor, Id(1), 9));
  heard.Wake(kStart + 3 * kHeardFor);
  heard.Wake(kStart + 4 * kHeardFor);
  EXPECT_TRUE(heard.TryAdd(kStart + 4 * kHeardFor, Id(1), 9));
}

TEST(PassedTest, WhoIsAskedAboutAgainAndAgainIsForgottenAllTheSame) {
  Passed passed;
  ASSERT_TRUE(passed.TryAdd(kStart, Id(1), 9));
  int first = 0;
  for (Instant now = kStart; now < kStart + 5 * kHeardFor; now += 1s) {
    first += passed.TryAdd(now, Id(1), 9);
  }
  EXPECT_EQ(first, 2) << "once every other time";
}

// What cannot be remembered is not passed on, or it would go round for ever.
TEST(PassedTest, NobodyTryAddWithoutRoom) {
  Passed heard;
  PeerId speaker;
  for (std::size_t i = 0; i < kMaxSpeakers; ++i) {
    speaker.bytes[0] = static_cast<std::uint8_t>(i >> 8);
    speaker.bytes[1] = static_cast<std::uint8_t>(i);
    ASSERT_TRUE(heard.TryAdd(kStart, speaker, 1));
  }
  EXPECT_FALSE(heard.TryAdd(kStart, Id(255), 1));
  EXPECT_TRUE(heard.TryAdd(kStart, speaker, 2)) << "who is known may go on";
}

TEST(NewsTest, ABurstGoesAtOnceThenWhatComesInAPauseGoesTogether) {
  News news;
  EXPECT_EQ(news.due(), kNever);
  for (int i = 0; i < kNewsBurst; ++i) {
    news.Add(Word(1, 1), {});
    ASSERT_LE(news.due(), kStart);
    ASSERT_TRUE(news.TryTake(kStart));
    news.Clear();
  }
  news.Add(Word(1, 2), {});
  EXPECT_FALSE(news.TryTake(kStart));
  const Instant due = news.due();
  EXPECT_GT(due, kStart);
  EXPECT_LE(due, kStart + kNewsPause);
  news.Add(Word(1, 3), {});
  EXPECT_FALSE(news.TryTake(due - 1ms));
  ASSERT_TRUE(news.TryTake(due));
  const auto frames = news.FramesFor(Id(9));
  ASSERT_THAT(frames, SizeIs(1));
  EXPECT_THAT(std::get<Statements>(frames[0]).statements, SizeIs(2));
}

TEST(NewsTest, RecordsGoBeforeStatementsAndNobodyIsToldWhatItSaid) {
  News news;
  news.Add(Word(1, 1), Id(7));
  news.Add(RecordOf(1), Id(7));
  news.Add(Word(2, 1), Id(8));
  const auto to_seven = news.FramesFor(Id(7));
  ASSERT_THAT(to_seven, SizeIs(1));
  EXPECT_EQ(std::get<Statements>(to_seven[0]).statements.at(0)->observer, Id(2));
  const auto to_nine = news.FramesFor(Id(9));
  ASSERT_THAT(to_nine, SizeIs(2));
  EXPECT_TRUE(std::get<PeerRecords>(to_nine[0]).news);
  EXPECT_THAT(std::get<Statements>(to_nine[1]).statements, SizeIs(2));
  news.Clear();
  EXPECT_TRUE(news.empty());
  EXPECT_THAT(news.FramesFor(Id(9)), IsEmpty());
}

// Who has no room for a record passes it on only if it comes marked.
TEST(NewsTest, RecordsForEverybodyAreMarkedAndOthersAreNot) {
  News news;
  news.Add(RecordOf(1), {}, News::Reach::kWhoKeepsIt);
  news.Add(RecordOf(2), {}, News::Reach::kEverybody);
  news.Add(RecordOf(3), {}, News::Reach::kWhoKeepsIt);
  const auto frames = news.FramesFor(Id(9));
  ASSERT_THAT(frames, SizeIs(2));
  const auto& kept = std::get<PeerRecords>(frames[0]);
  EXPECT_FALSE(kept.news);
  EXPECT_THAT(kept.records, SizeIs(2));
  const auto& marked = std::get<PeerRecords>(frames[1]);
  EXPECT_TRUE(marked.news);
  ASSERT_THAT(marked.records, SizeIs(1));
  EXPECT_EQ(marked.records[0]->id, Id(2));
}

TEST(NewsTest, WhatIsPastTravelsApart) {
  membership::Statement past = *Word(1, 1);
  past.past = true;
  News news;
  news.Add(std::make_shared<const membership::Statement>(past), {});
  news.Add(Word(1, 2), {});
  const auto frames = news.FramesFor(Id(9));
  ASSERT_THAT(frames, SizeIs(2));
  for (const std::size_t at : {0u, 1u}) {
    ASSERT_THAT(std::get<Statements>(frames[at]).statements, SizeIs(1));
    EXPECT_EQ(std::get<Statements>(frames[at]).statements[0]->past, at == 0) << "the older first";
  }
}

TEST(NewsTest, FramesKeepTheirBounds) {
  News news;
  for (std::size_t i = 0; i < kStatementsPerFrame + 1; ++i) news.Add(Word(1, i + 1), {});
  for (std::size_t bytes = 0; bytes <= kRecordsPerFrameBytes; bytes += 1000) {
    news.Add(RecordOf(1, 1000), {});
  }
  std::size_t statements = 0, records = 0;
  const auto frames = news.FramesFor(Id(9));
  EXPECT_THAT(frames, SizeIs(4));
  for (const ControlFrame& frame : frames) {
    if (const auto* part = std::get_if<PeerRecords>(&frame)) {
      EXPECT_TRUE(part->news);
      std::size_t bytes = 0;
      for (const auto& record : part->records) bytes += record->encoded.size();
      EXPECT_LE(bytes, kRecordsPerFrameBytes);
      records += part->records.size();
    } else {
      const auto& some = std::get<Statements>(frame).statements;
      EXPECT_LE(some.size(), kStatementsPerFrame);
      statements += some.size();
    }
  }
  EXPECT_EQ(statements, kStatementsPerFrame + 1);
  EXPECT_EQ(records, kRecordsPerFrameBytes / 1000 + 1);
}

// As large as the wire lets them come (server/wire/statement.h).
TEST(NewsTest, LargeStatementsTakeMoreFrames) {
  News news;
  for (std::size_t i = 0; i < kStatementsPerFrame; ++i) news.Add(Word(1, i + 1, 448), {});
  std::size_t statements = 0;
  for (const ControlFrame& frame : news.FramesFor(Id(9))) {
    const auto& some = std::get<Statements>(frame).statements;
    EXPECT_LE(some.size() * 448, kRecordsPerFrameBytes);
    statements += some.size();
  }
  EXPECT_EQ(statements, kStatementsPerFrame);
}

}  // namespace
}  // namespace peermesh::node
