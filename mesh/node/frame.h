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
#include "mesh/flow/run.h"

namespace peermesh::node {

struct Heartbeat {
  std::uint64_t number = 0;
  std::uint64_t echo = 0;  // last number received from the other side; 0: none yet
  Duration echo_delay{};   // how long it waited there
  std::uint64_t interest_generation = 0;
  std::uint64_t interest_hash = 0;
  bool asks = false;  // the sender wants a heartbeat back at once
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

// A peer's signed description of itself. The driver has verified signature and certificate before
// the node sees it; `encoded` is forwarded as it came.
struct PeerRecord {
  PeerId id;
  std::uint64_t incarnation = 0;
  std::string name;  // from the certificate
  std::vector<std::string> addresses;
  std::string metrics_address;
  std::string software;
  std::uint64_t epoch = 0;
  WallTime certificate_expiry{};
  std::string encoded;  // a serialised SignedPeerRecord
};

struct PeerRecords {
  std::vector<PeerRecord> records;
};

struct PeerBelief {
  PeerId id;
  std::uint64_t incarnation = 0;
  bool linked = false;
  bool left = false;
};

struct PeerStates {
  std::vector<PeerBelief> beliefs;
};

enum class GoodbyeReason : std::uint8_t {
  kLeaving = 1,
  kDuplicate = 2,
  kReplaced = 3,
  kMisbehaved = 4
};

struct Goodbye {
  GoodbyeReason reason = GoodbyeReason::kLeaving;
};

// The sender has the link up and will read its data stream.
struct LinkReady {};

using ControlFrame = std::variant<Heartbeat, InterestSnapshot, InterestDelta, InterestAck,
                                  InterestRequest, PeerRecords, PeerStates, Goodbye, LinkReady>;

struct DataFrame {
  std::vector<flow::Run> runs;
  bool end = false;  // nothing follows on this stream: data has moved to a newer link
};

}  // namespace peermesh::node

#endif  // PEERMESH_MESH_NODE_FRAME_H_
