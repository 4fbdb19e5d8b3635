// Frames about who is in the mesh: records, beliefs, statements, and the comparison of tables.
#include <algorithm>
#include <utility>

#include "mesh/base/check.h"
#include "server/wire/frames.h"

namespace peermesh::wire {
namespace {

namespace pb = link::v1;

Rule From(const pb::PeerRecords& in, ReceivedControl& out) {
  if (in.records_size() > static_cast<int>(kMaxRecordsPerFrame)) return Rule::kValue;
  EncodedRecords records;
  for (const pb::SignedPeerRecord& record : in.records()) {
    records.records.push_back(record.SerializeAsString());
  }
  records.news = in.news();
  out = std::move(records);
  return Rule::kNone;
}

Rule From(const pb::PeerStates& in, ReceivedControl& out) {
  node::PeerStates states;
  states.beliefs.reserve(static_cast<std::size_t>(in.beliefs_size()));
  for (const pb::PeerBelief& belief : in.beliefs()) {
    const auto id = PeerId::FromBytes(belief.peer_id());
    if (!id) return Rule::kPeerId;
    states.beliefs.push_back(
        {*id, belief.incarnation(), belief.linked(), belief.left(), belief.silent()});
  }
  out = node::ControlFrame(std::move(states));
  return Rule::kNone;
}

Rule From(const pb::Statements& in, ReceivedControl& out) {
  if (in.statements_size() > static_cast<int>(kMaxStatementsPerFrame)) return Rule::kValue;
  EncodedStatements statements;
  for (const pb::SignedStatement& statement : in.statements()) {
    statements.statements.push_back(statement.SerializeAsString());
  }
  statements.past = in.past();
  out = std::move(statements);
  return Rule::kNone;
}

Rule From(const pb::TableHashes& in, ReceivedControl& out) {
  if (in.hashes_size() != static_cast<int>(node::kTableParts)) return Rule::kValue;
  out = node::ControlFrame(node::TableHashes{{in.hashes().begin(), in.hashes().end()}});
  return Rule::kNone;
}

Rule From(const pb::TableRows& in, ReceivedControl& out) {
  if (in.parts().size() > node::kTableParts) return Rule::kValue;
  if (in.rows_size() > static_cast<int>(kMaxTableRowsPerFrame)) return Rule::kValue;
  node::TableRows rows;
  rows.parts.assign(in.parts().begin(), in.parts().end());
  rows.rows.reserve(static_cast<std::size_t>(in.rows_size()));
  for (const pb::TableRow& row : in.rows()) {
    const auto id = PeerId::FromBytes(row.peer_id());
    if (!id) return Rule::kPeerId;
    rows.rows.push_back({*id, row.version()});
  }
  out = node::ControlFrame(std::move(rows));
  return Rule::kNone;
}

Rule From(const pb::RecordsWanted& in, ReceivedControl& out) {
  node::RecordsWanted wanted;
  const Rule rule = FromIds(in.peer_ids(), kMaxTableRowsPerFrame, wanted.ids);
  out = node::ControlFrame(std::move(wanted));
  return rule;
}

}  // namespace

Rule FromTable(const pb::ControlFrame& in, ReceivedControl& out) {
  switch (in.kind_case()) {
    case pb::ControlFrame::kPeerRecords: return From(in.peer_records(), out);
    case pb::ControlFrame::kPeerStates: return From(in.peer_states(), out);
    case pb::ControlFrame::kStatements: return From(in.statements(), out);
    case pb::ControlFrame::kTableHashes: return From(in.table_hashes(), out);
    case pb::ControlFrame::kTableRows: return From(in.table_rows(), out);
    case pb::ControlFrame::kRecordsWanted: return From(in.records_wanted(), out);
    default: break;
  }
  PM_CHECK(!"a frame about the table");
  return Rule::kValue;
}

void To(const node::PeerRecords& in, pb::ControlFrame& out) {
  pb::PeerRecords& records = *out.mutable_peer_records();
  for (const node::PeerRecord& record : in.records) {
    PM_CHECK(records.add_records()->ParseFromString(record.encoded));
  }
  records.set_news(in.news);
}

void To(const node::PeerStates& in, pb::ControlFrame& out) {
  pb::PeerStates& states = *out.mutable_peer_states();
  for (const node::PeerBelief& belief : in.beliefs) {
    pb::PeerBelief& entry = *states.add_beliefs();
    entry.set_peer_id(belief.id.ToBytes());
    entry.set_incarnation(belief.incarnation);
    entry.set_linked(belief.linked);
    entry.set_left(belief.left);
    entry.set_silent(belief.silent);
  }
}

void To(const node::Statements& in, pb::ControlFrame& out) {
  pb::Statements& statements = *out.mutable_statements();
  statements.set_past(!in.statements.empty() && in.statements.front()->past);
  for (const membership::StatementRef& statement : in.statements) {
    PM_CHECK(statement != nullptr);
    PM_CHECK(statement->past == in.statements.front()->past);
    PM_CHECK(statements.add_statements()->ParseFromString(statement->encoded));
  }
}

void To(const node::TableHashes& in, pb::ControlFrame& out) {
  PM_CHECK(in.hashes.size() == node::kTableParts);
  out.mutable_table_hashes()->mutable_hashes()->Assign(in.hashes.begin(), in.hashes.end());
}

void To(const node::TableRows& in, pb::ControlFrame& out) {
  PM_CHECK(in.parts.size() <= node::kTableParts && in.rows.size() <= kMaxTableRowsPerFrame);
  pb::TableRows& rows = *out.mutable_table_rows();
  rows.mutable_parts()->assign(in.parts.begin(), in.parts.end());
  for (const node::TableRow& row : in.rows) {
    pb::TableRow& entry = *rows.add_rows();
    entry.set_peer_id(row.id.ToBytes());
    entry.set_version(row.version);
  }
}

void To(const node::RecordsWanted& in, pb::ControlFrame& out) {
  PM_CHECK(in.ids.size() <= kMaxTableRowsPerFrame);
  ToIds(in.ids, *out.mutable_records_wanted()->mutable_peer_ids());
}

Rule FromIds(const EncodedIds& in, std::size_t most, std::vector<PeerId>& out) {
  if (in.size() > static_cast<int>(most)) return Rule::kValue;
  out.reserve(static_cast<std::size_t>(in.size()));
  for (const std::string& bytes : in) {
    const auto id = PeerId::FromBytes(bytes);
    if (!id) return Rule::kPeerId;
    out.push_back(*id);
  }
  return Rule::kNone;
}

void ToIds(const std::vector<PeerId>& in, EncodedIds& out) {
  for (const PeerId& id : in) *out.Add() = id.ToBytes();
}

}  // namespace peermesh::wire
