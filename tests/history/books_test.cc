// The metrics of processes against histories: what agrees passes, what cannot be is found.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "mesh/base/loss.h"
#include "mesh/node/effect.h"
#include "tests/history/checker.h"
#include "tests/history/invented.h"

namespace peermesh::history {
namespace {

constexpr std::uint64_t kRounds = 48;
constexpr std::uint16_t kAlpha = 0, kBeta = 1, kGamma = 2;

class BooksTest : public testing::Test {
 protected:
  BooksTest() {
    Invent(kRounds, [this](const Record& record) { records.push_back(record); });
  }

  Report Check() const {
    Checker checker(Invented::Names());
    for (const Record& record : records) checker.Add(record);
    return checker.Finish();
  }

  // Holds, and does not with one more or one less, as told.
  void ExpectExact(std::size_t at) {
    for (const int change : {0, 1, -1}) {
      std::vector<Record> good = records;
      records[at].sequence += static_cast<std::uint64_t>(change);
      ExpectBooks(change != 0);
      records = std::move(good);
    }
  }
  void ExpectBooks(bool violated) const {
    const Report report = Check();
    for (std::size_t i = 0; i < kInvariants; ++i) {
      const bool books = i == static_cast<std::size_t>(Invariant::kBooks);
      EXPECT_EQ(report.violations[i], books && violated ? 1 : 0)
          << IdOf(static_cast<Invariant>(i))
          << (report.first.empty() ? "" : ": " + report.first.front().what);
    }
  }

  // Asks before the record at `at`; where it stands.
  std::size_t Ask(std::size_t at, std::uint16_t peer, std::uint64_t epoch, Book book,
                  std::uint64_t value, LossReason reason = LossReason::kNone) {
    Record counter{.time_ns = records[at].time_ns,
                   .peer = peer,
                   .event = Event::kBooks,
                   .reason = static_cast<std::uint8_t>(book),
                   .epoch = epoch,
                   .channel = static_cast<std::uint32_t>(reason),
                   .sequence = value};
    records.insert(records.begin() + static_cast<std::ptrdiff_t>(at), counter);
    return at;
  }
  std::size_t End() const { return Find(Event::kQuiet) + 1; }
  std::size_t Find(Event event) const {
    const auto it = std::find_if(records.begin(), records.end(),
                                 [&](const Record& r) { return r.event == event; });
    EXPECT_NE(it, records.end());
    return static_cast<std::size_t>(it - records.begin());
  }
  // Of gamma, which has one session and lives to the end.
  std::uint64_t Count(Event event, std::size_t end) const {
    return static_cast<std::uint64_t>(std::count_if(
        records.begin(), records.begin() + static_cast<std::ptrdiff_t>(end), [&](const Record& r) {
          // Every message matches subscription 2.
          return r.event == event && r.peer == kGamma && (event != Event::kDeliver || r.until == 2);
        }));
  }

  static constexpr std::uint64_t kOfGamma = Invented::kEpoch + 2;
  std::vector<Record> records;
};

TEST_F(BooksTest, InTheEndCountersOfAProcessAreExact) {
  ExpectExact(Ask(End(), kGamma, kOfGamma, Book::kPublished, Count(Event::kAccepted, End())));
  ExpectExact(Ask(End(), kGamma, kOfGamma, Book::kDelivered, Count(Event::kDeliver, End())));
}

TEST_F(BooksTest, HowManyCountersWereHeldAgainstAProcessIsReported) {
  Ask(End(), kGamma, kOfGamma, Book::kPublished, Count(Event::kAccepted, End()));
  Ask(End(), kGamma, kOfGamma, Book::kDelivered, Count(Event::kDeliver, End()));
  for (const ProcessCounts& process : Check().processes) {
    EXPECT_EQ(process.books, process.peer == kGamma ? 2u : 0u);
  }
}

TEST_F(BooksTest, OnTheWayCountersLieBetweenThenAndTheEnd) {
  const std::size_t half = records.size() / 2;
  for (const auto& [book, event] : {std::pair(Book::kPublished, Event::kAccepted),
                                    std::pair(Book::kDelivered, Event::kDeliver)}) {
    const std::uint64_t then = Count(event, half), end = Count(event, records.size());
    ASSERT_LT(then, end);
    for (const auto& [value, violated] : {std::pair(then - 1, true), std::pair(then, false),
                                          std::pair(end, false), std::pair(end + 1, true)}) {
      const auto good = records;
      Ask(half, kGamma, kOfGamma, book, value);
      ExpectBooks(violated);
      records = good;
    }
  }
}

TEST_F(BooksTest, WhatWasNotAnsweredMayHaveBeenTaken) {
  // Three of alpha's were not answered.
  std::uint64_t accepted = 0, unknown = 0;
  for (const Record& r : records) {
    accepted += r.peer == kAlpha && r.event == Event::kAccepted;
    unknown += r.peer == kAlpha && r.event == Event::kUnknown;
  }
  ASSERT_GT(unknown, 0u);
  const std::size_t at = Ask(End(), kAlpha, Invented::kEpoch, Book::kPublished, accepted + unknown);
  ExpectBooks(false);
  ++records[at].sequence;
  ExpectBooks(true);
}

TEST_F(BooksTest, AKilledProcessMayHaveHandedOnMoreThanArrived) {
  const std::size_t kill = Find(Event::kEnded);
  ASSERT_EQ(records[kill].peer, kBeta);
  Ask(kill, kBeta, Invented::kEpoch + 1, Book::kDelivered, 1'000'000);
  ExpectBooks(false);
  for (Record& r : records) {
    if (r.event == Event::kEnded) r.flags = 0;
  }
  EXPECT_EQ(Check().violations[static_cast<std::size_t>(Invariant::kBooks)], 1u)
      << "one that ended in good order has flushed what it had handed on";
}

TEST_F(BooksTest, RefusalsAreRequestsOfOneMessageOrMore) {
  const std::uint64_t refused = Count(Event::kRefused, End());
  ASSERT_GT(refused, 1u);
  const std::size_t at = Ask(End(), kGamma, kOfGamma, Book::kRefusedRate, refused);
  ExpectBooks(false);
  records[at].sequence = 1;  // all in one request
  ExpectBooks(false);
  records[at].sequence = 0;
  ExpectBooks(true);
  records[at].sequence = refused + 1;
  ExpectBooks(true);
  records[at].reason = static_cast<std::uint8_t>(Book::kRefusedOther);
  records[at].sequence = 0;
  ExpectBooks(false);
  records[at].sequence = 1;
  ExpectBooks(true);
}

TEST_F(BooksTest, WhatNeverLeftTheApplicationWasNotRefused) {
  for (Record& r : records) {
    if (r.event == Event::kRefused)
      r.reason = static_cast<std::uint8_t>(node::Refusal::kUnknownSession);
  }
  Ask(End(), kGamma, kOfGamma, Book::kRefusedRate, 0);
  Ask(End(), kGamma, kOfGamma, Book::kRefusedOther, 0);
  ExpectBooks(false);
}

TEST_F(BooksTest, NumbersThatApplicationsWereToldOfAreCounted) {
  // Alpha's gaps end at beta: one number each, before its restart and after.
  std::uint64_t told = 0;
  for (const Record& r : records) told += r.event == Event::kGap && r.actor == 4;
  ASSERT_GT(told, 0u);
  const std::size_t at =
      Ask(End(), kBeta, Invented::kEpoch + 3, Book::kAnnounced, told, LossReason::kLinkLost);
  ExpectBooks(false);
  ++records[at].sequence;  // of a channel where nobody listened
  ExpectBooks(false);
  records[at].sequence = told - 1;
  ExpectBooks(true);
  records[at].channel = static_cast<std::uint32_t>(LossReason::kMissing);
  records[at].sequence = 0;
  ExpectBooks(false);
}

TEST_F(BooksTest, ASlowSubscriberIsToldOfAllThatItMissed) {
  const std::size_t at =
      Ask(End(), kGamma, kOfGamma, Book::kAnnounced, 0, LossReason::kSlowSubscriber);
  ExpectBooks(false);
  records[at].sequence = 1;
  ExpectBooks(true);
}

TEST_F(BooksTest, ACounterThatDoesNotExistContradictsTheHistory) {
  Ask(End(), kGamma, kOfGamma, static_cast<Book>(9), 0);
  EXPECT_EQ(Check().violations[static_cast<std::size_t>(Invariant::kHistory)], 1u);
}

}  // namespace
}  // namespace peermesh::history
