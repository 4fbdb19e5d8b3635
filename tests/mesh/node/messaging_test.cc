// Stories of messages: subscribing, publishing, holding back, losing, leaving.
#include <gtest/gtest.h>

#include "tests/mesh/node/world.h"

namespace peermesh::node {
namespace {

using namespace std::chrono_literals;

std::vector<std::string> Repeat(std::size_t count, const std::string& subject) {
  return std::vector<std::string>(count, subject);
}

class MessagingTest : public testing::Test {
 protected:
  explicit MessagingTest(Limits limits = {}) {
    alpha = world.Add("alpha", {}, limits);
    beta = world.Add("beta", {alpha});
    gamma = world.Add("gamma", {alpha});
    EXPECT_TRUE(world.RunUntil([&] { return world.FullMesh(); }, 3s));
    publisher = world.Open(alpha);
  }
  // A subscriber that everybody knows of.
  AppIndex Reader(HostIndex host, std::string pattern, OnOverflow policy = OnOverflow::kGap,
                  Duration block = kDefaultBlockTimeout) {
    const AppIndex app = world.Open(host);
    const RequestId request = world.Subscribe(app, 1, std::move(pattern), policy, block);
    EXPECT_TRUE(world.RunUntil([&] { return world.app(app).subscribed.contains(request); }, 2s));
    return app;
  }
  const Answer& AnswerTo(AppIndex app, RequestId request) {
    EXPECT_TRUE(world.RunUntil([&] { return world.app(app).answers.contains(request); }, 100s));
    return world.app(app).answers.at(request);
  }
  Refusal RefusalOf(AppIndex app, std::vector<std::string> subjects, std::string target = {}) {
    return AnswerTo(app, world.Publish(app, subjects, 100, std::move(target))).refusal;
  }
  void ExpectAllDelivered(AppIndex app, std::uint64_t count) {
    const Tally tally = world.TallyOf(app);
    EXPECT_EQ(tally.accepted, count);
    EXPECT_EQ(tally.delivered, count);
    EXPECT_EQ(world.app(app).received.delivered, count);
  }

  World world{21};
  HostIndex alpha = 0, beta = 0, gamma = 0;
  AppIndex publisher = 0;
};

TEST_F(MessagingTest, SubscribeThenPublishNeverRaces) {
  for (int i = 0; i < 50; ++i) {
    const std::string subject = "race." + std::to_string(i);
    const AppIndex reader = world.Open(i % 2 == 0 ? beta : gamma);
    const RequestId request = world.Subscribe(reader, 1, subject);
    EXPECT_FALSE(world.app(reader).subscribed.contains(request)) << "others must confirm first";
    ASSERT_TRUE(
        world.RunUntil([&] { return world.app(reader).subscribed.contains(request); }, 10ms));
    EXPECT_TRUE(world.app(reader).subscribed.at(request).unconfirmed.empty());
    const RequestId published = world.Publish(publisher, {subject});
    EXPECT_EQ(AnswerTo(publisher, published).interested_peers, 1u);
    ASSERT_TRUE(world.RunUntil([&] { return world.app(reader).received.delivered == 1; }, 10ms));
  }
}

TEST_F(MessagingTest, SubscribedNamesThoseThatHaveNotConfirmedWithinASecond) {
  world.Cut(beta, gamma);
  const AppIndex reader = world.Open(gamma);
  const RequestId request = world.Subscribe(reader, 1, "a");
  const Instant start = world.now();
  ASSERT_TRUE(world.RunUntil([&] { return world.app(reader).subscribed.contains(request); }, 2s));
  EXPECT_EQ(world.now() - start, kInterestAckTimeout);
  EXPECT_EQ(world.app(reader).subscribed.at(request).unconfirmed, std::vector{world.id(beta)});
}

TEST_F(MessagingTest, SubscribedDoesNotWaitForAPeerThatIsGone) {
  world.Cut(beta, gamma);
  const AppIndex reader = world.Open(gamma);
  const RequestId request = world.Subscribe(reader, 1, "a");
  world.Run(100ms);
  EXPECT_FALSE(world.app(reader).subscribed.contains(request));
  world.Kill(beta);
  world.Heal(beta, gamma);
  ASSERT_TRUE(world.RunUntil([&] { return world.app(reader).subscribed.contains(request); }, 10ms));
  EXPECT_TRUE(world.app(reader).subscribed.at(request).unconfirmed.empty());
}

TEST_F(MessagingTest, AMessageReachesEachInterestedSessionOnceWithAllItsSubscriptions) {
  const AppIndex reader = world.Open(beta);
  world.Subscribe(reader, {{1, "a.b"}, {2, "a.*"}, {3, ">"}, {4, "other"}});
  const AppIndex other = Reader(beta, "a.>");
  world.Run(10ms);
  world.Publish(publisher, {"a.b", "a.c", "z"});
  world.Run(10ms);
  EXPECT_EQ(world.app(reader).received.delivered, 3u);
  EXPECT_EQ(world.app(other).received.delivered, 2u);
  world.ExpectNothingMissing();
}

TEST_F(MessagingTest, OnlyInterestedPeersAreSentAnything) {
  const AppIndex reader = Reader(beta, "a.b");
  const std::uint64_t before = world.node(alpha).stats().sent_messages;
  const RequestId published = world.Publish(publisher, {"a.b", "a.c", "a.b"});
  world.Run(10ms);
  EXPECT_EQ(AnswerTo(publisher, published).interested_peers, 1u);
  EXPECT_EQ(world.node(alpha).stats().sent_messages - before, 2u);
  EXPECT_EQ(world.node(gamma).stats().received_messages, 0u);
  ExpectAllDelivered(reader, 2);
  EXPECT_TRUE(world.app(reader).received.gapped.empty()) << "the number between was skipped, not lost";
}

TEST_F(MessagingTest, NumbersOfOneChannelFollowEachOtherInTheAnswer) {
  const Answer first = AnswerTo(publisher, world.Publish(publisher, Repeat(3, "n.x")));
  ASSERT_EQ(first.numbers.size(), 1u);
  const Answer second = AnswerTo(publisher, world.Publish(publisher, {"n.y", "n.z"}));
  ASSERT_EQ(second.numbers.size(), 1u);
  EXPECT_EQ(second.numbers[0].channel, first.numbers[0].channel);
  EXPECT_EQ(second.numbers[0].first, first.numbers[0].last + 1);
  EXPECT_EQ(second.numbers[0].last, second.numbers[0].first + 1);
}

TEST_F(MessagingTest, UnsubscribingEndsDeliveryAndInterest) {
  const AppIndex reader = world.Open(beta);
  world.Subscribe(reader, {{1, "a"}, {2, "b"}});
  world.Run(10ms);
  world.Unsubscribe(reader, {1, 77});
  world.Run(10ms);
  const RequestId published = world.Publish(publisher, {"a"});
  EXPECT_EQ(AnswerTo(publisher, published).interested_peers, 0u);
  world.Publish(publisher, {"b"});
  world.Run(10ms);
  EXPECT_EQ(world.app(reader).received.delivered, 1u);
  world.CloseApp(reader);
  world.Run(10ms);
  EXPECT_EQ(AnswerTo(publisher, world.Publish(publisher, {"b"})).interested_peers, 0u);
  EXPECT_EQ(world.node(beta).TakeCensus().subscriptions, 0u);
  EXPECT_EQ(world.node(alpha).TakeCensus().patterns, 0u);
}

TEST_F(MessagingTest, WhatIsPublishedWhileALinkIsDownIsAnnouncedAsAGap) {
  const AppIndex reader = Reader(beta, "news.>");
  world.Publish(publisher, Repeat(3, "news.a"));
  world.Run(3s);
  world.Cut(alpha, beta);
  world.Run(8s);
  const RequestId published = world.Publish(publisher, Repeat(5, "news.b"));
  EXPECT_EQ(AnswerTo(publisher, published).interested_peers, 0u);
  EXPECT_EQ(AnswerTo(publisher, published).unreachable, std::vector{world.id(beta)});
  world.Heal(alpha, beta);
  ASSERT_TRUE(world.RunUntil([&] { return world.FullMesh(); }, 20s));
  world.Run(3s);
  EXPECT_EQ(world.app(reader).received.gapped[LossReason::kLinkLost], 5u);
  const Tally tally = world.TallyOf(reader);
  EXPECT_EQ(tally.accepted, 8u);
  EXPECT_EQ(tally.gapped, 5u);
  EXPECT_EQ(tally.missing, 0u);
}

TEST_F(MessagingTest, TheVeryFirstMessagesThatGoDownWithTheirLinkAreAnnouncedToo) {
  const AppIndex reader = Reader(beta, "first");
  world.Cut(alpha, beta);
  world.Publish(publisher, Repeat(4, "first"));  // queued, written, and never seen
  world.Run(8s);
  world.Heal(alpha, beta);
  ASSERT_TRUE(world.RunUntil([&] { return world.FullMesh(); }, 20s));
  world.Run(10ms);
  EXPECT_EQ(world.app(reader).received.gapped[LossReason::kLinkLost], 4u);
  world.ExpectNothingMissing();
}

TEST_F(MessagingTest, NumbersNobodyWantedAreNotAnnouncedAsLost) {
  const AppIndex reader = Reader(beta, "shared.wanted");
  world.Publish(publisher, Repeat(100, "shared.unwanted"));  // of the same channel
  world.Run(3s);                                             // a heartbeat says so
  world.Break(alpha, beta);
  world.Run(3s);
  EXPECT_TRUE(world.FullMesh());
  EXPECT_TRUE(world.app(reader).received.gapped.empty());
}

TEST_F(MessagingTest, AHoleNobodyAnnouncedShowsWithinAHeartbeat) {
  const AppIndex reader = Reader(beta, "hole");
  world.Publish(publisher, {"hole"});
  world.Run(1s);
  world.DropNextData(alpha, beta);
  world.Publish(publisher, Repeat(2, "hole"));
  EXPECT_TRUE(world.RunUntil([&] { return world.app(reader).received.gapped[LossReason::kMissing] == 2; },
                             kHeartbeat + 10ms));
  world.DropNextData(alpha, beta);
  world.Publish(publisher, {"hole"});
  world.Publish(publisher, {"hole"});  // the next message shows it at once
  EXPECT_TRUE(
      world.RunUntil([&] { return world.app(reader).received.gapped[LossReason::kMissing] == 3; }, 10ms));
  EXPECT_EQ(world.app(reader).received.delivered, 2u);
  world.ExpectNothingMissing();
}

TEST_F(MessagingTest, ACopyOfInterestThatDiffersIsReplacedWithinAHeartbeat) {
  world.SpoilNextDelta(beta, alpha);
  const AppIndex reader = world.Open(beta);
  world.Subscribe(reader, 1, "true.name");
  world.Run(10ms);
  EXPECT_EQ(AnswerTo(publisher, world.Publish(publisher, {"true.name"})).interested_peers, 0u);
  ASSERT_TRUE(world.RunUntil([&] { return world.node(alpha).stats().interest_resyncs == 1; },
                             kHeartbeat + 10ms));
  world.Run(10ms);
  EXPECT_EQ(AnswerTo(publisher, world.Publish(publisher, {"true.name"})).interested_peers, 1u);
  EXPECT_EQ(AnswerTo(publisher, world.Publish(publisher, {"spoilt"})).interested_peers, 0u);
  world.Run(10s);
  EXPECT_EQ(world.node(alpha).stats().interest_resyncs, 1u) << "and then it agrees";
}

TEST_F(MessagingTest, ASessionHoldsManySubscriptionsAndTheyAllMatch) {
  world.checks.every = 0;
  const AppIndex reader = world.Open(beta);
  // One by one, faster than a link writes; and the rest at once.
  for (std::uint32_t i = 1; i <= 8192; ++i)
    world.Subscribe(reader, i, "many.s" + std::to_string(i));
  std::vector<Subscription> rest;
  for (std::uint32_t i = 8193; i <= kMaxSubscriptionsPerSession; ++i) {
    rest.push_back({i, "many.s" + std::to_string(i)});
  }
  const RequestId last = world.Subscribe(reader, rest);
  ASSERT_TRUE(world.RunUntil([&] { return world.app(reader).subscribed.contains(last); }, 1s));
  EXPECT_TRUE(world.app(reader).subscribed.at(last).unconfirmed.empty());
  EXPECT_EQ(world.app(reader).subscribed.size(), 8193u);
  world.Publish(publisher, {"many.s1", "many.s8192", "many.s8193", "many.s16384", "many.s16385"});
  world.Run(10ms);
  EXPECT_EQ(world.app(reader).received.delivered, 4u);
  const RequestId beyond = world.Subscribe(reader, 20000, "one.more");
  EXPECT_EQ(world.app(reader).answers.at(beyond).refusal, Refusal::kTooManySubscriptions);
  EXPECT_STREQ(world.app(reader).answers.at(beyond).limit, "subscriptions_per_session");
  world.node(alpha).CheckInvariants();
  world.node(beta).CheckInvariants();
  EXPECT_TRUE(world.FullMesh()) << "no link was overrun";
  world.CloseApp(reader);
  world.Run(3s);
  EXPECT_EQ(world.node(alpha).TakeCensus().patterns, 0u);
  EXPECT_EQ(world.node(alpha).stats().interest_resyncs, 0u);
}

TEST_F(MessagingTest, ASessionWhoseSubscriptionsOverlapBeyondTheBoundIsClosed) {
  const auto open = [&](std::size_t times) {
    std::vector<Subscription> same;
    for (std::uint32_t id = 1; id <= times; ++id) same.push_back({id, "same"});
    const AppIndex reader = world.Open(beta);
    const RequestId request = world.Subscribe(reader, same);
    EXPECT_TRUE(world.RunUntil([&] { return world.app(reader).subscribed.contains(request); }, 1s));
    return reader;
  };
  const AppIndex within = open(kMaxMatchesPerMessage);
  const AppIndex beyond = open(kMaxMatchesPerMessage + 1);
  world.Publish(publisher, {"same"});
  world.Run(10ms);
  EXPECT_EQ(world.app(within).received.delivered, 1u);
  EXPECT_FALSE(world.app(within).ended);
  EXPECT_TRUE(world.app(beyond).ended);
  EXPECT_EQ(world.app(beyond).end_reason, Refusal::kTooManyMatches);
  EXPECT_EQ(world.app(beyond).received.delivered, 0u);
}

TEST_F(MessagingTest, ARefusedSubscribeLeavesNothingBehind) {
  const AppIndex reader = world.Open(beta);
  world.Subscribe(reader, 1, "a");
  const auto refusal = [&](std::vector<Subscription> subscriptions) {
    const RequestId request = world.Subscribe(reader, std::move(subscriptions));
    return world.app(reader).answers.at(request).refusal;
  };
  EXPECT_EQ(refusal({{2, "b"}, {1, "c"}}), Refusal::kDuplicateSubscription);
  EXPECT_EQ(refusal({{2, "b"}, {2, "c"}}), Refusal::kDuplicateSubscription);
  std::vector<Subscription> wildcards;
  for (std::uint32_t i = 1; i <= kMaxLeadingWildcards; ++i) {
    wildcards.push_back({i + 1, "*.w" + std::to_string(i)});
  }
  wildcards.push_back({5000, ">"});
  EXPECT_EQ(refusal(wildcards), Refusal::kTooManyLeadingWildcards);
  EXPECT_EQ(world.node(beta).TakeCensus().subscriptions, 1u);
  world.Run(3s);
  EXPECT_EQ(world.node(alpha).TakeCensus().patterns, 1u);
}

TEST_F(MessagingTest, ADirectMessageGoesToItsTargetOrSaysWhyNot) {
  const AppIndex at_beta = Reader(beta, "direct.>");
  const AppIndex at_gamma = Reader(gamma, "direct.>");
  const AppIndex at_alpha = Reader(alpha, "direct.>");
  EXPECT_EQ(RefusalOf(publisher, {"direct.a"}, "beta"), Refusal::kNone);
  EXPECT_EQ(RefusalOf(publisher, {"direct.a"}, world.id(beta).ToText()), Refusal::kNone);
  EXPECT_EQ(RefusalOf(publisher, {"direct.a"}, world.id(beta).ToShortText()), Refusal::kNone);
  EXPECT_EQ(RefusalOf(publisher, {"direct.a"}, "alpha"), Refusal::kNone);
  EXPECT_EQ(RefusalOf(publisher, {"direct.a"}, world.id(alpha).ToShortText()), Refusal::kNone);
  EXPECT_EQ(RefusalOf(publisher, {"direct.a"}, "nobody"), Refusal::kUnknownPeer);
  EXPECT_EQ(RefusalOf(publisher, {"elsewhere"}, "beta"), Refusal::kNoSubscribers);
  world.Run(10ms);
  EXPECT_EQ(world.app(at_beta).received.delivered, 3u);
  EXPECT_EQ(world.app(at_alpha).received.delivered, 2u);
  EXPECT_EQ(world.app(at_gamma).received.delivered, 0u);
  EXPECT_EQ(world.TallyOf(at_beta).gapped, 0u) << "numbers meant for others are skipped";
  world.Kill(beta);
  world.Run(2s);
  EXPECT_EQ(RefusalOf(publisher, {"direct.a"}, "beta"), Refusal::kPeerUnreachable);
  world.Add("gamma", {alpha});  // a second one of that name
  world.Run(2s);
  EXPECT_EQ(RefusalOf(publisher, {"direct.a"}, "gamma"), Refusal::kAmbiguousPeer);
}

// --- Rate limits ---------------------------------------------------------------------------------

class LimitedTest : public MessagingTest {
 protected:
  LimitedTest() : MessagingTest(Tight()) {}
  static Limits Tight() {
    Limits limits;
    limits.application_messages = limits::Rate::PerSecond(100, 10);
    limits.application_bytes = limits::Rate::PerSecond(100'000, 5'000);
    limits.peer_messages = limits::Rate::PerSecond(1000, 100);
    limits.subscribes = limits::Rate::PerSecond(10, 3);
    return limits;
  }
};

TEST_F(LimitedTest, TooManyMessagesAreRefusedWithTheTimeToComeBack) {
  EXPECT_EQ(AnswerTo(publisher, world.Publish(publisher, Repeat(10, "a"), 20)).refusal,
            Refusal::kNone);
  const Answer refused = AnswerTo(publisher, world.Publish(publisher, Repeat(5, "a"), 20));
  EXPECT_EQ(refused.refusal, Refusal::kRateLimited);
  EXPECT_STREQ(refused.limit, "application_messages");
  EXPECT_EQ(refused.retry_after, 50ms);
  world.Run(refused.retry_after);
  EXPECT_EQ(AnswerTo(publisher, world.Publish(publisher, Repeat(5, "a"), 20)).refusal,
            Refusal::kNone);
  const Answer never = AnswerTo(publisher, world.Publish(publisher, Repeat(11, "a"), 20));
  EXPECT_EQ(never.retry_after, Duration::max()) << "more than a burst never conforms";
  world.Run(1s);
  const Answer large = AnswerTo(publisher, world.Publish(publisher, {"a"}, 6000));
  EXPECT_STREQ(large.limit, "application_bytes");
  EXPECT_EQ(AnswerTo(publisher, world.Publish(publisher, Repeat(10, "a"), 20)).refusal,
            Refusal::kNone)
      << "a refused publish costs nothing";
  EXPECT_EQ(world.node(alpha).stats().publish_refused_rate, 3u);
  const AppIndex other = world.Open(alpha);
  EXPECT_EQ(RefusalOf(other, {"a"}), Refusal::kNone) << "another principal has its own";
}

TEST_F(LimitedTest, TooManySubscribesAreRefused) {
  const AppIndex reader = world.Open(alpha);
  world.Subscribe(reader, {{1, "a"}, {2, "b"}, {3, "c"}});
  const RequestId refused = world.Subscribe(reader, 4, "d");
  EXPECT_EQ(world.app(reader).answers.at(refused).refusal, Refusal::kRateLimited);
  EXPECT_EQ(world.app(reader).answers.at(refused).retry_after, 100ms);
}

TEST_F(LimitedTest, APeerThatSendsTooFastIsReadAtItsRateAndLosesNothing) {
  const AppIndex reader = Reader(alpha, "flood");
  const AppIndex writer = world.Open(beta);
  const Instant start = world.now();
  world.Feed(writer, "flood", 50, 100, 10ms, start + 1s);  // 5,000 messages in a second
  world.Run(1s);
  EXPECT_LE(world.app(reader).received.delivered, 1000u + 100 + 400) << "the rate, a burst and a frame";
  EXPECT_GE(world.app(reader).received.delivered, 900u);
  ASSERT_TRUE(world.RunUntil([&] { return world.app(reader).received.delivered >= 5000; }, 10s));
  EXPECT_GE(world.now() - start, 4700ms);
  world.Run(1s);
  world.ExpectNothingMissing();
}

// --- Back-pressure -------------------------------------------------------------------------------

TEST_F(MessagingTest, ASlowSubscriberLosesMessagesAndTheOthersKeepTheirPace) {
  const AppIndex slow = Reader(beta, "load");
  const AppIndex fast = Reader(gamma, "load");
  const AppIndex neighbour = Reader(beta, "load");  // on the slow one's peer
  world.app(slow).bytes_per_second = 1'000'000;
  // 50 MB/s for 4 s.
  world.Feed(publisher, "load", 5, 10'000, 1ms, world.now() + 4s);
  world.Run(4s);
  const std::uint64_t possible = 4000 * 5;
  EXPECT_GE(world.app(fast).received.delivered, possible * 9 / 10);
  EXPECT_GE(world.app(neighbour).received.delivered, possible * 9 / 10);
  EXPECT_LT(world.app(slow).received.delivered, possible / 4);
  world.app(slow).bytes_per_second = 1'000'000'000;
  world.Run(10s);
  for (const AppIndex app : {fast, neighbour}) EXPECT_EQ(world.TallyOf(app).gapped, 0u);
  const Tally tally = world.TallyOf(slow);
  EXPECT_EQ(tally.accepted, world.node(alpha).stats().published_messages);
  EXPECT_EQ(tally.accepted, tally.delivered + tally.gapped);
  EXPECT_GT(tally.gapped, possible / 2);
  EXPECT_EQ(world.app(slow).received.gapped[LossReason::kSlowSubscriber], tally.gapped)
      << "exactly, in one channel";
  const Stats& stats = world.node(beta).stats();
  const auto reason = static_cast<std::size_t>(LossReason::kSlowSubscriber);
  EXPECT_EQ(stats.lost_messages[reason], tally.gapped);
  EXPECT_EQ(stats.dropped_messages[reason], tally.gapped);
  EXPECT_GE(world.CountNotes(beta, NoteKind::kSessionSlow), 1u);
  EXPECT_EQ(world.node(beta).TakeCensus().slow_sessions, 0u) << "it caught up";
}

TEST_F(MessagingTest, AStalledSubscriberCostsItsPublisherAtMostATenthOfTheTime) {
  const AppIndex stalled = Reader(alpha, "load");  // on the publisher's own peer
  world.app(stalled).stalled = true;
  Duration held{};
  Instant begin = kNever;
  const Instant end = world.now() + 10s;
  world.Feed(publisher, "load", 5, 10'000, 1ms, end);
  while (world.now() < end) {
    world.RunUntil([&] { return world.now() >= end || world.app(publisher).unanswered > 0; }, 10s);
    begin = world.now();
    world.RunUntil([&] { return world.app(publisher).unanswered == 0; }, 10s);
    held += world.now() - begin;
  }
  EXPECT_GT(held, 90ms);
  EXPECT_LE(held, 1s);
  EXPECT_EQ(world.node(alpha).TakeCensus().slow_sessions, 1u);
}

TEST_F(MessagingTest, ASubscriberThatAsksForBlockLosesNothingAcrossTwoPeers) {
  const AppIndex reader = Reader(beta, "load", OnOverflow::kBlock);
  world.app(reader).bytes_per_second = 2'000'000;
  world.Feed(publisher, "load", 5, 10'000, 1ms, world.now() + 20s);
  world.Run(20s);
  EXPECT_GT(world.node(alpha).stats().publishes_held, 0u);
  world.Run(10s);
  EXPECT_EQ(world.app(publisher).unanswered, 0u) << "held publishes are answered";
  const std::uint64_t published = world.node(alpha).stats().published_messages;
  EXPECT_LT(published, 6000u) << "the publisher goes at the reader's pace, give or take the queues";
  EXPECT_GT(published, 3000u);
  ExpectAllDelivered(reader, published);
}

TEST_F(MessagingTest, BlockEndsWithItsTimeoutAndThenLossesAreAnnounced) {
  const AppIndex reader = Reader(beta, "load", OnOverflow::kBlock, 2s);
  world.app(reader).stalled = true;
  world.Feed(publisher, "load", 5, 20'000, 1ms, world.now() + 10s);
  ASSERT_TRUE(world.RunUntil([&] { return world.app(publisher).unanswered > 0; }, 1s));
  const Instant held = world.now();
  ASSERT_TRUE(world.RunUntil([&] { return world.app(publisher).unanswered == 0; }, 5s));
  EXPECT_GE(world.now() - held, 1s);
  EXPECT_LE(world.now() - held, 2s) << "its own queue has waited since a little earlier";
  world.Run(10s);
  world.Resume(reader);
  world.Run(5s);
  EXPECT_GT(world.TallyOf(reader).gapped, 0u);
  world.ExpectNothingMissing();
}

TEST_F(MessagingTest, ASubscriberThatAsksForCloseIsClosedWhenSlow) {
  const AppIndex reader = Reader(beta, "load", OnOverflow::kClose);
  const AppIndex other = Reader(beta, "load");
  world.app(reader).stalled = true;
  world.Feed(publisher, "load", 5, 10'000, 1ms, world.now() + 1s);
  ASSERT_TRUE(world.RunUntil([&] { return world.app(reader).ended; }, 1s));
  EXPECT_EQ(world.app(reader).end_reason, Refusal::kSlowConsumer);
  world.Run(2s);
  EXPECT_EQ(world.node(beta).TakeCensus().sessions, 1u);
  EXPECT_EQ(world.TallyOf(other).gapped, 0u);
  EXPECT_EQ(world.app(publisher).unanswered, 0u);
}

TEST_F(MessagingTest, AHeldPublishIsAnsweredWhenItsSubscriberGoes) {
  const AppIndex reader = Reader(alpha, "load", OnOverflow::kBlock, 60s);
  world.app(reader).stalled = true;
  while (world.app(publisher).unanswered == 0) world.Publish(publisher, Repeat(100, "load"), 1000);
  world.Run(1s);
  EXPECT_EQ(world.app(publisher).unanswered, 1u);
  EXPECT_EQ(world.node(alpha).TakeCensus().held_publishes, 1u);
  world.CloseApp(reader);
  EXPECT_EQ(world.app(publisher).unanswered, 0u);
}

TEST_F(MessagingTest, HeldPublishesAreLetInAsTheQueueTakesThem) {
  for (const HostIndex host : {alpha, beta}) {
    const AppIndex reader = Reader(host, "load", OnOverflow::kBlock, 60s);
    world.app(reader).bytes_per_second = 50'000'000;
    std::vector<AppIndex> crowd;
    for (int i = 0; i < 40; ++i) crowd.push_back(world.Open(alpha));
    for (const AppIndex app : crowd) world.Publish(app, {"load"}, 1'000'000);
    EXPECT_GE(world.node(alpha).TakeCensus().held_publishes, 30u);
    const auto over = [&] {
      const Census census = world.node(alpha).TakeCensus();
      return census.session_queue_bytes > kSessionQueueBytes ||
             census.link_queue_bytes > kLinkQueueBytes;
    };
    EXPECT_FALSE(world.RunUntil(over, 3s));
    EXPECT_EQ(world.app(reader).received.delivered, crowd.size());
    world.CloseApp(reader);
    world.Run(1s);
  }
}

TEST_F(MessagingTest, AHeldDirectMessageIsRefusedWhenItsTargetGoes) {
  const AppIndex reader = Reader(beta, "load", OnOverflow::kBlock, 60s);
  world.app(reader).stalled = true;
  RequestId last;
  while (world.app(publisher).unanswered == 0) {
    last = world.Publish(publisher, Repeat(100, "load"), 1000, "beta");
    world.Run(1ms);
  }
  world.Kill(beta);
  EXPECT_EQ(AnswerTo(publisher, last).refusal, Refusal::kPeerUnreachable);
}

// --- Leaving -------------------------------------------------------------------------------------

TEST_F(MessagingTest, ADrainingPeerFlushesRefusesPublishesAndIsDrained) {
  const AppIndex reader = Reader(beta, "last.words");
  const AppIndex local = Reader(alpha, "last.words");
  world.app(local).bytes_per_second = 10'000'000;
  for (int i = 0; i < 20; ++i) world.Publish(publisher, Repeat(100, "last.words"), 1000);
  world.Tell(alpha, DrainRequested{world.now() + 5s});
  EXPECT_TRUE(world.node(alpha).draining());
  EXPECT_EQ(RefusalOf(publisher, {"too.late"}), Refusal::kDraining);
  const AppIndex late = world.Open(alpha);
  EXPECT_EQ(world.app(late).end_reason, Refusal::kDraining);
  const Instant start = world.now();
  ASSERT_TRUE(world.RunUntil([&] { return world.drained(alpha).has_value(); }, 5s));
  EXPECT_GE(world.now() - start, 100ms) << "the slow reader had 2 MB to read";
  EXPECT_LE(world.now() - start, 500ms) << "no longer than needed";
  world.Run(1s);
  ExpectAllDelivered(reader, 2000);
  EXPECT_EQ(world.app(local).received.delivered, 2000u);
}

TEST_F(MessagingTest, ADrainingPeerNeitherDialsNorTakesItsGoodbyeBack) {
  const AppIndex stalled = Reader(alpha, "never.read");
  world.app(stalled).stalled = true;
  world.Publish(publisher, Repeat(1000, "never.read"), 1000);
  world.Tell(alpha, CredentialsRenewed{});  // replacements are due within 2 s
  world.Tell(alpha, DrainRequested{world.now() + 5s});
  world.Run(100ms);
  world.Tell(alpha, CredentialsRenewed{});
  const std::uint64_t dials = world.node(alpha).stats().dials;
  world.Break(alpha, gamma);
  world.Run(4s);
  EXPECT_EQ(world.node(alpha).stats().dials, dials);
  EXPECT_EQ(world.StateOf(beta, alpha), membership::State::kLeft);
}

TEST_F(MessagingTest, ADrainEndsAtItsDeadlineWhateverIsLeft) {
  const AppIndex stalled = Reader(alpha, "never.read");
  world.app(stalled).stalled = true;
  world.Publish(publisher, Repeat(1000, "never.read"), 1000);
  const Instant start = world.now();
  world.Tell(alpha, DrainRequested{start + 5s});
  ASSERT_TRUE(world.RunUntil([&] { return world.drained(alpha).has_value(); }, 6s));
  EXPECT_EQ(*world.drained(alpha) - start, 5s);
}

TEST_F(MessagingTest, HeldPublishesAreRefusedByADrain) {
  const AppIndex reader = Reader(alpha, "load", OnOverflow::kBlock, 60s);
  world.app(reader).stalled = true;
  RequestId last;
  while (world.app(publisher).unanswered == 0)
    last = world.Publish(publisher, Repeat(100, "load"), 1000);
  world.Tell(alpha, DrainRequested{world.now() + 1s});
  EXPECT_EQ(AnswerTo(publisher, last).refusal, Refusal::kDraining);
}

TEST_F(MessagingTest, SessionsBeyondTheBoundAreClosedAtOnce) {
  world.checks.every = 0;
  for (std::size_t i = 1; i < kMaxSessions; ++i) world.Open(alpha);
  EXPECT_EQ(world.node(alpha).TakeCensus().sessions, kMaxSessions);
  const AppIndex beyond = world.Open(alpha);
  EXPECT_EQ(world.app(beyond).end_reason, Refusal::kTooManySessions);
  world.node(alpha).CheckInvariants();
  world.Run(1ms);
  EXPECT_EQ(world.node(alpha).TakeCensus().sessions, kMaxSessions);
}

}  // namespace
}  // namespace peermesh::node
