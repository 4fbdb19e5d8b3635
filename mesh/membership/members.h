// Who is in the mesh and how they are, as this peer sees it.
//
// In a small mesh everybody has a link to everybody, and links decide:
//  * A peer with a link is alive. Evidence beats hearsay: what others say moves a peer only between
//    dead, unreachable and left, never against a link of ours.
//  * Silence: suspect after kSuspectAfter, dead after kDeadAfter (the link is closed then). A
//    broken link is suspicion at once; a refused dial right after it is death at once: the process
//    is gone, its host is not.
//  * A goodbye is final for that incarnation. A record with a larger incarnation, or a new link,
//    revives.
//  * Dead while others hold a link to it: unreachable. It is our path that is broken, not the peer.
//
// In a large mesh most peers have no link to each other, and the voices of a peer's neighbours
// decide (quorum.h counts them and tells by Judge):
//  * Whoever is heard of is alive: its record is signed and only passed on while it lives. Not so
//    what we remember from before a restart, or suspected when the mesh grew large: suspect, and
//    dead after kRecallTime, unless somebody tells us again. Until then it is not told to others
//    (row.h: IsTold).
//  * A link that breaks or falls silent says nothing but that. One that comes up tells of life,
//    unless the quorum's verdict on this incarnation is dead or left: one that still reaches a peer
//    which the others lost must not make tables differ. Only a larger incarnation speaks against.
//  * Whoever was lost without evidence (never linked, or a link closed in order) while the mesh was
//    small is alive again when its record is told again.
// Who was unreachable when the mesh grows large is alive: others have it. When it becomes small
// again, its links speak: who has one is alive, who has none has kRelinkTime to get one.
//
// Rows are kept kPeerMemory after a peer was last alive, at most kMaxPeers: when full, the dead and
// the left go first, oldest first; the living are never pushed out by hearsay, and nobody with a
// link ever is. For a link there is always room: in a large mesh the living one goes whose id is
// farthest from ours (table.h: why).
//
// An attacker with a valid certificate can claim links to dead peers of a small mesh (they show as
// unreachable instead of dead), and pass on records of peers that died while we did not look, so
// that they show as alive until their neighbours' voices reach us. Nothing else. Times come from
// the caller. Not thread-safe; owned by the node's turn.
#ifndef PEERMESH_MESH_MEMBERSHIP_MEMBERS_H_
#define PEERMESH_MESH_MEMBERSHIP_MEMBERS_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <vector>

#include "mesh/base/id.h"
#include "mesh/base/limits.h"
#include "mesh/base/time.h"
#include "mesh/membership/record.h"
#include "mesh/membership/row.h"
#include "mesh/membership/state.h"
#include "mesh/membership/table.h"

namespace peermesh::membership {

// How long a peer whose link broke stays suspect in a small mesh before it is dead, when no dial
// settles the matter sooner: a link that was lost soon after it came up is redialled late, and a
// killed peer must be seen dead within 1 s.
inline constexpr Duration kSuspicion = std::chrono::milliseconds(800);
static_assert(kSuspicion <= kDeadAfter - kSuspectAfter, "a broken link tells more than silence");
// How long who is alive without a link has to get one after the mesh became small: guess, a few
// dials with their pauses.
inline constexpr Duration kRelinkTime = std::chrono::seconds(10);
// How long a peer of a large mesh that is only remembered is suspect before it is dead: guess, time
// to find a neighbour and compare tables with it.
inline constexpr Duration kRecallTime = std::chrono::seconds(30);
// In a full table of a large mesh, hearsay pushes out only who has been lost for so long: by then
// nobody passes its record on, and it does not come back as alive. Guess: a table that is full of
// the dead of one day must not keep out the living for the rest of it.
inline constexpr Duration kSettled = std::chrono::minutes(10);

class Members {
 public:
  explicit Members(PeerId self) : self_(self), table_(self) {}

  // Applies a record. Returns true if it was news (new peer or larger incarnation).
  bool Describe(Instant now, RecordRef record, StateReason how);
  // Whether a record of this incarnation, heard of now, would change anything.
  bool Wants(PeerId peer, std::uint64_t incarnation) const;

  // A link to the peer came up / is gone / went silent.
  void LinkUp(Instant now, PeerId peer, std::string_view name, std::uint64_t epoch,
              std::string_view software, WallTime certificate_expiry, std::uint8_t direction);
  void LinkDown(Instant now, PeerId peer, StateReason why);
  void Silent(Instant now, PeerId peer);  // missed heartbeats: suspect
  void Heard(Instant now, PeerId peer);   // any frame: refutes suspicion
  // A change is reported when it is known, and then for every eighth that the smoothed value moves.
  void RoundTrip(PeerId peer, Duration sample);
  void Dialling(Instant now, PeerId peer);
  void DialFailed(Instant now, PeerId peer, StateReason why);
  void Left(Instant now, PeerId peer);

  // Hearsay: `from` has (or no longer has) a link to `about`. Ignored in a large mesh.
  void Belief(Instant now, PeerId from, PeerId about, std::uint64_t incarnation, bool linked,
              bool left);
  // `from` is gone: what it believed is void.
  void ForgetBeliefsOf(Instant now, PeerId from);

  // From now on links decide, or the quorum does.
  void SetLarge(Instant now, bool large);
  bool large() const { return large_; }
  // The quorum's verdict: alive, suspect, dead or left. In a small mesh only that it left counts.
  void Judge(Instant now, PeerId peer, State state, StateReason reason);

  // Forgets a peer without a link: for who cannot keep everybody.
  void Drop(PeerId peer);

  // Suspects become dead, old rows go.
  void Wake(Instant now);
  Instant NextWake() const { return table_.NextDeadline(); }

  const Row* Find(PeerId peer) const { return table_.Find(peer); }
  const std::map<PeerId, Row>& rows() const { return table_.rows(); }
  PeerView View(const Row& row) const;
  // Who says to have a link to it, in order of id.
  std::vector<PeerId> Vouchers(PeerId about) const;
  bool Vouches(PeerId from, PeerId about) const;
  std::size_t size() const { return table_.rows().size(); }
  // Of the heap, for all rows, but for their records.
  std::size_t HeapBytes() const { return table_.HeapBytes(); }
  // Alive or suspect.
  std::size_t alive() const { return table_.living(); }

  // Which link of several stays.
  void Keep(PeerId peer, std::uint8_t direction);

  // Name, id, or unique prefix of an id (at least 4 characters), this peer's id included. Names win
  // over prefixes.
  using Lookup = Table::Lookup;
  Lookup Resolve(std::string_view text) const { return table_.Resolve(text); }

  // Hashes to compare tables by: over whom we tell of (row.h) in which incarnation, and ourselves
  // as told by SetSelf. A part is those whose id begins with that byte. Never 0.
  void SetSelf(std::uint64_t version) { table_.SetSelf(version); }
  std::uint64_t TableHash() const { return table_.Hash(); }
  std::vector<std::uint64_t> PartHashes() const { return table_.PartHashes(); }

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
  class Edit;
  Row& RowOf(Instant now, PeerId peer, StateReason how);
  void Set(Instant now, Row& row, State state, StateReason reason);
  void Lose(Instant now, Row& row, StateReason why);
  void Revive(Instant now, Row& row, StateReason how);
  void LeaveOpen(Instant now, Row& row);
  Instant DeadlineOf(const Row& row) const;
  void DropVouchersOf(Row& row);
  // Who may be pushed out depends on who comes.
  enum class Newcomer : std::uint8_t { kHeardOf, kLinked };
  bool MakeRoom(Instant now, Newcomer newcomer);
  void Remove(Row& row);

  const PeerId self_;

  Table table_;
  bool large_ = false;
  Instant small_since_ = Instant::min();
  // Who says to have a link to whom; of peers with a link to us, and about rows. Small meshes only.
  std::map<PeerId, std::vector<PeerId>> beliefs_;  // about whom: in order
  std::set<PeerId> changed_;
  std::map<PeerId, PeerView> removed_;
};

}  // namespace peermesh::membership

#endif  // PEERMESH_MESH_MEMBERSHIP_MEMBERS_H_
