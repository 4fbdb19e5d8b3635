#include "server/wire/relayed.h"

#include "peermesh/link/v1/link.pb.h"
#include "server/wire/data.h"
#include "server/wire/statement.h"
#include "tests/server/wire/wire_testing.h"

namespace peermesh::wire {
namespace {

namespace pb = link::v1;

broadcast::Piece MakePiece(const std::vector<v1::Message>& messages, std::uint64_t first = 3) {
  broadcast::Piece piece;
  piece.stream = {MakePeer(7), 1'700'000'000'000, routing::ChannelOf(messages.front().subject())};
  piece.after = 2;
  piece.first = first;
  piece.publish_time_us = 1'700'000'000'000'000;
  piece.batch = MakeBatch(messages);
  for (std::uint32_t row = 0; row < messages.size(); ++row) piece.rows.push_back(row);
  piece.signature = "signature";
  return piece;
}

node::Relayed MakeRelayed(broadcast::Piece piece, std::uint32_t hops = 2) {
  return {std::make_shared<const broadcast::Piece>(std::move(piece)), hops};
}

node::DataFrame RoundTrip(const node::DataFrame& frame) {
  const auto bytes = Share(EncodeData(frame).Flat());
  auto decoded = DecodeData(bytes);
  EXPECT_TRUE(decoded.ok()) << Describe(decoded.error().rule).label;
  EXPECT_EQ(EncodeData(decoded->frame).Flat(), *bytes) << "as it came";
  return std::move(decoded->frame);
}

Rule RuleOf(const pb::RelayedBatch& batch) {
  pb::DataRequest request;
  *request.mutable_frame()->add_relayed() = batch;
  const auto decoded = DecodeData(Share(request.SerializeAsString()));
  return decoded.ok() ? Rule::kNone : decoded.error().rule;
}

pb::RelayedBatch MakeWire() {
  pb::RelayedBatch batch;
  batch.set_origin(MakePeer(7).ToBytes());
  batch.set_epoch(5);
  batch.set_channel(routing::ChannelOf("orders"));
  batch.set_after(1);
  batch.set_first_sequence(1);
  batch.set_signature("signature");
  *batch.add_messages() = MakeMessage("orders.a");
  return batch;
}

TEST(RelayedTest, APieceComesBackBehindTheRuns) {
  node::DataFrame sent;
  sent.runs.push_back({.channel = 1, .first = 4, .next = 4, .mark = true});
  const broadcast::Piece piece = MakePiece({MakeMessage("orders.a"), MakeMessage("orders.b", "")});
  sent.relayed.push_back(MakeRelayed(piece, 9));
  sent.relayed.push_back(MakeRelayed(MakePiece({MakeMessage("orders")}, 2)));
  sent.end = true;
  const node::DataFrame got = RoundTrip(sent);
  EXPECT_TRUE(got.end);
  ASSERT_EQ(got.runs.size(), 1u);
  ASSERT_EQ(got.relayed.size(), 2u);
  const broadcast::Piece& back = *got.relayed[0].piece;
  EXPECT_EQ(got.relayed[0].hops, 9u);
  EXPECT_EQ(back.stream, piece.stream);
  EXPECT_EQ(back.after, 2u);
  EXPECT_EQ(back.first, 3u);
  EXPECT_EQ(back.publish_time_us, piece.publish_time_us);
  EXPECT_EQ(back.signature, "signature");
  ASSERT_EQ(back.rows.size(), 2u);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(back.batch->record(back.batch->rows[back.rows[i]]),
              piece.batch->record(piece.batch->rows[i]));
  }
  EXPECT_EQ(got.relayed[1].piece->batch->buffer, back.batch->buffer) << "one buffer for all";
}

TEST(RelayedTest, LargeRecordsAreSharedNotCopied) {
  node::DataFrame frame;
  frame.relayed.push_back(
      MakeRelayed(MakePiece({MakeMessage("orders", std::string(50'000, 'x'))})));
  const auto received = DecodeData(Share(EncodeData(frame).Flat()));
  ASSERT_TRUE(received.ok());
  const auto& buffer = received->frame.relayed[0].piece->batch->buffer;
  const Pieces again = EncodeData(received->frame);
  bool shared = false;
  for (const Pieces::Piece& piece : again.all()) shared |= piece.owner == buffer;
  EXPECT_TRUE(shared);
}

TEST(RelayedTest, RowsMayBeSomeOfABatchAndInAnyOrder) {
  broadcast::Piece piece =
      MakePiece({MakeMessage("orders.a"), MakeMessage("other"), MakeMessage("orders.b")});
  piece.rows = {2, 0};
  node::DataFrame sent;
  sent.relayed.push_back(MakeRelayed(piece));
  const node::DataFrame got = RoundTrip(sent);
  const broadcast::Piece& back = *got.relayed[0].piece;
  ASSERT_EQ(back.rows.size(), 2u);
  EXPECT_EQ(back.batch->subject(back.batch->rows[0]), "orders.b");
  EXPECT_EQ(back.batch->subject(back.batch->rows[1]), "orders.a");
  EXPECT_EQ(PieceInput("mesh", piece), PieceInput("mesh", back)) << "so that the signature holds";
}

TEST(RelayedTest, TheSigningInputIsWrittenDown) {
  broadcast::Piece piece = MakePiece({MakeMessage("orders", "x")});
  piece.stream.epoch = 0x0102030405060708;
  piece.publish_time_us = -2;
  const std::string channel(1, static_cast<char>(piece.stream.channel));
  const std::string expected =
      "abcdefghijklmnop" + std::string(32, '\7') + std::string("\1\2\3\4\5\6\7\10", 8) +
      std::string(3, '\0') + channel + std::string(7, '\0') + "\2" + std::string(7, '\0') + "\3" +
      std::string(3, '\0') + "\1" + std::string(7, '\xff') + "\xfe" +
      Bytes(kMessagesField, MakeMessage("orders", "x").SerializeAsString());
  EXPECT_EQ(PieceInput("abcdefghijklmnop", piece), expected);
  std::string stretches;
  VisitPieceInput("abcdefghijklmnop", piece,
                  [&](std::string_view stretch) { stretches += stretch; });
  EXPECT_EQ(stretches, expected);
}

TEST(RelayedTest, EverythingButTheHopsIsSigned) {
  const broadcast::Piece piece = MakePiece({MakeMessage("orders", "x")});
  std::vector<broadcast::Piece> others(7, piece);
  others[0].stream.origin = MakePeer(8);
  ++others[1].stream.epoch;
  ++others[2].stream.channel;
  --others[3].after;
  ++others[4].first;
  ++others[5].publish_time_us;
  others[6].batch = MakeBatch({MakeMessage("orders", "y")});
  for (const broadcast::Piece& other : others) {
    EXPECT_NE(PieceInput("mesh", piece), PieceInput("mesh", other));
  }
  EXPECT_NE(PieceInput("mesh", piece), PieceInput("hsem", piece));
  const node::DataFrame near{{}, {MakeRelayed(piece, 1)}, false};
  const node::DataFrame far{{}, {MakeRelayed(piece, 200)}, false};
  EXPECT_NE(EncodeData(near).Flat(), EncodeData(far).Flat());
  EXPECT_EQ(PieceInput("mesh", *RoundTrip(near).relayed[0].piece),
            PieceInput("mesh", *RoundTrip(far).relayed[0].piece));
}

TEST(RelayedTest, PiecesOutOfRangeAreRefused) {
  const pb::RelayedBatch good = MakeWire();
  EXPECT_EQ(RuleOf(good), Rule::kNone);
  const auto with = [&](auto change) {
    pb::RelayedBatch batch = good;
    change(batch);
    return RuleOf(batch);
  };
  EXPECT_EQ(with([](auto& b) { b.clear_origin(); }), Rule::kPeerId);
  EXPECT_EQ(with([](auto& b) { b.set_origin("short"); }), Rule::kPeerId);
  EXPECT_EQ(with([](auto& b) { b.clear_epoch(); }), Rule::kValue);
  EXPECT_EQ(with([](auto& b) { b.set_channel(kChannels); }), Rule::kValue);
  EXPECT_EQ(with([](auto& b) { b.set_channel((b.channel() + 1) % kChannels); }), Rule::kChannel);
  EXPECT_EQ(with([](auto& b) { b.clear_after(); }), Rule::kSequence);
  EXPECT_EQ(with([](auto& b) { b.clear_first_sequence(); }), Rule::kSequence);
  EXPECT_EQ(with([](auto& b) { b.set_after(2); }), Rule::kSequence);
  EXPECT_EQ(with([](auto& b) { b.set_first_sequence(kMaxSequence); }), Rule::kSequence);
  EXPECT_EQ(with([](auto& b) { b.set_first_sequence(kMaxSequence - 1); }), Rule::kNone);
  EXPECT_EQ(with([](auto& b) { b.clear_signature(); }), Rule::kValue);
  EXPECT_EQ(with([](auto& b) { b.set_signature(std::string(kMaxSignatureBytes + 1, 's')); }),
            Rule::kValue);
  EXPECT_EQ(with([](auto& b) { b.clear_messages(); }), Rule::kSequence);
  EXPECT_EQ(with([](auto& b) { b.mutable_messages(0)->set_subject("a..b"); }), Rule::kSubject);
  EXPECT_EQ(with([](auto& b) {
              for (std::size_t i = 0; i < kMaxBatchMessages; ++i) *b.add_messages() = b.messages(0);
            }),
            Rule::kTooManyMessages);
}

TEST(RelayedTest, HopsAreCutToTheMost) {
  pb::DataRequest request;
  *request.mutable_frame()->add_relayed() = MakeWire();
  request.mutable_frame()->mutable_relayed(0)->set_hops(100'000);
  const auto decoded = DecodeData(Share(request.SerializeAsString()));
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(decoded->frame.relayed[0].hops, kMaxHops);
}

TEST(RelayedTest, FieldsOfALaterVersionAreSkipped) {
  const std::string batch = MakeWire().SerializeAsString() + Bytes(14, "later") + Number(13, 1);
  const auto decoded = DecodeData(Share(Bytes(1, Bytes(4, batch))));
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(decoded->frame.relayed.size(), 1u);
}

TEST(RelayedTest, AFrameHoldsSoManyBatchesOfBothKinds) {
  const std::string run = Bytes(2, Number(2, 1)), piece = Bytes(4, MakeWire().SerializeAsString());
  std::string body;
  for (std::size_t i = 1; i < kMaxFrameBatches; ++i) body += run;
  EXPECT_TRUE(DecodeData(Share(Bytes(1, body + piece))).ok());
  const auto decoded = DecodeData(Share(Bytes(1, body + piece + run)));
  ASSERT_FALSE(decoded.ok());
  EXPECT_EQ(decoded.error().rule, Rule::kTooManyBatches);
  EXPECT_FALSE(DecodeData(Share(Bytes(1, body + piece + piece))).ok());
}

TEST(RelayedTest, WhateverIsAcceptedIsWellFormedAndEncodesAgain) {
  node::DataFrame frame;
  frame.relayed.push_back(MakeRelayed(MakePiece({MakeMessage("orders.a"), MakeMessage("orders")})));
  frame.relayed.push_back(MakeRelayed(MakePiece({MakeMessage("orders.b")}, 9)));
  const std::string good = EncodeData(frame).Flat();
  Rng rng = TestRng(6);
  int accepted = 0;
  for (int round = 0; round < 50'000; ++round) {
    const auto decoded = DecodeData(Share(Mutate(good, rng)));
    if (!decoded.ok()) continue;
    ++accepted;
    for (const node::Relayed& relayed : decoded->frame.relayed) {
      ASSERT_TRUE(relayed.piece->IsWellFormed()) << "round " << round;
    }
    const std::string once = EncodeData(decoded->frame).Flat();
    const auto again = DecodeData(Share(once));
    ASSERT_TRUE(again.ok()) << "round " << round;
    ASSERT_EQ(EncodeData(again->frame).Flat(), once) << "round " << round;
  }
  EXPECT_GT(accepted, 1'000) << "mutations that are all refused prove nothing";
}

}  // namespace
}  // namespace peermesh::wire
