// One peer in the member table.
//
// A peer of thousands has a row of every other, so a row keeps what changes and points to the
// record for the rest; what applications see (PeerView) is built when somebody looks.
#ifndef PEERMESH_MESH_MEMBERSHIP_ROW_H_
#define PEERMESH_MESH_MEMBERSHIP_ROW_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mesh/base/id.h"
#include "mesh/base/time.h"
#include "mesh/membership/record.h"
#include "mesh/membership/state.h"

namespace peermesh::membership {

// A row as shown to applications.
struct PeerView {
  PeerId id;
  std::string name;
  std::vector<std::string> addresses;
  State state = State::kDead;
  StateReason reason = StateReason::kNone;
  Instant since{};
  Connection connection = Connection::kIdle;
  StateReason connection_reason = StateReason::kNone;
  std::optional<Duration> round_trip;
  std::uint8_t direction = 0;  // 0 none, 1 inbound, 2 outbound
  std::string software;
  WallTime certificate_expiry{};
  std::uint64_t incarnation = 0;
  std::uint64_t epoch = 0;
  std::string metrics_address;
  bool self = false;
};

// What a link's handshake said where no record says the same.
struct Told {
  std::string name;
  std::string software;
};

struct Row {
  PeerId id;
  RecordRef record;  // the latest; null until one is known
  Instant since{};   // in this state
  std::uint64_t incarnation = 0;
  std::uint64_t epoch = 0;
  WallTime certificate_expiry{};
  std::optional<Duration> round_trip;
  State state = State::kDead;
  StateReason reason = StateReason::kNone;
  Connection connection = Connection::kIdle;
  StateReason connection_reason = StateReason::kNone;
  std::uint8_t direction = 0;  // 0 none, 1 inbound, 2 outbound

  // The last word on both, from a link or a record; empty if nobody told.
  const std::string& name() const;
  const std::string& software() const;

  // What follows is the bookkeeping of Members and Table.
  bool judged = false;                // the state is the quorum's verdict on this incarnation
  std::uint16_t vouchers = 0;         // how many say to have a link to it
  std::uint32_t round_trip_told = 0;  // microseconds, when it was last reported as changed
  std::unique_ptr<const Told> told;
  Instant last_alive{};       // for the memory of kPeerMemory
  Instant deadline = kNever;  // when time changes it
};
static_assert(sizeof(Row) <= 160, "a peer has thousands of them");

inline bool IsLost(State state) { return state == State::kDead || state == State::kUnreachable; }
inline bool IsLiving(State state) { return state == State::kAlive || state == State::kSuspect; }
// Only our own memory speaks for it. It is not told to others: of two that remember each other's
// memories nobody would ever be forgotten.
inline bool IsRemembered(const Row& row) {
  return row.state == State::kSuspect && row.reason == StateReason::kRemembered;
}
// Compared with the tables of others, and told to them.
inline bool IsTold(const Row& row) { return IsLiving(row.state) && !IsRemembered(row); }
// What tables are compared by.
inline std::uint64_t VersionOf(const Row& row) {
  return row.record ? row.record->Version() : row.incarnation;
}
inline bool IsLinked(const Row& row) { return row.connection == Connection::kConnected; }

}  // namespace peermesh::membership

#endif  // PEERMESH_MESH_MEMBERSHIP_ROW_H_
