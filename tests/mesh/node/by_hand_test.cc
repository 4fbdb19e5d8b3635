// One node, its facts given by hand: what only shows when facts come in an order that a world
// rarely produces.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "mesh/node/node.h"

namespace peermesh::node {
namespace {

using namespace std::chrono_literals;
using membership::State;

PeerId Peer(std::uint8_t number) {
  PeerId id;
  id.bytes[0] = number;
  return id;
}

BatchRef BatchOf(const std::string& subject, std::size_t count, std::size_t bytes = 100) {
  auto batch = std::make_shared<Batch>();
  const auto length = static_cast<std::uint32_t>(subject.size());
  std::string buffer = subject;
  buffer.resize(std::max(bytes, buffer.size()), '.');
  batch->rows.assign(count, {0, length, 0, static_cast<std::uint32_t>(buffer.size())});
  batch->bytes = count * buffer.size();
  batch->buffer = std::make_shared<const std::string>(std::move(buffer));
  return batch;
}

// Answers control frames and deliveries at once, as a driver with nothing else to do; data only
// when told.
class ByHandTest : public testing::Test {
 protected:
  explicit ByHandTest(Limits limits = {}) {
    Config config;
    config.self = Peer(50);
    config.name = "self";
    config.epoch = 1000;
    config.limits = limits;
    node = *Node::Create(std::move(config), Rng({1, 2, 3, 4}), now);
    Wake();
    Handle(SessionOpened{SessionId{1}, PrincipalId{1}});
  }

  void Handle(Input input) {
    Effects out;
    node->Handle(now, std::move(input), out);
    Collect(out);
  }
  void Wake() {
    Effects out;
    node->Wake(now, out);
    Collect(out);
  }
  // Lives on to `when`, with a heartbeat of every peer now and then if they are well.
  void LiveUntil(Instant when, const std::set<LinkId>& well) {
    while (now < when) {
      now = std::min({when, now + 1s, std::max(now, node->NextWake())});
      if (node->NextWake() <= now) Wake();
      for (const LinkId& link : well) Handle(ControlIn{link, Heartbeat{}});
    }
  }
  void Collect(Effects& out) {
    node->CheckInvariants();
    std::vector<Input> next;
    for (Effect& effect : out) std::visit([&](auto& wish) { Take(wish, next); }, effect);
    for (Input& input : next) Handle(std::move(input));
  }

  void Take(SendControl& wish, std::vector<Input>& next) {
    said[wish.link].push_back(wish.frame);
    next.push_back(SendDone{wish.link, Lane::kControl});
  }
  void Take(SendData& wish, std::vector<Input>&) { sent[wish.link].push_back(wish.frame); }
  void Take(ReadNext& wish, std::vector<Input>&) { EXPECT_TRUE(reading.insert(wish.link).second); }
  void Take(Close& wish, std::vector<Input>&) { closed.insert(wish.link); }
  void Take(Dial& wish, std::vector<Input>&) { dialled = wish.dial; }
  void Take(SignRecord& wish, std::vector<Input>&) { signs.push_back(wish.incarnation); }
  void Take(Deliver& wish, std::vector<Input>& next) {
    std::uint64_t bytes = 0;
    for (const flow::Delivery& delivery : wish.deliveries) bytes += delivery.bytes();
    largest_delivery = std::max(largest_delivery, bytes);
    for (const flow::Delivery& delivery : wish.deliveries) {
      for (const flow::Item& item : delivery.items) delivered.push_back(item.sequence);
    }
    next.push_back(DeliverDone{wish.session});
  }
  template <class Other>
  void Take(Other&, std::vector<Input>&) {}

  LinkId Up(PeerId peer, Direction direction = Direction::kInbound, std::uint64_t dial_count = 0) {
    LinkUp up;
    up.link = LinkId{next_link++};
    up.peer = peer;
    up.direction = direction;
    up.dial_count = dial_count;
    up.name = "peer";
    up.epoch = 1;
    if (direction == Direction::kOutbound) {
      up.dial = dialled;
    }
    Handle(up);
    return up.link;
  }
  // A link on which the peer has said what it wants, and the first marks are out.
  LinkId Ready(PeerId peer, std::vector<Interest> interest = {}) {
    const LinkId link = Up(peer);
    Handle(ControlIn{link, InterestSnapshot{1, true, true, std::move(interest)}});
    Handle(ControlIn{link, LinkReady{}});
    Written(link);
    return link;
  }
  void Written(LinkId link) { Handle(SendDone{link, Lane::kData}); }
  // One run of `count` messages from the peer of this link.
  void Data(LinkId link, std::uint64_t first, std::size_t count, bool end = false) {
    EXPECT_EQ(reading.erase(link), 1u) << "read without being asked";
    DataFrame frame;
    frame.end = end;
    if (count > 0) {
      flow::Run run;
      run.first = first;
      run.next = first + count;
      run.batch = BatchOf("a", count);
      for (std::uint32_t i = 0; i < count; ++i) run.items.push_back({i, first + i});
      frame.runs.push_back(std::move(run));
    }
    Handle(DataIn{link, std::move(frame)});
  }
  void SubscribeToAll() { Handle(Subscribe{RequestId{1}, SessionId{1}, {Subscription{1, ">"}}}); }
  PeerRecord Record(PeerId peer, std::uint64_t incarnation,
                    std::vector<std::string> addresses = {}) {
    PeerRecord record;
    record.id = peer;
    record.incarnation = incarnation;
    record.name = "record";
    record.addresses = std::move(addresses);
    return record;
  }
  membership::PeerView Row(PeerId peer) {
    for (const auto& row : node->Peers()) {
      if (row.id == peer) return row;
    }
    return {};
  }
  template <class Frame>
  std::vector<Frame> Said(LinkId link) {
    std::vector<Frame> frames;
    for (const ControlFrame& frame : said[link]) {
      if (const auto* match = std::get_if<Frame>(&frame)) frames.push_back(*match);
    }
    return frames;
  }

  Instant now{1h};
  std::unique_ptr<Node> node;
  std::uint64_t next_link = 1;
  DialId dialled;
  std::map<LinkId, std::vector<ControlFrame>> said;
  std::map<LinkId, std::vector<DataFrame>> sent;
  std::set<LinkId> reading, closed;
  std::vector<std::uint64_t> signs, delivered;
  std::uint64_t largest_delivery = 0;
  const PeerId smaller = Peer(10), larger = Peer(90), other = Peer(70);
};

TEST_F(ByHandTest, ALinkBeginsWithAWordOfEverything) {
  const LinkId link = Up(larger);
  EXPECT_EQ(Said<LinkReady>(link).size(), 1u);
  EXPECT_EQ(Said<Heartbeat>(link).size(), 1u);
  EXPECT_EQ(Said<InterestSnapshot>(link).size(), 1u);
  EXPECT_TRUE(sent[link].empty()) << "no account before the peer has said what it wants";
  EXPECT_TRUE(reading.contains(link));
  Handle(ControlIn{link, InterestSnapshot{1, true, true, {}}});
  ASSERT_EQ(sent[link].size(), 1u);
  EXPECT_EQ(sent[link][0].runs.size(), kChannels) << "then marks for every channel";
  EXPECT_EQ(Said<InterestAck>(link).size(), 1u);
}

TEST_F(ByHandTest, NumbersGivenOutBeforeInterestIsKnownAgainAreLostNotSkipped) {
  LinkId link = Ready(larger, {{"a", 0}});
  Handle(LinkDown{link});
  link = Up(larger);
  Handle(Publish{RequestId{1}, SessionId{1}, BatchOf("a", 3)});
  Handle(ControlIn{link, InterestSnapshot{1, true, true, {{"a", 0}}}});
  ASSERT_EQ(sent[link].size(), 1u);
  std::uint64_t lost = 0;
  for (const flow::Run& run : sent[link][0].runs) {
    EXPECT_EQ(run.first, 1u) << "where the account with this process began";
    lost += run.lost;
  }
  EXPECT_EQ(lost, 3u);
}

TEST_F(ByHandTest, ADeliveryEndsWithTheMessageThatFillsItAndIdsFillIt) {
  constexpr std::uint32_t kSubscriptions = 200, kMessageBytes = 1000;
  Subscribe subscribe{RequestId{1}, SessionId{1}, {}};
  for (std::uint32_t id = 1; id <= kSubscriptions; ++id)
    subscribe.subscriptions.push_back({id, ">"});
  Handle(subscribe);
  Handle(
      Publish{RequestId{2}, SessionId{1}, BatchOf("a", kMaxBatchMessages, kMessageBytes), {}, ""});
  EXPECT_EQ(delivered.size(), kMaxBatchMessages);
  EXPECT_TRUE(std::is_sorted(delivered.begin(), delivered.end()));
  EXPECT_GE(largest_delivery, kFlushBytes);
  EXPECT_LE(largest_delivery,
            kFlushBytes + kMessageBytes + 2 * kRowOverheadBytes + 4 * (kSubscriptions + 1));
}

TEST_F(ByHandTest, DataIsNoProofOfLifeBecauseItMayHaveWaitedForItsGrant) {
  const LinkId link = Ready(larger);
  LiveUntil(now + kSuspectAfter, {});
  EXPECT_EQ(Row(larger).state, State::kSuspect);
  Data(link, 1, 1);
  EXPECT_EQ(Row(larger).state, State::kSuspect);
  Handle(ControlIn{link, Heartbeat{}});
  EXPECT_EQ(Row(larger).state, State::kAlive);
}

TEST_F(ByHandTest, TheShownDirectionIsThatOfTheLinkThatStays) {
  Handle(ControlIn{Ready(other), PeerRecords{{Record(larger, 1, {"larger:1"})}}});
  Wake();
  ASSERT_TRUE(dialled);
  // Ours is the smaller id, so the link we dialled stays, whichever came first.
  const LinkId out_link = Up(larger, Direction::kOutbound);
  EXPECT_EQ(Row(larger).direction, 2);
  Up(larger, Direction::kInbound);
  EXPECT_EQ(Row(larger).direction, 2) << "the inbound one goes";
  Handle(LinkDown{out_link});
  EXPECT_NE(Row(larger).connection, membership::Connection::kConnected)
      << "nothing more comes on the other one: its end was sent";
}

TEST_F(ByHandTest, WhenTheNewLinkFailsTheOldOneIsShownAndUsedAgain) {
  Handle(ControlIn{Ready(other), PeerRecords{{Record(larger, 1, {"larger:1"})}}});
  Wake();
  const LinkId old = Ready(larger, {{"a", 0}});
  const LinkId fresh = Up(larger, Direction::kOutbound);  // stays, but is not confirmed yet
  EXPECT_EQ(Row(larger).direction, 2);
  Handle(Publish{RequestId{1}, SessionId{1}, BatchOf("a", 1)});
  EXPECT_EQ(sent[old].size(), 2u) << "data stays on the old link";
  Handle(LinkDown{fresh});
  EXPECT_EQ(Row(larger).direction, 1);
  EXPECT_EQ(Row(larger).state, State::kAlive);
  Written(old);
  Handle(Publish{RequestId{2}, SessionId{1}, BatchOf("a", 1)});
  EXPECT_EQ(sent[old].size(), 3u);
}

TEST_F(ByHandTest, WhenTheLinkInUseFailsTheOtherBeginsWithMarks) {
  const LinkId old = Ready(larger, {{"a", 0}});
  const LinkId fresh = Up(larger, Direction::kInbound, 1);
  Handle(Publish{RequestId{1}, SessionId{1}, BatchOf("a", 2)});
  EXPECT_EQ(sent[old].size(), 2u);
  Handle(LinkDown{old});
  ASSERT_EQ(sent[fresh].size(), 1u) << "at once: those two may be lost";
  const auto& runs = sent[fresh][0].runs;
  EXPECT_TRUE(
      std::any_of(runs.begin(), runs.end(), [](const flow::Run& run) { return run.lost == 2; }));
}

TEST_F(ByHandTest, TheNewLinkIsReadWhenTheOldOneHasEnded) {
  SubscribeToAll();
  const LinkId old = Ready(larger);
  const LinkId fresh = Up(larger, Direction::kInbound, 1);
  EXPECT_FALSE(reading.contains(fresh));
  Data(old, 1, 2);
  Data(old, 3, 1, true);
  EXPECT_TRUE(reading.contains(fresh));
  EXPECT_FALSE(reading.contains(old));
  Data(fresh, 4, 1);
  EXPECT_EQ(delivered, (std::vector<std::uint64_t>{1, 2, 3, 4}));
}

TEST_F(ByHandTest, DataThatComesTooEarlyWaitsForTheEndOfTheOtherLink) {
  SubscribeToAll();
  Handle(ControlIn{Ready(other), PeerRecords{{Record(larger, 1, {"larger:1"})}}});
  Wake();
  const LinkId stays = Up(larger, Direction::kOutbound);  // being read already
  const LinkId goes = Up(larger, Direction::kInbound);    // which the other side used first
  Data(stays, 3, 1);
  EXPECT_TRUE(delivered.empty());
  Data(goes, 1, 2);
  Data(goes, 3, 0, true);
  EXPECT_EQ(delivered, (std::vector<std::uint64_t>{1, 2, 3}));
  EXPECT_EQ(node->stats().lost_messages, decltype(Stats::lost_messages){});
}

TEST_F(ByHandTest, TheOldLinkIsClosedOnlyWhenBothHaveReadItToItsEnd) {
  const LinkId old = Ready(larger, {{"a", 0}});
  const LinkId fresh = Up(larger, Direction::kInbound, 1);
  Handle(ControlIn{fresh, LinkReady{}});
  ASSERT_TRUE(sent[old].back().end);
  Written(old);
  EXPECT_TRUE(Said<Goodbye>(old).empty());
  Handle(ControlIn{old, Goodbye{GoodbyeReason::kReplaced}});
  EXPECT_FALSE(closed.contains(old)) << "it has read ours; its own end is still to be read";
  Data(old, 1, 1, true);
  ASSERT_EQ(Said<Goodbye>(old).size(), 1u);
  EXPECT_EQ(Said<Goodbye>(old)[0].reason, GoodbyeReason::kReplaced);
  EXPECT_TRUE(closed.contains(old));
  EXPECT_EQ(node->stats().links_replaced, 1u);
}

TEST_F(ByHandTest, OfTwoLinksOfOneDiallerTheLaterDialStaysWhateverTheOrder) {
  const LinkId later = Up(larger, Direction::kInbound, 8);
  const LinkId earlier = Up(larger, Direction::kInbound, 7);
  Handle(ControlIn{later, InterestSnapshot{1, true, true, {}}});
  ASSERT_EQ(sent[later].size(), 1u);
  EXPECT_FALSE(sent[later][0].end) << "the first marks";
  ASSERT_EQ(sent[earlier].size(), 1u);
  EXPECT_TRUE(sent[earlier][0].end);
}

TEST_F(ByHandTest, AThirdLinkIsRefused) {
  Ready(larger);
  Up(larger, Direction::kInbound, 1);
  const LinkId third = Up(larger, Direction::kInbound, 2);
  EXPECT_TRUE(closed.contains(third));
  EXPECT_EQ(Said<Goodbye>(third).at(0).reason, GoodbyeReason::kDuplicate);
  EXPECT_EQ(node->TakeCensus().links, 2u);
}

TEST_F(ByHandTest, AHeartbeatIsComparedOnlyWithWhatItsOwnLinkHasTold) {
  const LinkId old = Ready(larger);
  const LinkId fresh = Up(larger, Direction::kInbound, 1);
  Handle(ControlIn{fresh, Heartbeat{1, 0, {}, 2, 77}});
  EXPECT_EQ(node->stats().interest_resyncs, 0u)
      << "the change it speaks of is under way on the other link";
  Handle(ControlIn{old, Heartbeat{1, 0, {}, 2, 77}});
  EXPECT_EQ(node->stats().interest_resyncs, 1u);
  EXPECT_EQ(Said<InterestRequest>(old).size(), 1u);
  Handle(ControlIn{old, Heartbeat{2, 0, {}, 2, 77}});
  EXPECT_EQ(node->stats().interest_resyncs, 1u) << "asked once";
}

TEST_F(ByHandTest, PartsOfTwoSnapshotsOnTwoLinksDoNotMix) {
  const LinkId old = Ready(larger);
  const LinkId fresh = Up(larger, Direction::kInbound, 1);
  Handle(ControlIn{old, InterestSnapshot{5, true, false, {{"p1", 0}}}});
  Handle(ControlIn{fresh, InterestSnapshot{5, true, false, {{"p1", 0}}}});
  Handle(ControlIn{old, InterestSnapshot{5, false, true, {{"p2", 0}}}});
  EXPECT_EQ(node->TakeCensus().patterns, 2u);
  Handle(ControlIn{fresh, InterestSnapshot{5, false, true, {{"p2", 0}}}});
  EXPECT_EQ(node->TakeCensus().patterns, 2u);
}

TEST_F(ByHandTest, ADeltaThatLeavesOneOutAsksForEverything) {
  const LinkId link = Ready(larger);
  Handle(ControlIn{link, InterestDelta{2, {{"a", 0}}, {}}});
  EXPECT_EQ(Said<InterestAck>(link).back().generation, 2u);
  Handle(ControlIn{link, InterestDelta{4, {{"c", 0}}, {}}});
  EXPECT_EQ(Said<InterestRequest>(link).size(), 1u);
  EXPECT_EQ(Said<InterestAck>(link).back().generation, 2u);
  Handle(ControlIn{link, InterestSnapshot{4, true, true, {{"b", 0}, {"c", 0}}}});
  EXPECT_EQ(node->TakeCensus().patterns, 2u);
  EXPECT_EQ(Said<InterestAck>(link).back().generation, 4u);
}

TEST_F(ByHandTest, AFullSetOfWildcardsMayBeReplacedByAnother) {
  std::vector<Interest> first, second;
  for (std::size_t i = 0; i < kMaxLeadingWildcards; ++i) {
    first.push_back({"*.f" + std::to_string(i), 0});
    second.push_back({"*.s" + std::to_string(i), 0});
  }
  const LinkId link = Ready(larger, first);
  Handle(ControlIn{link, InterestSnapshot{2, true, true, second}});
  EXPECT_EQ(node->stats().peer_misbehaved, 0u);
  second.push_back({">", 0});
  Handle(ControlIn{link, InterestSnapshot{3, true, true, second}});
  EXPECT_EQ(node->stats().peer_misbehaved, 1u) << "more than anybody may have";
  EXPECT_TRUE(closed.contains(link));
}

TEST_F(ByHandTest, APeerThatSaysNonsenseIsTurnedAway) {
  const LinkId link = Ready(larger);
  Handle(ControlIn{link, InterestDelta{2, {{"a..b", 0}}, {}}});
  EXPECT_TRUE(closed.contains(link));
  EXPECT_EQ(Said<Goodbye>(link).at(0).reason, GoodbyeReason::kMisbehaved);
  EXPECT_EQ(node->stats().peer_misbehaved, 1u);
  EXPECT_EQ(node->TakeCensus().links, 0u);
}

TEST_F(ByHandTest, ANewProcessVouchesForNobodyTheOldOneKnew) {
  const LinkId here = Ready(other);
  Handle(ControlIn{here, PeerRecords{{Record(larger, 1)}}});
  Handle(ControlIn{here, PeerStates{{{larger, 1, true, false}}}});
  LiveUntil(now + 2s, {here});
  EXPECT_EQ(Row(larger).state, State::kUnreachable);
  LinkUp up;
  up.link = LinkId{next_link++};
  up.peer = other;
  up.name = "peer";
  up.epoch = 2;
  Handle(up);
  EXPECT_TRUE(closed.contains(here));
  EXPECT_EQ(Row(larger).state, State::kDead);
}

TEST_F(ByHandTest, WhatIsBelievedOfAPeerIsSaidAgainWithItsRecord) {
  const LinkId listener = Ready(other);
  const LinkId link = Ready(larger);
  EXPECT_EQ(Said<PeerStates>(listener).back().beliefs.at(0).incarnation, 0u)
      << "its record has not come yet";
  Handle(ControlIn{link, PeerRecords{{Record(larger, 5)}}});
  const PeerBelief belief = Said<PeerStates>(listener).back().beliefs.at(0);
  EXPECT_EQ(belief.id, larger);
  EXPECT_EQ(belief.incarnation, 5u);
  EXPECT_TRUE(belief.linked);
}

TEST_F(ByHandTest, ARecordOfAnEarlierProcessOfOursIsOutdone) {
  const LinkId link = Ready(larger);
  ASSERT_EQ(signs, (std::vector<std::uint64_t>{1000}));
  PeerRecord ours = Record(Peer(50), 1000);
  ours.epoch = 1000;
  Handle(ControlIn{link, PeerRecords{{ours}}});
  EXPECT_GT(node->NextWake(), now) << "that is the one we made";
  ours.epoch = 999;
  Handle(ControlIn{link, PeerRecords{{ours}}});
  Wake();
  EXPECT_EQ(signs.back(), 1001u) << "as new as ours, but not ours";
  ours.incarnation = 2000;
  Handle(ControlIn{link, PeerRecords{{ours}}});
  Wake();
  EXPECT_EQ(signs.back(), 2001u);
}

TEST_F(ByHandTest, ALinkThatDoesNotTakeControlFramesIsGivenUp) {
  const LinkId link = Ready(larger);
  // Like Handle, but nothing is ever written.
  Effects out;
  for (std::uint8_t i = 0; i < 250 && node->TakeCensus().links > 0; ++i) {
    for (std::uint64_t incarnation = 1; incarnation <= 10; ++incarnation) {
      PeerRecord own = Record(Peer(50), 0);
      own.incarnation = 2000 + i * 10 + incarnation;
      node->Handle(now, RecordSigned{own}, out);
      node->CheckInvariants();
    }
    if (node->NextWake() <= now) node->Wake(now, out);
  }
  EXPECT_EQ(node->TakeCensus().links, 0u);
  EXPECT_TRUE(std::any_of(out.begin(), out.end(), [&](const Effect& effect) {
    const auto* close = std::get_if<Close>(&effect);
    return close != nullptr && close->link == link;
  }));
  EXPECT_EQ(Row(larger).connection_reason, membership::StateReason::kStalled);
}

TEST_F(ByHandTest, ManyChangesAreConfirmedByFewFrames) {
  const LinkId link = Ready(larger);
  Effects out;
  for (std::uint64_t generation = 2; generation < 3000; ++generation) {
    const InterestDelta delta{generation, {{"p" + std::to_string(generation), 0}}, {}};
    node->Handle(now, ControlIn{link, delta}, out);  // none of ours is written meanwhile
  }
  EXPECT_GT(node->NextWake(), now) << "the link is not overrun";
  Collect(out);
  EXPECT_EQ(Said<InterestAck>(link).back().generation, 2999u);
}

TEST_F(ByHandTest, ALatePauseIsForgivenOnlyOnce) {
  const LinkId link = Ready(larger);
  now += 1min;
  Wake();
  EXPECT_FALSE(closed.contains(link)) << "it was us who slept";
  LiveUntil(now + kDeadAfter, {});
  EXPECT_TRUE(closed.contains(link)) << "now it is the peer";
}

// The facts alone decide: a journal's replay never asks when to wake, and must come to the same.
TEST(DigestTest, AskingWhenToWakeChangesNothing) {
  struct Life : ByHandTest {
    explicit Life(bool asked) {
      const LinkId link = Ready(larger);
      for (int tenth = 1; tenth <= 30; ++tenth) {
        now += 100ms;
        Wake();
        if (asked) node->NextWake();
        if (tenth % 7 == 0) Handle(ControlIn{link, Heartbeat{}});
      }
    }
    std::uint64_t Digest() const { return node->Digest(); }
    void TestBody() override {}
  };
  EXPECT_EQ(Life(true).Digest(), Life(false).Digest());
}

class RateTest : public ByHandTest {
 protected:
  RateTest() : ByHandTest(Tight()) {}
  static Limits Tight() {
    Limits limits;
    limits.peer_messages = limits::Rate::PerSecond(100, 10);
    return limits;
  }
};

TEST_F(RateTest, AFrameLargerThanTheBurstIsPaidForInFull) {
  const LinkId link = Ready(larger);
  const Instant start = now;
  Data(link, 1, 60);
  EXPECT_FALSE(reading.contains(link));
  while (!reading.contains(link)) {
    ASSERT_NE(node->NextWake(), kNever);
    now = std::max(now, node->NextWake());
    Handle(ControlIn{link, Heartbeat{}});
    Wake();
  }
  EXPECT_EQ(now - start, 500ms) << "10 at once, the other 50 at 100 a second";
}

}  // namespace
}  // namespace peermesh::node
