// What two peers say to each other, as plain data. server/wire turns these into bytes and back; a
// simulator passes them as they are.
//
// The hello is not here: links shake hands below the node, and LinkUp carries what it needs to
// know.
#ifndef PEERMESH_MESH_NODE_FRAME_H_
#define PEERMESH_MESH_NODE_FRAME_H_

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "mesh/base/id.h"
#include "mesh/base/time.h"
#include "mesh/broadcast/piece.h"
#include "mesh/flow/run.h"
#include "mesh/membership/record.h"
#include "mesh/membership/statement.h"
#include "mesh/overlay/message.h"

namespace peermesh::node {

struct Heartbeat {
  std::uint64_t number = 0;
  std::uint64_t echo = 0;  // last number received from the other side; 0: none yet
  Duration echo_delay{};   // how long it waited there
  std::uint64_t interest_generation = 0;
  std::uint64_t interest_hash = 0;
  bool asks = false;             // the sender wants a heartbeat back at once
  std::uint64_t table_hash = 0;  // of the sender's member table; 0: not told
  broadcast::IHave have;         // between neighbours, what waited for company; mostly nothing
};

struct Interest {
  std::string pattern;
  std::uint32_t block_ms = 0;  // longest hold-back any of its BLOCK subscriptions asks for
  friend bool operator==(const Interest&, const Interest&) = default;
};

struct InterestSnapshot {
  std::uint64_t generation = 0;
  bool first = false;
  bool last = false;
  std::vector<Interest> entries;
};

struct InterestDelta {
  std::uint64_t generation = 0;  // after the change; changes `generation` - 1
  std::vector<Interest> add;
  std::vector<std::string> remove;
};

struct InterestAck {
  std::uint64_t generation = 0;
};

struct InterestRequest {};

using PeerRecord = membership::Record;

struct PeerRecords {
  std::vector<membership::RecordRef> records;
  // They belong to statements: to be passed on with them, even by who has no room for them.
  bool news = false;
};

struct PeerBelief {
  PeerId id;
  std::uint64_t incarnation = 0;
  bool linked = false;
  bool left = false;
  bool silent = false;  // it has a link and hears nothing
};

struct PeerStates {
  std::vector<PeerBelief> beliefs;
};

// Voices on who is gone and who is back. News travels once over every link.
struct Statements {
  std::vector<membership::StatementRef> statements;  // all past, or none
};

// Two tables that differ are compared by parts: hashes of all parts, then what is in those that
// differ, then the records themselves. A peer belongs to the part of its id's first byte.
inline constexpr std::size_t kTableParts = 256;
struct TableHashes {
  std::vector<std::uint64_t> hashes;  // kTableParts
};
struct TableRow {
  PeerId id;
  std::uint64_t version = 0;  // Record::Version
};
struct TableRows {
  std::vector<std::uint8_t> parts;  // those told here, whole
  std::vector<TableRow> rows;
};
struct RecordsWanted {
  std::vector<PeerId> ids;
};

enum class GoodbyeReason : std::uint8_t {
  kLeaving = 1,
  kDuplicate = 2,
  kReplaced = 3,
  kMisbehaved = 4,
  kSurplus = 5,  // the sender has links enough; it does not mind being dialled when there is cause
  kLost = 6,     // the receiver is held for dead, as it was told
};

struct Goodbye {
  GoodbyeReason reason = GoodbyeReason::kLeaving;
};

// The sender has the link up and will read its data stream.
struct LinkReady {};

using ControlFrame =
    std::variant<Heartbeat, InterestSnapshot, InterestDelta, InterestAck, InterestRequest,
                 PeerRecords, PeerStates, Goodbye, LinkReady, Statements, TableHashes, TableRows,
                 RecordsWanted, overlay::Message, broadcast::Message>;

// A piece of a broadcast on its way through the sender. Its signature has been checked.
struct Relayed {
  broadcast::PieceRef piece;
  std::uint32_t hops = 0;  // links it has come over, this one included

  std::uint64_t bytes() const { return piece->bytes(); }
};

struct DataFrame {
  std::vector<flow::Run> runs;
  std::vector<Relayed> relayed;  // behind the runs
  bool end = false;              // nothing follows on this stream: data has moved to a newer link
};

}  // namespace peermesh::node

#endif  // PEERMESH_MESH_NODE_FRAME_H_
