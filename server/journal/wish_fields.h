// The fields of wishes, which are hashed and never written: see fields.h.
#ifndef PEERMESH_SERVER_JOURNAL_WISH_FIELDS_H_
#define PEERMESH_SERVER_JOURNAL_WISH_FIELDS_H_

#include <string>

#include "mesh/flow/run.h"
#include "mesh/membership/members.h"
#include "mesh/node/effect.h"
#include "server/journal/fields.h"

namespace peermesh::flow {

template <class A>
void serialize(A& a, Delivery& x) {
  a(x.origin, x.epoch, x.channel, x.publish_time_us, x.batch, x.items, x.matched, x.matched_counts);
  a(x.gap_from, x.gap_to, x.gap_reason);
}

}  // namespace peermesh::flow

namespace peermesh::membership {

template <class A>
void serialize(A& a, PeerView& x) {
  a(x.id, x.name, x.addresses, x.state, x.reason, x.since, x.connection, x.connection_reason);
  a(x.round_trip, x.direction, x.software, x.certificate_expiry, x.incarnation, x.epoch);
  a(x.metrics_address, x.self);
}

}  // namespace peermesh::membership

namespace peermesh::node {

template <class A>
void serialize(A& a, SendControl& x) {
  a(x.link, x.frame);
}
template <class A>
void serialize(A& a, SendData& x) {
  a(x.link, x.frame);
}
template <class A>
void serialize(A& a, ReadNext& x) {
  a(x.link);
}
template <class A>
void serialize(A& a, Close& x) {
  a(x.link);
}
template <class A>
void serialize(A& a, Dial& x) {
  a(x.dial, x.address, x.expected);
}
template <class A>
void serialize(A& a, Deliver& x) {
  a(x.session, x.deliveries);
}
template <class A>
void serialize(A& a, NumberRange& x) {
  a(x.channel, x.first, x.last);
}
template <class A>
void save(A& a, const Answer& x) {
  a(x.request, x.session, x.refusal, std::string(x.limit), x.retry_after, x.numbers);
  a(x.interested_peers, x.unreachable);
}
template <class A>
void serialize(A& a, Subscribed& x) {
  a(x.request, x.session, x.ids, x.unconfirmed);
}
template <class A>
void serialize(A& a, CloseSession& x) {
  a(x.session, x.reason);
}
template <class A>
void serialize(A& a, SignRecord& x) {
  a(x.incarnation, x.channels, x.observers, x.published);
}
template <class A>
void serialize(A& a, SignPiece& x) {
  a(x.piece);
}
template <class A>
void serialize(A& a, SignStatement& x) {
  a(x.statement);
}
template <class A>
void serialize(A& a, Persist& x) {
  a(x.record);
}
template <class A>
void serialize(A& a, Forget& x) {
  a(x.peer);
}
template <class A>
void serialize(A& a, PeerChanged& x) {
  a(x.peer, x.removed);
}
template <class A>
void serialize(A& a, Note& x) {
  a(x.kind, x.peer, x.session, x.link, x.reason, x.count);
}
template <class A>
void serialize(A&, Drained&) {}
template <class A>
void serialize(A& a, Pinged& x) {
  a(x.request, x.refusal, x.peer, x.round_trip, x.retry_after);
}

}  // namespace peermesh::node

#endif  // PEERMESH_SERVER_JOURNAL_WISH_FIELDS_H_
