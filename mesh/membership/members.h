// Who is in the mesh and how they are, as this peer sees it.
//
// Rules:
//  * A peer with a link is alive. Evidence beats hearsay: what others say moves a peer only between
//    dead, unreachable and left, never against a link of ours.
//  * Silence: suspect after kSuspectAfter, dead after kDeadAfter (the link is closed then). A
//    broken link is suspicion at once; a refused dial right after it is death at once: the process
//    is gone, its host is not.
//  * A goodbye is final for that incarnation. A record with a larger incarnation, or a new link,
//    revives.
//  * Dead while others hold a link to it: unreachable. It is our path that is broken, not the peer.
//  * Rows are kept kPeerMemory after a peer was last alive, at most kMaxPeers: when full, the dead
//    and the left go first, oldest first; the living are never pushed out by newcomers, and nobody
//    with a link ever is.
//
// An attacker with a valid certificate can claim links to dead peers (they show as unreachable
// instead of dead) and nothing else. Times come from the caller. Not thread-safe; owned by the
// node's turn.
#ifndef PEERMESH_MESH_MEMBERSHIP_MEMBERS_H_
#define PEERMESH_MESH_MEMBERSHIP_MEMBERS_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "mesh/base/id.h"
#include "mesh/base/limits.h"
#include "mesh/base/time.h"

namespace peermesh::membership {

// Numbers are those of peermesh.v1.PeerState.
enum class State : std::uint8_t {
  kAlive = 1,
  kSuspect = 2,
  kDead = 3,
  kLeft = 4,
  kUnreachable = 5
};
// Numbers are those of peermesh.v1.ConnectionState.
enum class Connection : std::uint8_t {
  kIdle = 1,
  kConnecting = 2,
  kConnected = 3,
  kDisconnected = 4
};

// Why a peer or its connection is in its state.
enum class StateReason : std::uint8_t {
  kNone = 0,
  kLinkUp,             // a link came up
  kHeardOf,            // others told us; no link was tried yet
  kRemembered,         // known from before the restart
  kLinkClosed,         // the other side closed the link in order
  kLinkBroken,         // reset, end of file or TLS error
  kHeartbeatTimeout,   // silent for too long
  kConnectionRefused,  // nobody listens at its address
  kDialTimeout,
  kDialUnreachable,
  kDialRejected,  // TLS or hello failed
  kGoodbye,       // it said it leaves
  kStalled,       // it stopped reading
  kProtocolError,
};
// "HEARTBEAT_TIMEOUT"; empty for kNone.
const char* ToString(StateReason reason);

// One row, as shown to applications.
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

// What a signed record says; the caller has verified it.
struct Description {
  PeerId id;
  std::string name;
  std::uint64_t incarnation = 0;
  std::vector<std::string> addresses;
  std::string metrics_address;
  std::string software;
  std::uint64_t epoch = 0;
  WallTime certificate_expiry{};
};

class Members {
 public:
  explicit Members(PeerId self) : self_(self) {}

  // Applies a record. Returns true if it was news (new peer or larger incarnation).
  bool Describe(Instant now, const Description& description, StateReason how);

  // A link to the peer came up / is gone / went silent.
  void LinkUp(Instant now, PeerId peer, std::string_view name, std::uint64_t epoch,
              std::string_view software, WallTime certificate_expiry, std::uint8_t direction);
  void LinkDown(Instant now, PeerId peer, StateReason why);
  void Silent(Instant now, PeerId peer);  // missed heartbeats: suspect
  void Heard(Instant now, PeerId peer);   // any frame: refutes suspicion
  void RoundTrip(PeerId peer, Duration sample);
  void Dialling(Instant now, PeerId peer);
  void DialFailed(Instant now, PeerId peer, StateReason why);
  void Left(Instant now, PeerId peer);

  // Hearsay: `from` has (or no longer has) a link to `about`.
  void Belief(Instant now, PeerId from, PeerId about, std::uint64_t incarnation, bool linked,
              bool left);
  // `from` is gone: what it believed is void.
  void ForgetBeliefsOf(Instant now, PeerId from);

  // Suspects become dead, old rows go.
  void Wake(Instant now);
  Instant NextWake() const;

  const PeerView* Find(PeerId peer) const;
  const std::map<PeerId, PeerView>& rows() const { return rows_; }
  // Who says to have a link to it, in order of id.
  std::vector<PeerId> Vouchers(PeerId about) const;
  std::size_t size() const { return rows_.size(); }

  // Which link of several stays.
  void Keep(PeerId peer, std::uint8_t direction);

  // Name, id, or unique prefix of an id (at least 4 characters), this peer's id included. Names win
  // over prefixes.
  struct Lookup {
    std::optional<PeerId> peer;
    bool ambiguous = false;
  };
  Lookup Resolve(std::string_view text) const;

  // Rows changed since the last call, each once, in order of id; removed rows with their last
  // content.
  struct Change {
    PeerView peer;
    bool removed = false;
  };
  std::vector<Change> TakeChanges();

  void CheckInvariants() const;
  std::uint64_t Digest() const;

 private:
  PeerView& Row(Instant now, PeerId peer, StateReason how);
  void Set(Instant now, PeerView& row, State state, StateReason reason);
  void Lose(Instant now, PeerView& row, StateReason why);
  // Who may be pushed out: rows of the lost and the left; for a link, those of mere suspects too.
  enum class Newcomer : std::uint8_t { kHeardOf, kLinked };
  bool MakeRoom(Newcomer newcomer);
  std::map<PeerId, PeerView>::iterator Remove(std::map<PeerId, PeerView>::iterator row);

  const PeerId self_;

  std::map<PeerId, PeerView> rows_;
  std::map<PeerId, std::set<PeerId>> vouchers_;  // about -> peers that say they have a link to it
  std::map<PeerId, Instant> last_alive_;         // for the memory of kPeerMemory
  std::map<PeerId, Change> changes_;
};

}  // namespace peermesh::membership

#endif  // PEERMESH_MESH_MEMBERSHIP_MEMBERS_H_
