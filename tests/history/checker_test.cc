// The checker itself: good histories pass, and each way to spoil one is found under its name.
#include "tests/history/checker.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <optional>

#include "tests/history/invented.h"

namespace peermesh::history {
namespace {

constexpr std::uint64_t kRounds = 48;

class CheckerTest : public testing::Test {
 protected:
  CheckerTest() {
    Invent(kRounds, [this](const Record& record) { records.push_back(record); });
  }

  Report Check() const {
    Checker checker(Invented::Names());
    for (const Record& record : records) checker.Add(record);
    return checker.Finish();
  }

  // Exactly this invariant is violated, that often.
  void ExpectOnly(Invariant invariant, std::uint64_t times = 1) const {
    const Report report = Check();
    EXPECT_EQ(report.verdict, Verdict::kViolated);
    for (std::size_t i = 0; i < kInvariants; ++i) {
      EXPECT_EQ(report.violations[i], i == static_cast<std::size_t>(invariant) ? times : 0)
          << IdOf(static_cast<Invariant>(i));
    }
    for (const Violation& violation : report.first) EXPECT_FALSE(violation.what.empty());
  }

  using Wanted = std::function<bool(const Record&)>;
  std::size_t Find(const Wanted& wanted, std::size_t nth = 0) const {
    for (std::size_t i = 0; i < records.size(); ++i) {
      if (wanted(records[i]) && nth-- == 0) return i;
    }
    ADD_FAILURE() << "no such record";
    return 0;
  }
  static Wanted Is(Event event) {
    return [event](const Record& r) { return r.event == event; };
  }
  // Deliveries of stock from gamma to beta: one subscription each. Late ones are of processes that
  // live to the end.
  static bool IsStock(const Record& r) {
    return r.event == Event::kDeliver && r.peer == 1 && r.origin == 2 && r.channel == 9;
  }
  std::size_t Stock(std::size_t nth = 0) const { return Find(IsStock, 40 + nth); }
  void Erase(std::size_t at) { records.erase(records.begin() + static_cast<std::ptrdiff_t>(at)); }
  void Insert(std::size_t at, const Record& record) {
    records.insert(records.begin() + static_cast<std::ptrdiff_t>(at), record);
  }

  std::vector<Record> records;
};

TEST_F(CheckerTest, AGoodHistoryHolds) {
  const Report report = Check();
  EXPECT_EQ(report.verdict, Verdict::kHolds);
  for (const Violation& violation : report.first) ADD_FAILURE() << violation.what;
  for (const std::string& doubt : report.doubts) ADD_FAILURE() << doubt;
  EXPECT_EQ(report.records, records.size());
  EXPECT_GT(report.total.delivered, 0u);
  EXPECT_GT(report.total.gaps, 0u);
  EXPECT_GT(report.total.unreached, 0u);
  EXPECT_GT(report.total.killed, 0u);
  EXPECT_GT(report.total.ended, 0u);
  EXPECT_EQ(report.total.unlinked, 0u);
  EXPECT_EQ(report.total.unexplained, 0u);
  const Account& a = report.total;
  EXPECT_EQ(a.accepted, a.delivered + a.gaps + a.unreached + a.killed + a.ended + a.unlinked);
  EXPECT_EQ(report.kills, 1u);
  EXPECT_EQ(report.processes.size(), Invented::kPeers + 1u);
}

TEST_F(CheckerTest, BooksOfAProcessAreExact) {
  const Report report = Check();
  for (const ProcessCounts& process : report.processes) {
    std::uint64_t accepted = 0, delivered = 0, unknown = 0;
    // Beta's second session is number 4; all others are their peer's only one. Every message
    // matches subscription 2.
    const bool second = process.epoch == Invented::kEpoch + 3;
    for (const Record& r : records) {
      if (r.peer != process.peer || (r.peer == 1 && second != (r.actor == 4))) continue;
      accepted += r.event == Event::kAccepted;
      unknown += r.event == Event::kUnknown;
      delivered += r.event == Event::kDeliver && r.until == 2;
    }
    EXPECT_EQ(process.accepted, accepted);
    EXPECT_EQ(process.unanswered, unknown);
    EXPECT_EQ(process.delivered, delivered);
  }
}

TEST_F(CheckerTest, FiguresOfTwoPeersAreExact) {
  // Gamma's stock and orders reach both subscriptions `>` and `orders.>` of beta's second session.
  const Report report = Check();
  const Account account = report.accounts.at({2, 0});
  std::uint64_t owed = 0;
  for (const Record& r : records) {
    if (r.event == Event::kAccepted && r.peer == 2) owed += r.channel == 5 ? 2 : 1;
  }
  EXPECT_EQ(account.accepted, owed);
  EXPECT_EQ(account.delivered, owed);
}

TEST_F(CheckerTest, ADeliveryThatIsMissingIsFound) {
  Erase(Stock());
  ExpectOnly(Invariant::kOwed);
}

TEST_F(CheckerTest, OneIdOfADeliveryThatIsMissingIsFound) {
  Erase(Find([](const Record& r) { return r.event == Event::kDeliver && r.channel == 5; }, 200));
  ExpectOnly(Invariant::kOwed);
}

TEST_F(CheckerTest, ATailThatIsMissingIsFound) {
  const auto last = std::find_if(records.rbegin(), records.rend(), IsStock);
  ASSERT_NE(last, records.rend());
  records.erase(std::next(last).base());
  ExpectOnly(Invariant::kOwed);
}

TEST_F(CheckerTest, ADeliveryThatComesTwiceIsFound) {
  Insert(Stock() + 1, records[Stock()]);
  ExpectOnly(Invariant::kDuplicate);
}

TEST_F(CheckerTest, ADeliveryThatComesAgainLaterIsFound) {
  Record again = records[Stock()];
  again.time_ns = records[Stock(3)].time_ns;
  Insert(Stock(3) + 1, again);
  ExpectOnly(Invariant::kDuplicate);
}

TEST_F(CheckerTest, OneMessageUnderTwoNumbersIsFound) {
  Record again = records[Stock()];
  again.sequence = records[Stock(1)].sequence + 1000;
  Insert(Stock() + 1, again);
  ExpectOnly(Invariant::kDuplicate);
}

TEST_F(CheckerTest, TwoThatAreSwappedAreFound) {
  Record late = records[Stock()];
  late.time_ns = records[Stock(1)].time_ns;
  Insert(Stock(1) + 1, late);
  Erase(Stock());
  ExpectOnly(Invariant::kOrder);
}

TEST_F(CheckerTest, AnotherPayloadIsFound) {
  records[Stock()].crc ^= 1;
  ExpectOnly(Invariant::kContent);
}

TEST_F(CheckerTest, AnotherSubjectIsFound) {
  records[Stock()].name = 4;
  ExpectOnly(Invariant::kContent);
}

TEST_F(CheckerTest, AnotherNumberIsFound) {
  records[Stock()].sequence += 1000;
  ExpectOnly(Invariant::kNumber);
}

TEST_F(CheckerTest, AnotherChannelEpochOrOriginIsFound) {
  const auto good = records;
  records[Stock()].channel = 10;
  ExpectOnly(Invariant::kNumber);
  records = good;
  records[Stock()].epoch += 7;
  ExpectOnly(Invariant::kNumber);
  records = good;
  records[Stock()].origin = 0;
  ExpectOnly(Invariant::kNumber);
}

TEST_F(CheckerTest, OneNumberForTwoMessagesIsFound) {
  // The second is delivered under it, too, to all but the sessions that know better: nobody.
  const auto accepted = [](const Record& r) {
    return r.event == Event::kAccepted && r.peer == 2 && r.channel == 9;
  };
  const std::uint64_t number = records[Find(accepted, 40)].sequence;
  const std::uint64_t message = records[Find(accepted, 41)].message;
  std::erase_if(
      records, [&](const Record& r) { return r.event == Event::kDeliver && r.message == message; });
  records[Find(accepted, 41)].sequence = number;
  ExpectOnly(Invariant::kNumber);
}

TEST_F(CheckerTest, EpochsThatDoNotGrowAreFound) {
  const std::size_t second = Find(Is(Event::kStarted), 3);
  const std::uint64_t was = records[second].epoch;
  for (Record& r : records) {
    const bool of_beta = r.peer == 1 && r.event != Event::kDeliver && r.event != Event::kGap;
    if (r.epoch == was && (of_beta || r.origin == 1)) r.epoch = 1;
    if (r.event == Event::kLinked && r.until == was) r.until = 1;
  }
  ExpectOnly(Invariant::kNumber);
}

TEST_F(CheckerTest, AGapThatIsMissingIsFound) {
  Erase(Find(Is(Event::kGap), 2));
  ExpectOnly(Invariant::kOwed, 2);  // it is owed to two subscriptions
}

TEST_F(CheckerTest, AGapThatIsTooNarrowIsFound) {
  // Two messages in a row are lost; the gap names one of them.
  const std::size_t gap = Find(Is(Event::kGap), 2);
  const Record lost = records[gap];
  std::erase_if(records, [&](const Record& r) {
    return r.event == Event::kDeliver && r.actor == lost.actor && r.origin == lost.origin &&
           r.channel == lost.channel && r.sequence == lost.sequence + 1;
  });
  records[gap].until = lost.until + 1;
  EXPECT_EQ(Check().verdict, Verdict::kHolds);
  records[gap].until = lost.until;
  ExpectOnly(Invariant::kOwed, 2);
  records[gap].sequence = lost.until + 1;
  records[gap].until = lost.until + 1;
  ExpectOnly(Invariant::kOwed, 2);
}

TEST_F(CheckerTest, AGapOverWhatStillComesIsFound) {
  records[Find(Is(Event::kGap), 2)].until += 1;
  ExpectOnly(Invariant::kGap, 2);  // for two subscriptions
}

TEST_F(CheckerTest, AGapOverWhatHasComeIsFound) {
  records[Find(Is(Event::kGap), 2)].sequence -= 1;
  ExpectOnly(Invariant::kOrder);
}

TEST_F(CheckerTest, AGapBehindAllNumbersIsFound) {
  const auto quiet = Find(Is(Event::kQuiet));
  Record gap = records[Find(Is(Event::kGap), 2)];
  gap.time_ns = records[quiet].time_ns;
  gap.sequence = 100'000;
  gap.until = 100'001;
  Insert(quiet, gap);
  ExpectOnly(Invariant::kNumber);
}

TEST_F(CheckerTest, WhatWasRefusedAndComesIsFound) {
  const Record refused = records[Find(Is(Event::kRefused))];
  Record delivery = records[Stock()];
  delivery.message = refused.message;
  delivery.sequence += 1000;
  Insert(Stock() + 1, delivery);
  ExpectOnly(Invariant::kRefused);
}

TEST_F(CheckerTest, ARefusalAfterTheDeliveryIsFound) {
  const std::size_t at = Find(Is(Event::kUnknown));
  const Record unknown = records[at];
  Erase(at);
  Record delivery = records[Stock()];
  delivery.message = unknown.message;
  delivery.origin = unknown.peer;
  delivery.epoch = Invented::kEpoch;
  for (const Record& r : records) {
    if (r.event == Event::kInvoke && r.message == unknown.message) delivery.crc = r.crc;
  }
  delivery.sequence = 8;  // the number it took: seven rounds came before
  const std::size_t before = Find([&](const Record& r) {
    return r.event == Event::kDeliver && r.actor == 2 && r.origin == 0 && r.channel == 9 &&
           r.sequence == 9;
  });
  delivery.actor = 2;
  delivery.time_ns = records[before].time_ns;
  Insert(before, delivery);
  EXPECT_EQ(Check().verdict, Verdict::kHolds) << "its fate is unknown: it may come";
  Record refused = unknown;
  refused.event = Event::kRefused;
  refused.time_ns = delivery.time_ns;
  Insert(before + 1, refused);
  ExpectOnly(Invariant::kRefused);
}

TEST_F(CheckerTest, AnUnknownOneThatWasTakenTwiceIsFound) {
  const Record unknown = records[Find(Is(Event::kUnknown))];
  const auto quiet = Find(Is(Event::kQuiet));
  Record delivery{.time_ns = records[quiet].time_ns,
                  .actor = 1,
                  .peer = 0,
                  .event = Event::kDeliver,
                  .origin = 0,
                  .name = unknown.name,
                  .epoch = Invented::kEpoch,
                  .channel = 9,
                  .sequence = 5000,
                  .until = 2,
                  .message = unknown.message};
  for (const Record& r : records) {
    if (r.event == Event::kInvoke && r.message == unknown.message) delivery.crc = r.crc;
  }
  Insert(quiet, delivery);
  EXPECT_EQ(Check().verdict, Verdict::kHolds);
  delivery.sequence = 5001;
  Insert(quiet + 1, delivery);
  ExpectOnly(Invariant::kUnknown);
}

TEST_F(CheckerTest, APhantomIsFound) {
  Record phantom = records[Stock()];
  phantom.message = 1'000'000;
  phantom.sequence += 1000;
  Insert(Stock() + 1, phantom);
  ExpectOnly(Invariant::kPhantom);
}

TEST_F(CheckerTest, ADeliveryBeforeItsPublishIsFound) {
  const Record delivery = records[Stock()];
  const std::size_t invoke = Find(
      [&](const Record& r) { return r.event == Event::kInvoke && r.message == delivery.message; });
  Record early = delivery;
  early.time_ns = records[invoke].time_ns;
  Insert(invoke, early);
  ExpectOnly(Invariant::kPhantom);
}

TEST_F(CheckerTest, AWrongSubscriptionIsFound) {
  records[Stock()].until = 1;  // orders.>
  ExpectOnly(Invariant::kMatch);
}

TEST_F(CheckerTest, ASubscriptionThatIsNotThereIsFound) {
  records[Stock()].until = 77;
  ExpectOnly(Invariant::kMatch);
}

TEST_F(CheckerTest, ADirectMessageAtAnotherPeerIsFound) {
  const std::size_t invoke =
      Find([](const Record& r) { return r.event == Event::kInvoke && r.until == 3; }, 1);
  const std::size_t at = Find([&](const Record& r) {
    return r.event == Event::kDeliver && r.message == records[invoke].message;
  });
  Record astray = records[at];
  astray.peer = 0;
  astray.actor = 1;
  Insert(at, astray);
  ExpectOnly(Invariant::kTarget);
}

TEST_F(CheckerTest, ADirectMessageThatIsMissingIsFound) {
  const std::size_t invoke =
      Find([](const Record& r) { return r.event == Event::kInvoke && r.until == 3; }, 1);
  std::erase_if(records, [message = records[invoke].message](const Record& r) {
    return r.event == Event::kDeliver && r.message == message;
  });
  ExpectOnly(Invariant::kOwed, 2);
}

TEST_F(CheckerTest, AFaultThatDidNotBiteProvesNothing) {
  for (Record& r : records) r.flags &= static_cast<std::uint16_t>(~kBit);
  const Report report = Check();
  EXPECT_EQ(report.verdict, Verdict::kInconclusive);
  ASSERT_EQ(report.doubts.size(), 1u);
  EXPECT_EQ(report.doubts[0], "A fault did not bite: a cable was cut.");
}

TEST_F(CheckerTest, ARunWithoutAnEndProvesNothing) {
  std::erase_if(records, Is(Event::kQuiet));
  EXPECT_EQ(Check().verdict, Verdict::kInconclusive);
}

TEST_F(CheckerTest, NothingProvesNothing) {
  records.clear();
  EXPECT_EQ(Check().verdict, Verdict::kInconclusive);
}

TEST_F(CheckerTest, AProcessThatEndedInGoodOrderOwesItsTail) {
  for (Record& r : records) {
    if (r.event == Event::kEnded) r.flags = 0;
  }
  ExpectOnly(Invariant::kOwed, 4);  // two subscriptions at each of the two others
}

TEST_F(CheckerTest, AKilledProcessOwesWhatLiesBeforeTheLastSeen) {
  Erase(Find(
      [](const Record& r) {
        return r.event == Event::kDeliver && r.origin == 1 && r.peer == 0 && r.channel == 9 &&
               r.epoch == Invented::kEpoch + 1;
      },
      10));
  ExpectOnly(Invariant::kOwed);
}

TEST_F(CheckerTest, ASessionThatEndedWasOwedWhatLiesBeforeTheLastSeen) {
  // Of gamma's stock, at beta's first session: it ended with its process.
  Erase(Find(IsStock, 10));
  ExpectOnly(Invariant::kOwed);
}

TEST_F(CheckerTest, ASubscriptionThatWasCancelledIsOwedNothingMore) {
  const std::size_t at = Stock();
  Record cancel = records[at];
  cancel.event = Event::kUnsubscribe;
  cancel.sequence = 2;
  const std::size_t invoke = Find(
      [&](const Record& r) { return r.event == Event::kAccepted && r.message == cancel.message; });
  cancel.time_ns = records[invoke].time_ns + 1;
  const std::uint32_t actor = cancel.actor;
  for (std::size_t i = records.size(); i-- > invoke;) {
    if (records[i].event == Event::kDeliver && records[i].actor == actor && records[i].until == 2)
      Erase(i);
  }
  Insert(invoke + 1, cancel);
  EXPECT_EQ(Check().verdict, Verdict::kHolds);
}

TEST_F(CheckerTest, AnUnreachedPeerIsNoExcuseForAnother) {
  records[Find(Is(Event::kUnreached), 1)].name = 0;
  ExpectOnly(Invariant::kOwed, 2);
}

TEST_F(CheckerTest, WithoutALinkNothingIsOwedUntilTheFirstArrival) {
  std::erase_if(records, Is(Event::kLinked));
  EXPECT_EQ(Check().verdict, Verdict::kHolds);
  Erase(Find([](const Record& r) {
    return r.event == Event::kDeliver && r.peer == 1 && r.origin == 2 && r.channel == 5;
  }));
  const Report report = Check();
  EXPECT_EQ(report.verdict, Verdict::kHolds);
}

TEST_F(CheckerTest, WhereEachPatternIsToldAMessageIsOwedFromThenOn) {
  // The first of gamma's orders at beta.
  Erase(Find([](const Record& r) {
    return r.event == Event::kDeliver && r.peer == 1 && r.origin == 2 && r.channel == 5;
  }));
  const std::vector<Record> before = records;
  const std::vector<std::string> names = Invented::Names();
  const auto tell = [&](const char* pattern, std::uint16_t flags) {
    const auto name = std::find(names.begin(), names.end(), pattern) - names.begin();
    for (std::size_t i = 0; i < records.size(); ++i) {
      if (records[i].event != Event::kLinked || (records[i].flags & kOnePattern) != 0) continue;
      Record told = records[i];
      told.flags |= flags | kOnePattern;
      told.name = static_cast<std::uint32_t>(name);
      Insert(++i, told);
    }
  };
  EXPECT_EQ(Check().verdict, Verdict::kViolated);
  tell("stock", 0);  // of another pattern: of orders it learns nobody knows when
  EXPECT_EQ(Check().verdict, Verdict::kHolds);
  records = before;
  for (const char* pattern : {"orders.>", ">"}) tell(pattern, 0);
  ExpectOnly(Invariant::kOwed);
  records = before;
  for (const char* pattern : {"orders.>", ">"}) tell(pattern, kNoMore);
  EXPECT_EQ(Check().verdict, Verdict::kHolds);
}

TEST_F(CheckerTest, ProcessesThatNeverMetAreFound) {
  std::erase_if(records, [](const Record& r) {
    const bool linked = r.event == Event::kLinked && r.origin == 2 && r.peer == 0;
    return linked ||
           ((r.event == Event::kDeliver || r.event == Event::kGap) && r.origin == 2 && r.peer == 0);
  });
  const Report report = Check();
  EXPECT_EQ(report.verdict, Verdict::kViolated);
  EXPECT_GT(report.violations[static_cast<std::size_t>(Invariant::kOwed)], kRounds);
  EXPECT_EQ(report.first.size(), kMaxViolationsKept);
}

TEST_F(CheckerTest, WithPeersMissingNothingIsOwedUntilTheFirstArrival) {
  // Of gamma's at alpha's first subscription.
  records[Find(Is(Event::kSubscribed))].until = 1;
  const auto of_gamma = [](const Record& r) {
    return r.event == Event::kDeliver && r.peer == 0 && r.origin == 2 && r.until == 1;
  };
  Erase(Find(of_gamma));
  EXPECT_EQ(Check().verdict, Verdict::kHolds);
  Erase(Find(of_gamma, 5));
  ExpectOnly(Invariant::kOwed);
}

TEST_F(CheckerTest, AnAnswerToNothingIsFound) {
  records[Find(Is(Event::kRefused))].message = 1'000'000;
  ExpectOnly(Invariant::kHistory);
}

TEST_F(CheckerTest, ASessionThatWasNeverOpenedIsFound) {
  Record stray = records[Stock()];
  stray.actor = 999;
  Insert(Stock() + 1, stray);
  ExpectOnly(Invariant::kHistory);
}

TEST(NaiveMatch, IsWhatTheDocumentationSays) {
  EXPECT_TRUE(NaiveMatch("a.b", "a.b"));
  EXPECT_TRUE(NaiveMatch("a.*", "a.b"));
  EXPECT_TRUE(NaiveMatch("a.>", "a.b.c"));
  EXPECT_TRUE(NaiveMatch("*.b", "a.b"));
  EXPECT_TRUE(NaiveMatch(">", "a"));
  EXPECT_FALSE(NaiveMatch("a.>", "a"));
  EXPECT_FALSE(NaiveMatch("a.*", "a.b.c"));
  EXPECT_FALSE(NaiveMatch("a.b", "a"));
  EXPECT_FALSE(NaiveMatch("a", "a.b"));
}

}  // namespace
}  // namespace peermesh::history
