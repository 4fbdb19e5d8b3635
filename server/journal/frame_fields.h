// The fields of what peers say to each other: see fields.h.
#ifndef PEERMESH_SERVER_JOURNAL_FRAME_FIELDS_H_
#define PEERMESH_SERVER_JOURNAL_FRAME_FIELDS_H_

#include <cereal/archives/portable_binary.hpp>
#include <cereal/types/array.hpp>
#include <cereal/types/chrono.hpp>
#include <cereal/types/optional.hpp>
#include <cereal/types/string.hpp>
#include <cereal/types/variant.hpp>
#include <cereal/types/vector.hpp>
#include <concepts>
#include <memory>
#include <string>
#include <utility>

#include "mesh/base/batch.h"
#include "mesh/base/check.h"
#include "mesh/flow/run.h"
#include "mesh/node/frame.h"

namespace peermesh {

template <class A, class Tag>
void serialize(A& a, Id<Tag>& x) {
  a(x.value);
}

template <class A>
void serialize(A& a, PeerId& x) {
  a(x.bytes);
}

template <class A>
void save(A& a, const BatchRef& x) {
  a(static_cast<std::uint32_t>(x == nullptr ? 0 : x->rows.size()));
  if (x == nullptr) return;
  for (const Row& row : x->rows) a(std::string(x->subject(row)), row.record_length);
}

template <class A>
void load(A& a, BatchRef& x) {
  std::uint32_t count = 0;
  a(count);
  if (count == 0) return x.reset();
  auto batch = std::make_shared<Batch>();
  auto subjects = std::make_shared<std::string>();
  for (; count > 0; --count) {
    std::string subject;
    Row row;
    a(subject, row.record_length);
    row.subject_offset = static_cast<std::uint32_t>(subjects->size());
    row.subject_length = static_cast<std::uint32_t>(subject.size());
    *subjects += subject;
    batch->bytes += row.record_length;
    batch->rows.push_back(row);
  }
  batch->buffer = std::move(subjects);
  x = std::move(batch);
}

}  // namespace peermesh

namespace peermesh::flow {

template <class A>
void serialize(A& a, Item& x) {
  a(x.row, x.sequence);
}

template <class A>
void serialize(A& a, Run& x) {
  a(x.channel, x.first, x.next, x.lost, x.lost_reason, x.mark, x.behind, x.publish_time_us, x.batch,
    x.items);
}

}  // namespace peermesh::flow

namespace peermesh::membership {

template <class A>
void serialize(A& a, Record& x) {
  a(x.id, x.incarnation, x.name, x.addresses, x.metrics_address, x.software, x.epoch);
  a(x.certificate_expiry, x.channels, x.observers, x.published, x.encoded);
}
// What is pointed to is told again wherever it occurs.
// Exactly this type: a record would do for a reference to one, too.
template <class A, std::same_as<RecordRef> T>
void save(A& a, const T& x) {
  a(*x);
}
template <class A, std::same_as<RecordRef> T>
void load(A& a, T& x) {
  Record record;
  a(record);
  x = RecordRef(std::move(record));
}
template <class A>
void serialize(A& a, Statement& x) {
  a(x.observer, x.subject, x.incarnation, x.number, x.claim, x.reason, x.encoded, x.past);
}
template <class A>
void save(A& a, const StatementRef& x) {
  PM_CHECK(x != nullptr);
  a(*x);
}
template <class A>
void load(A& a, StatementRef& x) {
  Statement statement;
  a(statement);
  x = std::make_shared<const Statement>(std::move(statement));
}

}  // namespace peermesh::membership

namespace peermesh::overlay {

template <class A>
void serialize(A&, Join&) {}
template <class A>
void serialize(A& a, ForwardJoin& x) {
  a(x.joiner, x.ttl);
}
template <class A>
void serialize(A& a, Neighbor& x) {
  a(x.urgency, x.neighbors);
}
template <class A>
void serialize(A& a, NeighborReply& x) {
  a(x.accepted, x.candidates);
}
template <class A>
void serialize(A& a, Disconnect& x) {
  a(x.candidates);
}
template <class A>
void serialize(A& a, Shuffle& x) {
  a(x.walk, x.ttl, x.sample);
}
template <class A>
void serialize(A& a, ShuffleReply& x) {
  a(x.walk, x.sample);
}

}  // namespace peermesh::overlay

namespace peermesh::broadcast {

template <class A>
void serialize(A& a, Stream& x) {
  a(x.origin, x.epoch, x.channel);
}
template <class A>
void serialize(A& a, Piece& x) {
  a(x.stream, x.after, x.first, x.publish_time_us, x.batch, x.rows, x.signature);
}
template <class A>
void save(A& a, const PieceRef& x) {
  PM_CHECK(x != nullptr);
  a(*x);
}
template <class A>
void load(A& a, PieceRef& x) {
  Piece piece;
  a(piece);
  x = std::make_shared<const Piece>(std::move(piece));
}
template <class A>
void serialize(A& a, Range& x) {
  a(x.stream, x.first, x.next, x.hops);
}
template <class A>
void serialize(A& a, IHave& x) {
  a(x.ranges);
}
template <class A>
void serialize(A& a, Graft& x) {
  a(x.ranges);
}
template <class A>
void serialize(A& a, Prune& x) {
  a(x.channels);
}
template <class A>
void serialize(A& a, Positions& x) {
  a(x.ranges, x.last);
}

}  // namespace peermesh::broadcast

namespace peermesh::node {

template <class A>
void serialize(A& a, Heartbeat& x) {
  a(x.number, x.echo, x.echo_delay, x.interest_generation, x.interest_hash, x.asks);
  a(x.table_hash);
}
template <class A>
void serialize(A& a, Interest& x) {
  a(x.pattern, x.block_ms);
}
template <class A>
void serialize(A& a, InterestSnapshot& x) {
  a(x.generation, x.first, x.last, x.entries);
}
template <class A>
void serialize(A& a, InterestDelta& x) {
  a(x.generation, x.add, x.remove);
}
template <class A>
void serialize(A& a, InterestAck& x) {
  a(x.generation);
}
template <class A>
void serialize(A&, InterestRequest&) {}
template <class A>
void serialize(A& a, PeerRecords& x) {
  a(x.records, x.news);
}
template <class A>
void serialize(A& a, PeerBelief& x) {
  a(x.id, x.incarnation, x.linked, x.left, x.silent);
}
template <class A>
void serialize(A& a, PeerStates& x) {
  a(x.beliefs);
}
template <class A>
void serialize(A& a, Statements& x) {
  a(x.statements);
}
template <class A>
void serialize(A& a, TableHashes& x) {
  a(x.hashes);
}
template <class A>
void serialize(A& a, TableRow& x) {
  a(x.id, x.version);
}
template <class A>
void serialize(A& a, TableRows& x) {
  a(x.parts, x.rows);
}
template <class A>
void serialize(A& a, RecordsWanted& x) {
  a(x.ids);
}
template <class A>
void serialize(A& a, Goodbye& x) {
  a(x.reason);
}
template <class A>
void serialize(A&, LinkReady&) {}
template <class A>
void serialize(A& a, Relayed& x) {
  a(x.piece, x.hops);
}
template <class A>
void serialize(A& a, DataFrame& x) {
  a(x.runs, x.relayed, x.end);
}

}  // namespace peermesh::node

#endif  // PEERMESH_SERVER_JOURNAL_FRAME_FIELDS_H_
