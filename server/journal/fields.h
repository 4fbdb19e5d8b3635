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

#include "mesh/limits/gcra.h"
#include "mesh/node/input.h"
#include "mesh/node/node.h"
#include "server/journal/frame_fields.h"
#include "server/journal/journal.h"

namespace peermesh::limits {

template <class A>
void serialize(A& a, Rate& x) {
  a(x.units, x.period, x.burst);
}

}  // namespace peermesh::limits

namespace peermesh::node {

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
void serialize(A& a, PieceSigned& x) {
  a(x.piece);
}
template <class A>
void serialize(A& a, StatementSigned& x) {
  a(x.statement);
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
void serialize(A& a, Shape& x) {
  a(x.full_mesh_peers, x.table_peers, x.active, x.passive, x.eager_parents, x.shuffle_every);
}
template <class A>
void serialize(A& a, Config& x) {
  a(x.self, x.name, x.epoch, x.seeds, x.remembered, x.limits, x.shape);
}

}  // namespace peermesh::node

namespace peermesh::journal {

inline constexpr std::string_view kMagic = "PMJOURN7";
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
