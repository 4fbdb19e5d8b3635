// Frames of large meshes: tables, statements, the overlay and broadcasts.
#include "server/wire/frames.h"

#include <google/protobuf/stubs/logging.h>

#include "server/wire/control.h"
#include "server/wire/data.h"
#include "server/wire/statement.h"
#include "tests/server/wire/wire_testing.h"

namespace peermesh::wire {
namespace {

namespace pb = link::v1;

std::string BytesOf(const pb::ControlFrame& frame) {
  pb::ControlRequest request;
  *request.mutable_frame() = frame;
  return request.SerializeAsString();
}

Rule RuleOf(const pb::ControlFrame& frame) {
  const auto decoded = DecodeControl(BytesOf(frame));
  return decoded.ok() ? Rule::kNone : decoded.error().rule;
}

// Through bytes and back; twice, because what was read must come out as it came in.
node::ControlFrame Pass(const node::ControlFrame& frame) {
  const std::string bytes = EncodeControl(frame);
  EXPECT_LE(bytes.size(), kMaxControlFrameBytes);
  const auto decoded = DecodeControl(bytes);
  EXPECT_TRUE(decoded.ok());
  const auto* again = std::get_if<node::ControlFrame>(&*decoded);
  EXPECT_NE(again, nullptr);
  EXPECT_EQ(again->index(), frame.index());
  EXPECT_EQ(EncodeControl(*again), bytes);
  return *again;
}

template <class Kind>
Kind RoundTrip(const Kind& kind) {
  return std::get<Kind>(Pass(kind));
}

template <class Kind>
Kind ByOverlay(const Kind& kind) {
  return std::get<Kind>(std::get<overlay::Message>(Pass(overlay::Message(kind))));
}

template <class Kind>
Kind ByBroadcast(const Kind& kind) {
  return std::get<Kind>(std::get<broadcast::Message>(Pass(broadcast::Message(kind))));
}

broadcast::Range RangeOf(std::uint8_t origin, std::uint64_t epoch, std::uint32_t channel,
                         std::uint64_t first, std::uint64_t next, std::uint32_t hops = 0) {
  return {{MakePeer(origin), epoch, channel}, first, next, hops};
}

// --- Tables --------------------------------------------------------------------------------------

TEST(TableFramesTest, HashesComeBackAllOrNone) {
  node::TableHashes sent;
  for (std::size_t part = 0; part < node::kTableParts; ++part) sent.hashes.push_back(part << 50);
  EXPECT_EQ(RoundTrip(sent).hashes, sent.hashes);
  pb::ControlFrame frame;
  frame.mutable_table_hashes();
  EXPECT_EQ(RuleOf(frame), Rule::kValue);
  for (std::size_t part = 0; part <= node::kTableParts; ++part) {
    frame.mutable_table_hashes()->add_hashes(part);
  }
  EXPECT_EQ(RuleOf(frame), Rule::kValue) << "one too many";
}

TEST(TableFramesTest, RowsComeBack) {
  node::TableRows sent;
  for (int part = 0; part < 256; ++part) sent.parts.push_back(static_cast<std::uint8_t>(part));
  for (std::size_t i = 0; i < kMaxTableRowsPerFrame; ++i) {
    sent.rows.push_back({MakePeer(static_cast<std::uint8_t>(i)), ~std::uint64_t{0}});
  }
  const node::TableRows got = RoundTrip(sent);
  EXPECT_EQ(got.parts, sent.parts);
  ASSERT_EQ(got.rows.size(), kMaxTableRowsPerFrame);
  EXPECT_EQ(got.rows[5].id, MakePeer(5));
  EXPECT_EQ(got.rows[5].version, ~std::uint64_t{0});
}

TEST(TableFramesTest, RowsOutOfRangeAreRefused) {
  pb::ControlFrame frame;
  frame.mutable_table_rows()->set_parts(std::string(257, 'p'));
  EXPECT_EQ(RuleOf(frame), Rule::kValue);
  frame.mutable_table_rows()->clear_parts();
  frame.mutable_table_rows()->add_rows()->set_peer_id("short");
  EXPECT_EQ(RuleOf(frame), Rule::kPeerId);
  frame.mutable_table_rows()->mutable_rows(0)->set_peer_id(MakePeer(1).ToBytes());
  EXPECT_EQ(RuleOf(frame), Rule::kNone);
  for (std::size_t i = 0; i < kMaxTableRowsPerFrame; ++i) {
    *frame.mutable_table_rows()->add_rows() = frame.table_rows().rows(0);
  }
  EXPECT_EQ(RuleOf(frame), Rule::kValue);
}

TEST(TableFramesTest, RecordsWantedComeBack) {
  const node::RecordsWanted sent{{MakePeer(3), MakePeer(1)}};
  EXPECT_EQ(RoundTrip(sent).ids, sent.ids);
  pb::ControlFrame frame;
  frame.mutable_records_wanted()->add_peer_ids("short");
  EXPECT_EQ(RuleOf(frame), Rule::kPeerId);
  frame.mutable_records_wanted()->clear_peer_ids();
  for (std::size_t i = 0; i <= kMaxTableRowsPerFrame; ++i) {
    frame.mutable_records_wanted()->add_peer_ids(MakePeer(1).ToBytes());
  }
  EXPECT_EQ(RuleOf(frame), Rule::kValue);
}

// --- Statements ----------------------------------------------------------------------------------

membership::Statement MakeStatement() {
  membership::Statement statement;
  statement.observer = MakePeer(1);
  statement.subject = MakePeer(2);
  statement.incarnation = 1'700'000'000'000;
  statement.number = 1'700'000'000'003;
  statement.claim = membership::Claim::kBack;
  statement.reason = membership::StateReason::kHeartbeatTimeout;
  return statement;
}

TEST(StatementTest, AStatementComesBack) {
  const membership::Statement sent = MakeStatement();
  const std::string body = EncodeStatementBody(sent);
  const std::string encoded = EncodeSignedStatement(body, "signature");
  const auto got = DecodeStatement(encoded);
  ASSERT_TRUE(got);
  EXPECT_EQ(got->body, body);
  EXPECT_EQ(got->signature, "signature");
  EXPECT_EQ(got->statement.observer, sent.observer);
  EXPECT_EQ(got->statement.subject, sent.subject);
  EXPECT_EQ(got->statement.incarnation, sent.incarnation);
  EXPECT_EQ(got->statement.number, sent.number);
  EXPECT_EQ(got->statement.claim, sent.claim);
  EXPECT_EQ(got->statement.reason, sent.reason);
  EXPECT_EQ(got->statement.encoded, encoded);
}

TEST(StatementTest, EveryClaimAndReasonHasItsNumber) {
  membership::Statement sent = MakeStatement();
  for (int claim = 1; claim <= 3; ++claim) {
    for (int reason = 0; reason <= static_cast<int>(membership::StateReason::kProtocolError);
         ++reason) {
      sent.claim = static_cast<membership::Claim>(claim);
      sent.reason = static_cast<membership::StateReason>(reason);
      const auto got = DecodeStatement(EncodeSignedStatement(EncodeStatementBody(sent), "s"));
      ASSERT_TRUE(got);
      EXPECT_EQ(got->statement.claim, sent.claim);
      EXPECT_EQ(got->statement.reason, sent.reason);
    }
  }
}

TEST(StatementTest, AReasonOfALaterVersionIsNone) {
  pb::Statement body;
  ASSERT_TRUE(body.ParseFromString(EncodeStatementBody(MakeStatement())));
  body.set_reason(static_cast<pb::StatementReason>(99));
  const auto got = DecodeStatement(EncodeSignedStatement(body.SerializeAsString(), "s"));
  ASSERT_TRUE(got);
  EXPECT_EQ(got->statement.reason, membership::StateReason::kNone);
  EXPECT_EQ(got->body, body.SerializeAsString()) << "passed on, and verified, as it came";
}

TEST(StatementTest, WhatIsNoneIsRefused) {
  const std::string good = EncodeStatementBody(MakeStatement());
  EXPECT_FALSE(DecodeStatement(""));
  EXPECT_FALSE(DecodeStatement("\xff"));
  EXPECT_FALSE(DecodeStatement(EncodeSignedStatement(good, "")));
  EXPECT_FALSE(DecodeStatement(EncodeSignedStatement(good, std::string(200, 's'))));
  EXPECT_FALSE(DecodeStatement(EncodeSignedStatement("\xff", "s")));
  EXPECT_FALSE(
      DecodeStatement(EncodeSignedStatement(good + Bytes(99, std::string(300, 'x')), "s")));
  pb::Statement body;
  ASSERT_TRUE(body.ParseFromString(good));
  body.set_claim(static_cast<pb::Claim>(4));
  EXPECT_FALSE(DecodeStatement(EncodeSignedStatement(body.SerializeAsString(), "s")));
  body.set_claim(pb::CLAIM_UNSPECIFIED);
  EXPECT_FALSE(DecodeStatement(EncodeSignedStatement(body.SerializeAsString(), "s")));
  body.set_claim(pb::CLAIM_GONE);
  EXPECT_TRUE(DecodeStatement(EncodeSignedStatement(body.SerializeAsString(), "s")));
  body.set_observer("short");
  EXPECT_FALSE(DecodeStatement(EncodeSignedStatement(body.SerializeAsString(), "s")));
}

TEST(StatementTest, StatementsTravelAsTheyCame) {
  membership::Statement statement = MakeStatement();
  // With a field of a later version: who signed it, signed that too.
  statement.encoded =
      EncodeSignedStatement(EncodeStatementBody(statement) + Number(99, 7), "signature");
  const auto shared = std::make_shared<const membership::Statement>(statement);
  const auto decoded = DecodeControl(EncodeControl(node::Statements{{shared, shared}}));
  ASSERT_TRUE(decoded.ok());
  EXPECT_THAT(std::get<EncodedStatements>(*decoded).statements,
              ::testing::ElementsAre(statement.encoded, statement.encoded));
  EXPECT_FALSE(std::get<EncodedStatements>(*decoded).past);
  statement.past = true;
  const auto past = DecodeControl(
      EncodeControl(node::Statements{{std::make_shared<const membership::Statement>(statement)}}));
  EXPECT_TRUE(std::get<EncodedStatements>(*past).past);
  pb::ControlFrame frame;
  for (std::size_t i = 0; i <= kMaxStatementsPerFrame; ++i) {
    frame.mutable_statements()->add_statements();
  }
  EXPECT_EQ(RuleOf(frame), Rule::kValue);
}

// --- Overlay -------------------------------------------------------------------------------------

TEST(OverlayFramesTest, EveryMessageComesBack) {
  const std::vector<PeerId> peers = {MakePeer(9), MakePeer(1), MakePeer(5)};
  ByOverlay(overlay::Join{});
  const auto join = ByOverlay(overlay::ForwardJoin{MakePeer(4), 6});
  EXPECT_EQ(join.joiner, MakePeer(4));
  EXPECT_EQ(join.ttl, 6);
  for (const auto urgency :
       {overlay::Urgency::kLow, overlay::Urgency::kHigh, overlay::Urgency::kSwap}) {
    const auto question = ByOverlay(overlay::Neighbor{urgency, peers});
    EXPECT_EQ(question.urgency, urgency);
    EXPECT_EQ(question.neighbors, peers);
  }
  for (const bool accepted : {true, false}) {
    const auto reply = ByOverlay(overlay::NeighborReply{accepted, peers});
    EXPECT_EQ(reply.accepted, accepted);
    EXPECT_EQ(reply.candidates, peers);
  }
  EXPECT_EQ(ByOverlay(overlay::Disconnect{peers}).candidates, peers);
  EXPECT_TRUE(ByOverlay(overlay::Disconnect{}).candidates.empty());
  const auto shuffle = ByOverlay(overlay::Shuffle{~std::uint64_t{0}, 3, peers});
  EXPECT_EQ(shuffle.walk, ~std::uint64_t{0});
  EXPECT_EQ(shuffle.ttl, 3);
  EXPECT_EQ(shuffle.sample, peers);
  const auto reply = ByOverlay(overlay::ShuffleReply{7, peers});
  EXPECT_EQ(reply.walk, 7u);
  EXPECT_EQ(reply.sample, peers);
}

TEST(OverlayFramesTest, WalksAreCutToTheLongest) {
  pb::ControlRequest request;
  request.mutable_frame()->mutable_shuffle()->set_ttl(~std::uint32_t{0});
  const auto decoded = DecodeControl(request.SerializeAsString());
  ASSERT_TRUE(decoded.ok());
  const auto& message = std::get<overlay::Message>(std::get<node::ControlFrame>(*decoded));
  EXPECT_EQ(std::get<overlay::Shuffle>(message).ttl, overlay::kMostHops);
}

TEST(OverlayFramesTest, AnUrgencyOfALaterVersionIsLow) {
  pb::ControlRequest request;
  request.mutable_frame()->mutable_neighbor()->set_urgency(static_cast<pb::Urgency>(9));
  const auto decoded = DecodeControl(request.SerializeAsString());
  ASSERT_TRUE(decoded.ok());
  const auto& message = std::get<overlay::Message>(std::get<node::ControlFrame>(*decoded));
  EXPECT_EQ(std::get<overlay::Neighbor>(message).urgency, overlay::Urgency::kLow);
}

TEST(OverlayFramesTest, ListsAreShortAndOfPeers) {
  const auto check = [](auto add) {
    pb::ControlFrame frame;
    for (std::size_t i = 0; i < overlay::kMostCandidates; ++i) add(frame, MakePeer(1).ToBytes());
    EXPECT_EQ(RuleOf(frame), Rule::kNone);
    add(frame, MakePeer(1).ToBytes());
    EXPECT_EQ(RuleOf(frame), Rule::kValue);
    frame.Clear();
    add(frame, "short");
    EXPECT_EQ(RuleOf(frame), Rule::kPeerId);
  };
  using Frame = pb::ControlFrame;
  check([](Frame& f, const std::string& id) { f.mutable_neighbor()->add_neighbors(id); });
  check([](Frame& f, const std::string& id) { f.mutable_neighbor_reply()->add_candidates(id); });
  check([](Frame& f, const std::string& id) { f.mutable_disconnect()->add_candidates(id); });
  check([](Frame& f, const std::string& id) { f.mutable_shuffle()->add_sample(id); });
  check([](Frame& f, const std::string& id) { f.mutable_shuffle_reply()->add_sample(id); });
  pb::ControlFrame frame;
  frame.mutable_forward_join();
  EXPECT_EQ(RuleOf(frame), Rule::kPeerId) << "nobody joins";
}

// --- Broadcasts ----------------------------------------------------------------------------------

TEST(BroadcastFramesTest, EveryMessageComesBack) {
  const std::vector<broadcast::Range> ranges = {
      RangeOf(1, 5, 0, 1, 2, 3), RangeOf(1, 5, 63, 7, 7),
      RangeOf(1, 6, 63, 7, 9),   RangeOf(2, 6, 63, 7, 9, 1),
      RangeOf(2, 6, 0, 9, 100),  RangeOf(1, 5, 0, kMaxSequence, kMaxSequence, kMaxHops)};
  const auto have = ByBroadcast(broadcast::IHave{ranges, std::chrono::milliseconds(700)});
  EXPECT_EQ(have.ranges, ranges);
  EXPECT_EQ(have.waited, std::chrono::milliseconds(700));
  EXPECT_EQ(ByBroadcast(broadcast::Graft{ranges}).ranges, ranges);
  EXPECT_EQ(ByBroadcast(broadcast::Prune{0x8000'0000'0000'0001}).channels, 0x8000'0000'0000'0001);
  for (const bool last : {true, false}) {
    const auto positions = ByBroadcast(broadcast::Positions{ranges, last});
    EXPECT_EQ(positions.ranges, ranges);
    EXPECT_EQ(positions.last, last);
  }
  EXPECT_TRUE(ByBroadcast(broadcast::Positions{}).ranges.empty());
}

TEST(BroadcastFramesTest, AHeartbeatTakesAnnouncementsAlong) {
  node::Heartbeat sent;
  sent.number = 7;
  const std::size_t alone = EncodeControl(sent).size();
  sent.have = {{RangeOf(1, 1'700'000'000'000, 5, 1000, 1001, 3)}, std::chrono::milliseconds(700)};
  EXPECT_LE(EncodeControl(sent).size(), alone + 65);
  const auto decoded = DecodeControl(EncodeControl(sent));
  ASSERT_TRUE(decoded.ok());
  const auto& came = std::get<node::Heartbeat>(std::get<node::ControlFrame>(*decoded));
  EXPECT_EQ(came.number, 7u);
  EXPECT_EQ(came.have.ranges, sent.have.ranges);
  EXPECT_EQ(came.have.waited, sent.have.waited);
}

TEST(BroadcastFramesTest, NobodyHasWaitedLongerThanTheMost) {
  pb::ControlRequest request;
  request.mutable_frame()->mutable_i_have()->set_waited_us(~std::uint64_t{0});
  const auto decoded = DecodeControl(request.SerializeAsString());
  ASSERT_TRUE(decoded.ok());
  const auto& message = std::get<broadcast::Message>(std::get<node::ControlFrame>(*decoded));
  EXPECT_EQ(std::get<broadcast::IHave>(message).waited, broadcast::kMaxWaited);
}

TEST(BroadcastFramesTest, AHeartbeatWithRangesThatDoNotAddUpIsRefused) {
  pb::ControlFrame frame;
  frame.mutable_heartbeat()->mutable_have()->add_ranges();
  EXPECT_EQ(RuleOf(frame), Rule::kPeerId) << "the first one has no origin";
}

TEST(BroadcastFramesTest, TheMostRangesFit) {
  broadcast::IHave have;
  for (std::size_t i = 0; i < kMaxRangesPerFrame; ++i) {
    have.ranges.push_back(RangeOf(static_cast<std::uint8_t>(i), ~std::uint64_t{0}, 63,
                                  kMaxSequence / 2, kMaxSequence, kMaxHops));
  }
  EXPECT_EQ(ByBroadcast(have).ranges, have.ranges);
}

TEST(BroadcastFramesTest, RangesOfOneOriginAreShort) {
  broadcast::IHave have;
  for (std::uint32_t channel = 0; channel < kChannels; ++channel) {
    have.ranges.push_back(RangeOf(1, 1'700'000'000'000, channel, 1000, 1010, 3));
  }
  EXPECT_LE(EncodeControl(broadcast::Message(have)).size(), 64 * 12u + 60);
}

TEST(BroadcastFramesTest, RangesThatDoNotAddUpAreRefused) {
  pb::ControlFrame frame;
  pb::Range& range = *frame.mutable_graft()->add_ranges();
  EXPECT_EQ(RuleOf(frame), Rule::kPeerId) << "the first one has no origin";
  range.set_origin(MakePeer(1).ToBytes());
  range.set_first(1);
  EXPECT_EQ(RuleOf(frame), Rule::kValue) << "no epoch";
  range.set_epoch(5);
  EXPECT_EQ(RuleOf(frame), Rule::kNone);
  range.set_channel(kChannels);
  EXPECT_EQ(RuleOf(frame), Rule::kChannel);
  range.set_channel(0);
  range.set_first(0);
  EXPECT_EQ(RuleOf(frame), Rule::kSequence);
  range.set_first(2);
  range.set_count(kMaxSequence - 1);
  EXPECT_EQ(RuleOf(frame), Rule::kSequence) << "nobody counts that far";
  range.set_count(~std::uint64_t{0});
  EXPECT_EQ(RuleOf(frame), Rule::kSequence);
  range.set_count(1);
  range.set_origin("short");
  EXPECT_EQ(RuleOf(frame), Rule::kPeerId);
  range.set_origin(MakePeer(1).ToBytes());
  pb::Range& next = *frame.mutable_graft()->add_ranges();
  next.set_first(1);
  EXPECT_EQ(RuleOf(frame), Rule::kNone) << "of the origin before";
  next.set_epoch(6);
  EXPECT_EQ(RuleOf(frame), Rule::kPeerId) << "an epoch of nobody";
  frame.mutable_graft()->mutable_ranges()->RemoveLast();
  for (std::size_t i = 0; i < kMaxRangesPerFrame; ++i) *frame.mutable_graft()->add_ranges() = range;
  EXPECT_EQ(RuleOf(frame), Rule::kValue);
}

TEST(BroadcastFramesTest, HopsAreCutToTheMost) {
  pb::ControlRequest request;
  pb::Range& range = *request.mutable_frame()->mutable_i_have()->add_ranges();
  range.set_origin(MakePeer(1).ToBytes());
  range.set_epoch(1);
  range.set_first(1);
  range.set_hops(~std::uint32_t{0});
  const auto decoded = DecodeControl(request.SerializeAsString());
  ASSERT_TRUE(decoded.ok());
  const auto& message = std::get<broadcast::Message>(std::get<node::ControlFrame>(*decoded));
  EXPECT_EQ(std::get<broadcast::IHave>(message).ranges.front().hops, kMaxHops);
}

TEST(FramesTest, MutatedFramesDoNoHarm) {
  const std::vector<PeerId> peers = {MakePeer(9), MakePeer(1)};
  const std::vector<node::ControlFrame> good = {
      broadcast::Message(broadcast::IHave{{RangeOf(1, 5, 0, 1, 2, 3), RangeOf(1, 5, 63, 7, 9)}}),
      overlay::Message(overlay::Shuffle{42, 3, peers}),
      node::TableRows{{1, 2}, {{MakePeer(1), 5}, {MakePeer(2), 6}}}};
  const google::protobuf::LogSilencer silence;
  Rng rng = TestRng(5);
  int accepted = 0;
  for (int round = 0; round < 15'000; ++round) {
    const std::string bytes = Mutate(EncodeControl(good[rng.Below(good.size())]), rng);
    const auto decoded = DecodeControl(bytes);
    if (!decoded.ok()) continue;
    const auto* frame = std::get_if<node::ControlFrame>(&*decoded);
    if (frame == nullptr) continue;
    ++accepted;
    const std::string once = EncodeControl(*frame);
    const auto again = DecodeControl(once);
    ASSERT_TRUE(again.ok()) << "round " << round;
    ASSERT_EQ(EncodeControl(std::get<node::ControlFrame>(*again)), once) << "round " << round;
  }
  EXPECT_GT(accepted, 500) << "mutations that are all refused prove nothing";
}

}  // namespace
}  // namespace peermesh::wire
