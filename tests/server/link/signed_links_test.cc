// What crosses a link signed by others than its ends: believed of whoever signed it, or dropped.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "server/link/links.h"
#include "server/wire/data.h"
#include "server/wire/signed_record.h"
#include "server/wire/statement.h"
#include "tests/server/link/test_peer.h"

namespace peermesh::link {
namespace {

using namespace std::chrono_literals;
using node::DownReason;

std::uint64_t RefusedFor(const std::array<std::uint64_t, kSignedRefusalCount>& refused,
                         SignedRefusal why) {
  return refused[static_cast<std::size_t>(why)];
}

broadcast::Piece PieceOf(const TestPeer& origin, const std::string& payload,
                         std::uint64_t first = 1) {
  const node::DataFrame frame = FrameOf("news.a", {payload}, first);
  broadcast::Piece piece;
  piece.stream = {origin.id(), 7, frame.runs.front().channel};
  piece.after = piece.first = first;
  piece.batch = frame.runs.front().batch;
  piece.rows = {0};
  return piece;
}

node::PeerRecord RecordOf(TestPeer& peer) {
  node::PeerRecord record;
  record.id = peer.id();
  record.incarnation = 7;
  const auto& credentials = peer.credentials();
  const std::string body = wire::EncodeRecordBody(record);
  record.encoded = wire::EncodeSignedRecord(body, credentials.key().Sign(wire::kRecordDomain, body),
                                            credentials.certificate().der());
  return record;
}

// Alpha passes on to beta what gamma signed, who has a link to neither.
class SignedLinksTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto up = alpha_.Connect(beta_);
    ASSERT_TRUE(up);
    up_ = *up;
  }
  membership::StatementRef Say(TestPeer& observer, std::uint64_t number = 1) {
    membership::Statement statement;
    statement.observer = observer.id();
    statement.subject = PeerId{};
    statement.number = number;
    statement.reason = membership::StateReason::kLinkBroken;
    return observer.links().Sign(statement);
  }
  // As beta's node got them.
  std::vector<node::Relayed> Relay(const std::vector<node::Relayed>& pieces) {
    const std::size_t before = beta_.CountOf<node::DataIn>();
    beta_.links().Perform(node::ReadNext{up_.theirs.link});
    alpha_.links().Perform(node::SendData{up_.ours.link, {{}, pieces, false}});
    const auto in = beta_.WaitFor<node::DataIn>(before + 1);
    EXPECT_TRUE(in);
    EXPECT_TRUE(alpha_.WaitFor<node::SendDone>(++sent_));
    return in ? in->frame.relayed : std::vector<node::Relayed>{};
  }
  std::vector<membership::StatementRef> Pass(std::vector<membership::StatementRef> statements) {
    const std::size_t before = beta_.CountOf<node::ControlIn>();
    alpha_.links().Perform(
        node::SendControl{up_.ours.link, node::Statements{std::move(statements)}});
    const auto in = beta_.WaitFor<node::ControlIn>(before + 1);
    EXPECT_TRUE(in);
    EXPECT_TRUE(alpha_.WaitFor<node::SendDone>(++sent_));
    return in ? std::get<node::Statements>(in->frame).statements
              : std::vector<membership::StatementRef>{};
  }
  void TellRecord(TestPeer& of) {
    const std::size_t before = beta_.CountOf<node::ControlIn>();
    alpha_.links().Perform(node::SendControl{up_.ours.link, node::PeerRecords{{RecordOf(of)}}});
    ASSERT_TRUE(beta_.WaitFor<node::ControlIn>(before + 1));
    ASSERT_TRUE(alpha_.WaitFor<node::SendDone>(++sent_));
  }
  LinkStats stats() { return beta_.links().stats(); }

  TestMesh mesh_;
  TestPeer alpha_{mesh_, {.name = "alpha"}};
  TestPeer beta_{mesh_, {.name = "beta"}};
  TestPeer gamma_{mesh_, {.name = "gamma"}};
  TestPeer::Pair up_;
  std::size_t sent_ = 0;
};

TEST_F(SignedLinksTest, APieceIsBelievedOnceItsOriginIsKnown) {
  const node::Relayed piece{gamma_.links().Sign(PieceOf(gamma_, "hello")), 3};
  EXPECT_EQ(Relay({piece}).size(), 0u);
  EXPECT_EQ(RefusedFor(stats().relayed_refused, SignedRefusal::kUnverifiable), 1u);
  EXPECT_EQ(stats().signatures_checked, 0u);
  TellRecord(gamma_);
  const auto got = Relay({piece});
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].hops, 3u);
  EXPECT_EQ(got[0].piece->stream.origin, gamma_.id());
  EXPECT_EQ(got[0].piece->signature, piece.piece->signature);
  EXPECT_EQ(Relay({piece, piece}).size(), 2u) << "whether it is new is the node's to find out";
  EXPECT_EQ(stats().signatures_checked, 1u);
  EXPECT_EQ(stats().signatures_remembered, 2u);
  EXPECT_EQ(stats().relayed_in, 4u);
  EXPECT_EQ(stats().relayed_bytes_in, 4 * piece.piece->batch->bytes);
  EXPECT_EQ(alpha_.links().stats().relayed_out, 4u);
  EXPECT_EQ(alpha_.links().stats().relayed_bytes_out, 4 * piece.piece->batch->bytes);
  EXPECT_EQ(gamma_.links().stats().signatures_made, 1u);
  EXPECT_EQ(beta_.CountOf<node::LinkDown>(), 0u);
}

TEST_F(SignedLinksTest, TheCertificateOfALinkIsEnough) {
  EXPECT_EQ(Relay({{alpha_.links().Sign(PieceOf(alpha_, "mine")), 1}}).size(), 1u);
  EXPECT_EQ(Pass({Say(alpha_)}).size(), 1u);
}

TEST_F(SignedLinksTest, WhatIsRememberedFromTheLastRunIsEnough) {
  const node::PeerRecord record = RecordOf(gamma_);
  const auto known = beta_.links().Verify(record.encoded);
  ASSERT_TRUE(known);
  EXPECT_EQ((*known)->id, gamma_.id());
  EXPECT_FALSE(beta_.links().Verify("nonsense"));
  EXPECT_EQ(Relay({{gamma_.links().Sign(PieceOf(gamma_, "x")), 1}}).size(), 1u);
}

TEST_F(SignedLinksTest, WhatCameBackIsDropped) {
  const node::Relayed ours{beta_.links().Sign(PieceOf(beta_, "mine")), 2};
  const node::Relayed theirs{alpha_.links().Sign(PieceOf(alpha_, "theirs")), 1};
  const auto got = Relay({ours, theirs, ours});
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].piece->stream.origin, alpha_.id());
  EXPECT_EQ(RefusedFor(stats().relayed_refused, SignedRefusal::kCameBack), 2u);
  EXPECT_EQ(Pass({Say(beta_), Say(alpha_)}).size(), 1u);
  EXPECT_EQ(RefusedFor(stats().statements_refused, SignedRefusal::kCameBack), 1u);
}

TEST_F(SignedLinksTest, APieceThatWasAlteredEndsTheLinkAndIsNeverSeen) {
  TellRecord(gamma_);
  const node::Relayed good{gamma_.links().Sign(PieceOf(gamma_, "good")), 1};
  broadcast::Piece forged = *gamma_.links().Sign(PieceOf(gamma_, "true"));
  forged.batch = PieceOf(gamma_, "lies").batch;
  beta_.links().Perform(node::ReadNext{up_.theirs.link});
  alpha_.links().Perform(node::SendData{
      up_.ours.link,
      {{}, {good, {std::make_shared<const broadcast::Piece>(std::move(forged)), 1}}, false}});
  const auto down = beta_.WaitFor<node::LinkDown>();
  ASSERT_TRUE(down);
  EXPECT_EQ(down->why, DownReason::kProtocol);
  EXPECT_EQ(beta_.CountOf<node::DataIn>(), 0u);
  EXPECT_EQ(RefusedFor(stats().relayed_refused, SignedRefusal::kForged), 1u);
  EXPECT_TRUE(alpha_.WaitFor<node::LinkDown>());
}

TEST_F(SignedLinksTest, AllOfAPieceButItsHopsIsSigned) {
  TellRecord(gamma_);
  const broadcast::Piece piece = *gamma_.links().Sign(PieceOf(gamma_, "x", 5));
  EXPECT_EQ(Relay({{std::make_shared<const broadcast::Piece>(piece), 200}}).size(), 1u);
  broadcast::Piece other = piece;
  --other.after;
  alpha_.links().Perform(node::SendData{
      up_.ours.link, {{}, {{std::make_shared<const broadcast::Piece>(other), 1}}, false}});
  beta_.links().Perform(node::ReadNext{up_.theirs.link});
  EXPECT_TRUE(beta_.WaitFor<node::LinkDown>());
}

TEST_F(SignedLinksTest, WhoseCertificateHasRunOutIsNotBelievedAndTheLinkStays) {
  TestPeer late(mesh_, {.name = "late", .adjust = [](LinksConfig& config) {
                          config.wall = [] { return WallNow() + 2h; };
                        }});
  const auto up = alpha_.Connect(late);
  ASSERT_TRUE(up);
  late.links().Perform(node::ReadNext{up->theirs.link});
  alpha_.links().Perform(
      node::SendData{up->ours.link, {{}, {{alpha_.links().Sign(PieceOf(alpha_, "x")), 1}}, false}});
  const auto in = late.WaitFor<node::DataIn>();
  ASSERT_TRUE(in);
  EXPECT_TRUE(in->frame.relayed.empty());
  const LinkStats stats = late.links().stats();
  EXPECT_EQ(RefusedFor(stats.relayed_refused, SignedRefusal::kUnverifiable), 1u);
  EXPECT_EQ(late.CountOf<node::LinkDown>(), 0u);
}

TEST_F(SignedLinksTest, AFrameOfManyPiecesArrivesWholeAndInOrder) {
  TellRecord(gamma_);
  std::vector<node::Relayed> many;
  const std::size_t count = 3 * kPiecesAtOnce + 1;
  for (std::size_t i = 1; i <= count; ++i) {
    many.push_back({gamma_.links().Sign(PieceOf(gamma_, "x", i)), 1});
  }
  const auto got = Relay(many);
  ASSERT_EQ(got.size(), count);
  for (std::size_t i = 0; i < count; ++i) EXPECT_EQ(got[i].piece->first, i + 1);
  EXPECT_EQ(stats().signatures_checked, count);
}

TEST_F(SignedLinksTest, StatementsAreBelievedOfTheirObserver) {
  EXPECT_EQ(Pass({Say(gamma_)}).size(), 0u);
  EXPECT_EQ(RefusedFor(stats().statements_refused, SignedRefusal::kUnverifiable), 1u);
  TellRecord(gamma_);
  const auto sent = Say(gamma_, 42);
  const auto got = Pass({sent, Say(alpha_)});
  ASSERT_EQ(got.size(), 2u);
  EXPECT_EQ(got[0]->observer, gamma_.id());
  EXPECT_EQ(got[0]->number, 42u);
  EXPECT_EQ(got[0]->reason, membership::StateReason::kLinkBroken);
  EXPECT_EQ(got[0]->encoded, sent->encoded) << "to be passed on as it came";
  EXPECT_FALSE(got[0]->past);
  EXPECT_EQ(stats().statements_in, 3u);
  EXPECT_EQ(alpha_.links().stats().statements_out, 3u);
  membership::Statement old = *Say(gamma_, 43);
  old.past = true;
  const auto late = Pass({std::make_shared<const membership::Statement>(old)});
  ASSERT_EQ(late.size(), 1u);
  EXPECT_TRUE(late[0]->past);
  // Something a later version says: dropped, no harm done.
  membership::Statement strange;
  strange.encoded = wire::EncodeSignedStatement("\x08\x01", "signature");
  EXPECT_EQ(Pass({std::make_shared<const membership::Statement>(strange)}).size(), 0u);
  EXPECT_EQ(RefusedFor(stats().statements_refused, SignedRefusal::kMalformed), 1u);
  EXPECT_EQ(beta_.CountOf<node::LinkDown>(), 0u);
}

TEST_F(SignedLinksTest, AForgedStatementEndsTheLink) {
  TellRecord(gamma_);
  membership::Statement forged;
  forged.observer = gamma_.id();
  const std::string body = wire::EncodeStatementBody(forged);
  forged.encoded = wire::EncodeSignedStatement(
      body, alpha_.credentials().key().Sign(wire::kStatementDomain, body));
  const std::size_t before = beta_.CountOf<node::ControlIn>();
  alpha_.links().Perform(node::SendControl{
      up_.ours.link, node::Statements{{std::make_shared<const membership::Statement>(forged)}}});
  const auto down = beta_.WaitFor<node::LinkDown>();
  ASSERT_TRUE(down);
  EXPECT_EQ(down->why, DownReason::kProtocol);
  EXPECT_EQ(beta_.CountOf<node::ControlIn>(), before);
  EXPECT_EQ(RefusedFor(stats().statements_refused, SignedRefusal::kForged), 1u);
}

TEST_F(SignedLinksTest, NothingOfAnotherMeshIsBelieved) {
  const TestMesh other;
  TestPeer stranger(other, {.name = "stranger"});
  const node::Relayed piece{stranger.links().Sign(PieceOf(stranger, "x")), 1};
  TellRecord(stranger);
  EXPECT_EQ(stats().records_dropped, 1u);
  EXPECT_EQ(Relay({piece}).size(), 0u);
  EXPECT_EQ(RefusedFor(stats().relayed_refused, SignedRefusal::kUnverifiable), 1u);
}

TEST(SignedRefusalTest, EveryRefusalHasItsOwnLabel) {
  EXPECT_STREQ(ToString(SignedRefusal::kCameBack), "came_back");
  EXPECT_STREQ(ToString(SignedRefusal::kUnverifiable), "unverifiable");
  EXPECT_STREQ(ToString(SignedRefusal::kForged), "forged");
  EXPECT_STREQ(ToString(SignedRefusal::kMalformed), "malformed");
}

}  // namespace
}  // namespace peermesh::link
