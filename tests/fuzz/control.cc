// Control frames between peers: what is let through is within bounds and comes back the same.
#include "server/wire/control.h"

#include "mesh/base/check.h"
#include "mesh/identity/identity.h"
#include "server/wire/data.h"
#include "server/wire/statement.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/naive.h"

namespace peermesh::fuzz {
namespace {

void CheckInterest(const std::vector<node::Interest>& entries) {
  for (const node::Interest& entry : entries) {
    PM_CHECK(IsNaivePattern(entry.pattern));
    PM_CHECK(std::chrono::milliseconds(entry.block_ms) <= kMaxBlockTimeout);
  }
}

void Check(const node::Heartbeat& heartbeat) {
  PM_CHECK(heartbeat.echo_delay >= Duration::zero());
  PM_CHECK(heartbeat.echo_delay <= std::chrono::hours(1));
}
void Check(const node::InterestSnapshot& snapshot) { CheckInterest(snapshot.entries); }
void Check(const node::InterestDelta& delta) {
  CheckInterest(delta.add);
  for (const std::string& pattern : delta.remove) PM_CHECK(IsNaivePattern(pattern));
}
void Check(const node::Goodbye& goodbye) {
  PM_CHECK(goodbye.reason >= node::GoodbyeReason::kLeaving);
  PM_CHECK(goodbye.reason <= node::GoodbyeReason::kLost);
}
void Check(const node::TableHashes& frame) { PM_CHECK(frame.hashes.size() == node::kTableParts); }
void Check(const node::TableRows& frame) {
  PM_CHECK(frame.parts.size() <= node::kTableParts);
  PM_CHECK(frame.rows.size() <= wire::kMaxTableRowsPerFrame);
}
void Check(const node::RecordsWanted& frame) {
  PM_CHECK(frame.ids.size() <= wire::kMaxTableRowsPerFrame);
}

void CheckPeers(const std::vector<PeerId>& peers) {
  PM_CHECK(peers.size() <= overlay::kMostCandidates);
}
void Check(const overlay::ForwardJoin& join) { PM_CHECK(join.ttl <= overlay::kMostHops); }
void Check(const overlay::Neighbor& neighbor) {
  PM_CHECK(neighbor.urgency >= overlay::Urgency::kLow &&
           neighbor.urgency <= overlay::Urgency::kSwap);
  CheckPeers(neighbor.neighbors);
}
void Check(const overlay::NeighborReply& reply) { CheckPeers(reply.candidates); }
void Check(const overlay::Disconnect& disconnect) { CheckPeers(disconnect.candidates); }
void Check(const overlay::Shuffle& shuffle) {
  PM_CHECK(shuffle.ttl <= overlay::kMostHops);
  CheckPeers(shuffle.sample);
}
void Check(const overlay::ShuffleReply& reply) { CheckPeers(reply.sample); }

void CheckRanges(const std::vector<broadcast::Range>& ranges) {
  PM_CHECK(ranges.size() <= wire::kMaxRangesPerFrame);
  for (const broadcast::Range& range : ranges) {
    PM_CHECK(range.stream.epoch > 0 && range.stream.channel < kChannels);
    PM_CHECK(range.first > 0 && range.first <= range.next && range.next <= wire::kMaxSequence);
    PM_CHECK(range.hops <= wire::kMaxHops);
  }
}
void Check(const broadcast::IHave& have) { CheckRanges(have.ranges); }
void Check(const broadcast::Graft& graft) { CheckRanges(graft.ranges); }
void Check(const broadcast::Positions& positions) { CheckRanges(positions.ranges); }
// Records come as EncodedRecords, statements as EncodedStatements.
void Check(const node::PeerRecords&) { PM_CHECK(!"records that nobody has verified"); }
void Check(const node::Statements&) { PM_CHECK(!"statements that nobody has verified"); }
template <class Other>
void Check(const Other&) {}
void Check(const overlay::Message& message) {
  std::visit([](const auto& kind) { Check(kind); }, message);
}
void Check(const broadcast::Message& message) {
  std::visit([](const auto& kind) { Check(kind); }, message);
}

void Received(const node::ControlFrame& frame) {
  std::visit([](const auto& kind) { Check(kind); }, frame);
  const std::string bytes = wire::EncodeControl(frame);
  const auto again = wire::DecodeControl(bytes);
  PM_CHECK(again.ok());
  const auto* decoded = std::get_if<node::ControlFrame>(&*again);
  PM_CHECK(decoded != nullptr && decoded->index() == frame.index());
  PM_CHECK(wire::EncodeControl(*decoded) == bytes);
}

void Received(const wire::Hello& hello) {
  PM_CHECK(hello.mesh_id.empty() || identity::IsMeshId(hello.mesh_id));
  PM_CHECK(hello.software.size() <= wire::kMaxSoftwareBytes);
  PM_CHECK(hello.version_min <= hello.version_max);
  PM_CHECK(hello.link_token.empty() || hello.link_token.size() == wire::kLinkTokenBytes);
  const auto again = wire::DecodeControl(wire::EncodeHello(hello));
  PM_CHECK(again.ok() && std::get<wire::Hello>(*again) == hello);
}

void Received(const wire::EncodedRecords& records) {
  PM_CHECK(records.records.size() <= wire::kMaxRecordsPerFrame);
  node::PeerRecords frame;
  frame.news = records.news;
  std::size_t bytes = 0;
  for (const std::string& encoded : records.records) {
    bytes += encoded.size();
    node::PeerRecord record;
    record.encoded = encoded;
    frame.records.emplace_back(std::move(record));
  }
  if (bytes > kMaxControlFrameBytes / 2) return;
  const auto again = wire::DecodeControl(wire::EncodeControl(frame));
  PM_CHECK(again.ok());
  PM_CHECK(std::get<wire::EncodedRecords>(*again).records == records.records);
  PM_CHECK(std::get<wire::EncodedRecords>(*again).news == records.news);
}

void Received(const wire::EncodedStatements& statements) {
  PM_CHECK(statements.statements.size() <= wire::kMaxStatementsPerFrame);
  node::Statements frame;
  std::size_t bytes = 0;
  for (const std::string& encoded : statements.statements) {
    bytes += encoded.size();
    const auto read = wire::DecodeStatement(encoded);
    if (read) {
      // What we would say in its place says the same.
      const auto again = wire::DecodeStatement(
          wire::EncodeSignedStatement(wire::EncodeStatementBody(read->statement), read->signature));
      PM_CHECK(read->statement.encoded == encoded && again && again->signature == read->signature);
      PM_CHECK(wire::EncodeStatementBody(again->statement) == again->body);
      PM_CHECK(again->statement.observer == read->statement.observer);
      PM_CHECK(again->statement.claim == read->statement.claim);
    }
    membership::Statement statement;
    statement.encoded = encoded;
    statement.past = statements.past;
    frame.statements.push_back(std::make_shared<const membership::Statement>(std::move(statement)));
  }
  if (bytes > kMaxControlFrameBytes / 2) return;
  const auto again = wire::DecodeControl(wire::EncodeControl(frame));
  PM_CHECK(again.ok());
  PM_CHECK(std::get<wire::EncodedStatements>(*again).statements == statements.statements);
  PM_CHECK(std::get<wire::EncodedStatements>(*again).past ==
           (statements.past && !frame.statements.empty()));
}

void Received(const wire::UnknownKind&) {}

}  // namespace

void Try(std::string_view input) {
  const auto received = wire::DecodeControl(input);
  if (!received.ok()) {
    PM_CHECK(received.error().rule != wire::Rule::kNone);
    PM_CHECK(*wire::Describe(received.error().rule).what != '\0');
    return;
  }
  PM_CHECK(input.size() <= kMaxControlFrameBytes);
  std::visit([](const auto& kind) { Received(kind); }, *received);
}

}  // namespace peermesh::fuzz
