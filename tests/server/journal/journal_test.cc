#include "server/journal/journal.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace peermesh::journal {
namespace {

using namespace std::chrono_literals;

std::string Read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void Save(const std::string& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<long>(bytes.size()));
}

PeerId Peer(std::uint8_t number) {
  PeerId id;
  id.bytes.fill(number);
  return id;
}

BatchRef TwoMessages() {
  auto batch = std::make_shared<Batch>();
  batch->buffer = std::make_shared<std::string>("one.two SECRETa.b");
  batch->rows = {{.subject_length = 7, .record_length = 40},
                 {.subject_offset = 14, .subject_length = 3, .record_length = 20}};
  batch->bytes = 60;
  return batch;
}

// One of each kind, and every control frame.
std::vector<node::Input> EveryFact() {
  const node::PeerRecord record{.id = Peer(3),
                                .incarnation = 4,
                                .name = "gamma",
                                .addresses = {"a:1", "b:2"},
                                .metrics_address = "m:3",
                                .software = "0.1",
                                .epoch = 5,
                                .certificate_expiry = WallTime(6us),
                                .channels = 0x8001,
                                .observers = {7, 8},
                                .published = 3,
                                .encoded = "signed"};
  const auto statement = std::make_shared<const membership::Statement>(
      membership::Statement{Peer(3), Peer(4), 5, 6, membership::Claim::kBack,
                            membership::StateReason::kStalled, "signed statement", true});
  const auto piece = std::make_shared<const broadcast::Piece>(
      broadcast::Piece{{Peer(3), 5, 6}, 7, 8, 9, TwoMessages(), {1, 0}, "signature"});
  const broadcast::Range range{{Peer(3), 5, 6}, 7, 9, 2};
  std::vector<node::Input> facts = {
      node::LinkUp{LinkId{1}, Peer(2), DialId{3}, node::Direction::kOutbound, 4, "beta", 5, "0.1",
                   WallTime(7us), kNever},
      node::LinkDown{LinkId{1}, node::DownReason::kStalled},
      node::DataIn{LinkId{1},
                   {.runs = {{.channel = 5,
                              .first = 7,
                              .next = 12,
                              .lost = 1,
                              .lost_reason = LossReason::kSlowSubscriber,
                              .mark = true,
                              .behind = 8,
                              .publish_time_us = 99,
                              .batch = TwoMessages(),
                              .items = {{0, 8}, {1, 10}}},
                             {.channel = 6, .first = 1, .next = 1}},
                    .relayed = {{piece, 3}},
                    .end = true}},
      node::SendDone{LinkId{1}, node::Lane::kData},
      node::DialFailed{DialId{3}, node::DialFailure::kWrongPeer},
      node::SessionOpened{SessionId{8}, PrincipalId{9}},
      node::SessionClosed{SessionId{8}},
      node::Publish{RequestId{1}, SessionId{8}, TwoMessages(), WallTime(11us), "beta"},
      node::Subscribe{RequestId{2}, SessionId{8}, {{1, "a.*", OnOverflow::kBlock, 3s}}},
      node::Unsubscribe{SessionId{8}, {1, 2}},
      node::DeliverDone{SessionId{8}},
      node::RecordSigned{record},
      node::PieceSigned{piece},
      node::StatementSigned{statement},
      node::CredentialsRenewed{},
      node::DrainRequested{Instant(12s)},
      node::PingAsked{RequestId{3}, "beta"},
      node::Reconfigured{{.peer_bytes = limits::Rate::PerSecond(7, 8)}, {"seed:2"}}};
  const node::ControlFrame frames[] = {node::Heartbeat{1, 2, 3us, 4, 5, true, 6},
                                       node::InterestSnapshot{6, true, false, {{"a.>", 100}}},
                                       node::InterestDelta{7, {{"b", 0}}, {"a.>"}},
                                       node::InterestAck{8},
                                       node::InterestRequest{},
                                       node::PeerRecords{{record}},
                                       node::PeerStates{{{Peer(4), 5, true, false}}},
                                       node::Goodbye{node::GoodbyeReason::kSurplus},
                                       node::LinkReady{},
                                       node::Statements{{statement}},
                                       node::TableHashes{{1, 2, 3}},
                                       node::TableRows{{4, 5}, {{Peer(6), 7}}},
                                       node::RecordsWanted{{Peer(8)}},
                                       overlay::Message(overlay::Join{}),
                                       broadcast::Message(broadcast::Prune{9})};
  std::set<std::size_t> kinds;
  for (const node::ControlFrame& frame : frames) {
    kinds.insert(frame.index());
    facts.push_back(node::ControlIn{LinkId{1}, frame});
  }
  EXPECT_EQ(kinds.size(), std::variant_size_v<node::ControlFrame>);
  const overlay::Message walks[] = {overlay::ForwardJoin{Peer(1), 2},
                                    overlay::Neighbor{overlay::Urgency::kHigh, {Peer(9)}},
                                    overlay::NeighborReply{true, {Peer(2)}},
                                    overlay::Disconnect{{Peer(3)}},
                                    overlay::Shuffle{4, 5, {Peer(6)}},
                                    overlay::ShuffleReply{7, {Peer(8)}}};
  for (const auto& message : walks) facts.push_back(node::ControlIn{LinkId{1}, message});
  const broadcast::Message trees[] = {broadcast::IHave{{range}}, broadcast::Graft{{range, range}},
                                      broadcast::Positions{{range}, true}};
  for (const auto& message : trees) facts.push_back(node::ControlIn{LinkId{1}, message});
  return facts;
}

class JournalTest : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(directory_); }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::string Path(const char* name) const { return directory_ + "/" + name; }
  static Start AStart() {
    Start start{.software = "0.1", .seed = {1, 2, 3, 4}, .now = Instant(5s)};
    start.config.self = Peer(1);
    start.config.name = "alpha";
    start.config.epoch = 7;
    start.config.seeds = {"seed:1"};
    start.config.limits.peer_bytes = limits::Rate::PerSecond(100, 200);
    start.config.shape.full_mesh_peers = 5;
    return start;
  }
  static std::unique_ptr<node::Node> ANode() {
    const Start start = AStart();
    return *node::Node::Create(start.config, Rng(start.seed), start.now);
  }
  // Turns of one fact each; every one wishes the same.
  static void Record(Writer& writer, const std::vector<node::Input>& facts,
                     const node::Node& node) {
    const node::Effects wishes = {node::Dial{DialId{1}, "seed:1", std::nullopt}};
    Instant now = AStart().now;
    for (const node::Input& fact : facts) {
      writer.Begin(now += 1ms, false);
      writer.Add(fact);
      writer.Commit();
      writer.Done(wishes, node);
    }
  }

  const std::string directory_ = testing::TempDir() + "journal_" +
                                 testing::UnitTest::GetInstance()->current_test_info()->name();
};

TEST_F(JournalTest, WhatIsReadAndWrittenAgainIsTheSameFile) {
  const auto node = ANode();
  const std::vector<node::Input> facts = EveryFact();
  std::set<std::size_t> kinds;
  for (const node::Input& fact : facts) kinds.insert(fact.index());
  ASSERT_EQ(kinds.size(), std::variant_size_v<node::Input>);
  {
    auto writer = *Writer::Create(Path("first"), AStart(), {});
    Record(*writer, facts, *node);
    writer->End(*node);
  }
  auto reader = Reader::Open(Path("first"));
  ASSERT_TRUE(reader.ok()) << reader.status();
  EXPECT_EQ(reader->start().config.name, "alpha");
  EXPECT_EQ(reader->start().config.shape.full_mesh_peers, 5u);
  EXPECT_EQ(reader->start().now, AStart().now);
  std::vector<node::Input> read;
  std::optional<Mark> last;
  for (auto entry = reader->Next(); entry.ok() && entry->has_value(); entry = reader->Next()) {
    if (auto* turn = std::get_if<Turn>(&**entry)) {
      ASSERT_EQ(turn->facts.size(), 1u);
      read.push_back(turn->facts[0]);
    } else {
      last = std::get<Mark>(**entry);
    }
  }
  ASSERT_EQ(read.size(), facts.size());
  const auto& run = std::get<node::DataIn>(read[2]).frame.runs[0];
  EXPECT_EQ(run.batch->subject(run.batch->rows[1]), "a.b");
  EXPECT_EQ(run.batch->rows[0].record_length, 40u);
  EXPECT_EQ(run.batch->bytes, 60u);
  EXPECT_EQ(std::get<node::LinkUp>(read[0]).expires, kNever);
  for (const node::Input& fact : read) {
    const auto* in = std::get_if<node::ControlIn>(&fact);
    const auto* told = in != nullptr ? std::get_if<node::Statements>(&in->frame) : nullptr;
    EXPECT_TRUE(told == nullptr || told->statements.at(0)->past);
  }
  const node::Relayed& relayed = std::get<node::DataIn>(read[2]).frame.relayed.at(0);
  EXPECT_EQ(relayed.hops, 3u);
  EXPECT_TRUE(relayed.piece->IsWellFormed());
  EXPECT_EQ(relayed.piece->signature, "signature");
  EXPECT_EQ(relayed.piece->batch->subject(relayed.piece->batch->rows[relayed.piece->rows[0]]),
            "a.b");
  {
    auto writer = *Writer::Create(Path("second"), reader->start(), {});
    Record(*writer, read, *node);
    writer->End(*node);
  }
  EXPECT_EQ(Read(Path("first")), Read(Path("second")));
  EXPECT_EQ(Read(Path("first")).find("SECRET"), std::string::npos);
  ASSERT_TRUE(last && last->last);
  EXPECT_EQ(last->state, node->Digest());
}

TEST_F(JournalTest, AFileThatBreaksOffIsReadUpToThere) {
  const auto node = ANode();
  std::vector<node::Input> some = EveryFact();
  some.resize(12);  // the file is read for each byte of its second half
  {
    auto writer = *Writer::Create(Path("whole"), AStart(), {});
    Record(*writer, some, *node);
  }
  const std::string whole = Read(Path("whole"));
  std::size_t torn = 0, turns_before = 0;
  for (std::size_t size = whole.size() / 2; size < whole.size(); ++size) {
    Save(Path("cut"), std::string_view(whole).substr(0, size));
    auto reader = Reader::Open(Path("cut"));
    ASSERT_TRUE(reader.ok()) << reader.status();
    std::size_t turns = 0;
    for (;;) {
      const auto entry = reader->Next();
      ASSERT_TRUE(entry.ok()) << entry.status();
      if (!entry->has_value()) break;
      ++turns;
    }
    torn += reader->torn();
    EXPECT_GE(turns, turns_before);
    turns_before = turns;
  }
  EXPECT_GT(torn, 0u);
  EXPECT_EQ(turns_before, some.size() - 1);
}

TEST_F(JournalTest, EveryChangedByteIsFound) {
  const auto node = ANode();
  {
    auto writer = *Writer::Create(Path("whole"), AStart(), {});
    std::vector<node::Input> some = EveryFact();
    some.resize(12);  // each byte is tried, and the file is read for each
    Record(*writer, some, *node);
    writer->End(*node);
  }
  const std::string whole = Read(Path("whole"));
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string changed = whole;
    changed[at] ^= 0x20;
    Save(Path("changed"), changed);
    auto reader = Reader::Open(Path("changed"));
    bool found = !reader.ok();
    while (!found) {
      const auto entry = reader->Next();
      if (!entry.ok() || reader->torn()) found = true;
      if (entry.ok() && !entry->has_value()) break;
    }
    EXPECT_TRUE(found) << at;
  }
}

TEST_F(JournalTest, AFullJournalEndsInOrder) {
  const auto node = ANode();
  auto writer = *Writer::Create(Path("full"), AStart(), {.max_bytes = 500, .turns_per_mark = 1000});
  for (int i = 0; i < 100; ++i) Record(*writer, {node::DeliverDone{SessionId{1}}}, *node);
  writer->End(*node);
  EXPECT_LT(std::filesystem::file_size(Path("full")), 1000u);
  auto reader = Reader::Open(Path("full"));
  ASSERT_TRUE(reader.ok());
  std::vector<Entry> entries;
  for (auto entry = reader->Next(); entry.ok() && entry->has_value(); entry = reader->Next())
    entries.push_back(**entry);
  ASSERT_GT(entries.size(), 2u);
  EXPECT_LT(entries.size(), 50u);
  ASSERT_TRUE(std::holds_alternative<Mark>(entries.back()));
  EXPECT_TRUE(std::get<Mark>(entries.back()).last);
  EXPECT_FALSE(reader->torn());
}

TEST_F(JournalTest, AnEarlierFileIsKept) {
  Save(Path("journal"), "evidence");
  ASSERT_TRUE(Writer::Create(Path("journal"), AStart(), {}).ok());
  EXPECT_EQ(Read(Path("journal.old")), "evidence");
  EXPECT_EQ(std::filesystem::status(Path("journal")).permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

TEST_F(JournalTest, WhatIsNoJournalIsRefusedWithAReason) {
  EXPECT_EQ(Reader::Open(Path("absent")).status().code(), absl::StatusCode::kInvalidArgument);
  Save(Path("other"), "PMHIST01 and more");
  EXPECT_NE(Reader::Open(Path("other")).status().message().find("no journal"), std::string::npos);
  const auto writer = Writer::Create("/proc/none/journal", AStart(), {});
  EXPECT_NE(writer.status().message().find("--journal"), std::string::npos);
}

}  // namespace
}  // namespace peermesh::journal
