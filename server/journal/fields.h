// The fields of everything that a journal holds, one list a struct (cereal).
//
// The order of a list is the format: change it together with kMagic. A batch is its subjects and
// the lengths of its records; one that was read has the same rows over a buffer of subjects alone.
#ifndef PEERMESH_SERVER_JOURNAL_FIELDS_H_
#define PEERMESH_SERVER_JOURNAL_FIELDS_H_

#include <cereal/archives/portable_binary.hpp>
#include <cereal/types/array.hpp>
#include <cereal/types/chrono.hpp>
#include <cereal/types/optional.hpp>
#include <cereal/types/string.hpp>
#include <cereal/types/variant.hpp>
#include <cereal/types/vector.hpp>
#include <memory>
#include <string>
#include <utility>

#include "mesh/base/batch.h"
#include "mesh/flow/run.h"
#include "mesh/limits/gcra.h"
#include "mesh/node/input.h"
#include "mesh/node/node.h"
#include "server/journal/journal.h"

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

namespace peermesh::limits {

template <class A>
void serialize(A& a, Rate& x) {
  a(x.units, x.period, x.burst);
}

}  // namespace peermesh::limits

namespace peermesh::flow {

template <class A>
void serialize(A& a, Item& x) {
  a(x.row, x.sequence);
}

template <class A>
void serialize(A& a, Run& x) {
  a(x.channel, x.first, x.next, x.lost, x.lost_reason, x.mark, x.publish_time_us, x.batch, x.items);
}

}  // namespace peermesh::flow

namespace peermesh::node {

// --- Frames --------------------------------------------------------------------------------------

template <class A>
void serialize(A& a, Heartbeat& x) {
  a(x.number, x.echo, x.echo_delay, x.interest_generation, x.interest_hash, x.asks);
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
void serialize(A& a, PeerRecord& x) {
  a(x.id, x.incarnation, x.name, x.addresses, x.metrics_address, x.software, x.epoch);
  a(x.certificate_expiry, x.encoded);
}
template <class A>
void serialize(A& a, PeerRecords& x) {
  a(x.records);
}
template <class A>
void serialize(A& a, PeerBelief& x) {
  a(x.id, x.incarnation, x.linked, x.left);
}
template <class A>
void serialize(A& a, PeerStates& x) {
  a(x.beliefs);
}
template <class A>
void serialize(A& a, Goodbye& x) {
  a(x.reason);
}
template <class A>
void serialize(A&, LinkReady&) {}
template <class A>
void serialize(A& a, DataFrame& x) {
  a(x.runs, x.end);
}

// --- Facts ---------------------------------------------------------------------------------------

template <class A>
void serialize(A& a, LinkUp& x) {
  a(x.link, x.peer, x.dial, x.direction, x.dial_count, x.name, x.epoch, x.software);
  a(x.certificate_expiry, x.expires);
}
template <class A>
void serialize(A& a, LinkDown& x) {
  a(x.link, x.why);
}
template <class A>
void serialize(A& a, ControlIn& x) {
  a(x.link, x.frame);
}
template <class A>
void serialize(A& a, DataIn& x) {
  a(x.link, x.frame);
}
template <class A>
void serialize(A& a, SendDone& x) {
  a(x.link, x.lane);
}
template <class A>
void serialize(A& a, DialFailed& x) {
  a(x.dial, x.why);
}
template <class A>
void serialize(A& a, SessionOpened& x) {
  a(x.session, x.principal);
}
template <class A>
void serialize(A& a, SessionClosed& x) {
  a(x.session);
}
template <class A>
void serialize(A& a, Publish& x) {
  a(x.request, x.session, x.batch, x.now, x.target);
}
template <class A>
void serialize(A& a, Subscription& x) {
  a(x.id, x.pattern, x.on_overflow, x.block_timeout);
}
template <class A>
void serialize(A& a, Subscribe& x) {
  a(x.request, x.session, x.subscriptions);
}
template <class A>
void serialize(A& a, Unsubscribe& x) {
  a(x.session, x.ids);
}
template <class A>
void serialize(A& a, DeliverDone& x) {
  a(x.session);
}
template <class A>
void serialize(A& a, RecordSigned& x) {
  a(x.record);
}
template <class A>
void serialize(A&, CredentialsRenewed&) {}
template <class A>
void serialize(A& a, DrainRequested& x) {
  a(x.deadline);
}
template <class A>
void serialize(A& a, PingAsked& x) {
  a(x.request, x.target);
}

template <class A>
void serialize(A& a, Limits& x) {
  a(x.application_messages, x.application_bytes, x.peer_messages, x.peer_bytes, x.subscribes);
}
template <class A>
void serialize(A& a, Reconfigured& x) {
  a(x.limits, x.seeds);
}

// --- What a node is made of ----------------------------------------------------------------------

template <class A>
void serialize(A& a, Config& x) {
  a(x.self, x.name, x.epoch, x.seeds, x.remembered, x.limits);
}

}  // namespace peermesh::node

namespace peermesh::journal {

inline constexpr std::string_view kMagic = "PMJOURN2";
// A turn takes what the inbox holds: some thousand facts without payloads at most.
inline constexpr std::uint32_t kMaxEntryBytes = 256u << 20;

template <class A>
void serialize(A& a, Start& x) {
  a(x.software, x.config, x.seed, x.now);
}
template <class A>
void serialize(A& a, Turn& x) {
  a(x.now, x.woke, x.facts, x.wishes_before);
}
template <class A>
void serialize(A& a, Mark& x) {
  a(x.wishes, x.state, x.last);
}

}  // namespace peermesh::journal

#endif  // PEERMESH_SERVER_JOURNAL_FIELDS_H_
