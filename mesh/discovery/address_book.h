// Whom to dial next, where, and when.
//
// Targets are seeds (an address whose owner is unknown until it answers) and peers (an id with
// addresses from its signed record). Rules:
//  * Seeds and peers are sought until they are linked, for ever (seeds) or for kPeerMemory (peers):
//    a mesh that was split always finds itself again.
//  * Waiting times are drawn, not doubled in step: uniform in [kRedialMin, 3 x the last one], at
//    most kRedialMax (decorrelated jitter, Brooker 2015), so peers that lost the same host do not
//    come back as one.
//  * The first link of all, and any to a peer that was sought in vain, makes every lost target due
//    at once: the path that healed is probably everybody's.
//  * Of two peers that know each other, the one with the smaller id dials first; the other waits
//    kYield before it tries too, which saves most crossed dials.
//  * A lost link is sought again at once, but not twice in a row unless it lasted: then it counts
//    as a failed try.
//  * Addresses of one target are tried in turn. A seed whose owner is known, and linked or being
//    dialled, waits.
//
// Bounds: kMaxSeeds, kMaxPeers. An attacker's record can make us dial addresses of its choice at
// this pace; what answers there must prove to be that peer. Not thread-safe; owned by the node's
// turn.
#ifndef PEERMESH_MESH_DISCOVERY_ADDRESS_BOOK_H_
#define PEERMESH_MESH_DISCOVERY_ADDRESS_BOOK_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "mesh/base/id.h"
#include "mesh/base/limits.h"
#include "mesh/base/rng.h"
#include "mesh/base/time.h"

namespace peermesh::discovery {

class AddressBook {
 public:
  AddressBook(PeerId self, Rng rng) : self_(self), rng_(rng) {}

  // At most kMaxSeeds; more are ignored (the configuration refuses them first).
  void AddSeed(Instant now, std::string address);
  // These from now on. What is known of one that stays is kept, a new one is due at once, and of
  // one that goes only a dial under way is left, whose answer counts for whoever it is.
  void SetSeeds(Instant now, const std::vector<std::string>& addresses);
  // Learns or updates where a peer lives. A peer without addresses is never dialled.
  void Learn(Instant now, PeerId peer, std::vector<std::string> addresses);
  void Forget(PeerId peer);

  struct Attempt {
    DialId dial;
    std::string address;
    std::optional<PeerId> expected;
  };
  // Dials that are due; each is answered by Succeeded or Failed.
  std::vector<Attempt> TakeDue(Instant now);
  Instant NextWake() const;

  // A dial became a link to `peer`. A seed is known by its peer from then on.
  void Succeeded(DialId dial, PeerId peer);
  void Failed(Instant now, DialId dial);
  // We dialled ourselves: never again if it was a seed; of a peer, its next address.
  void IsSelf(Instant now, DialId dial);
  // Links decide who needs dialling, whoever dialled them.
  void Linked(Instant now, PeerId peer);
  void Unlinked(Instant now, PeerId peer);
  // The peer left in good order: sought again only after news of it.
  void Rest(PeerId peer);
  // Dial this linked peer once more, to replace its link.
  std::optional<Attempt> Replace(Instant now, PeerId peer);

  void CheckInvariants() const;
  std::uint64_t Digest() const;

 private:
  struct Target {
    std::vector<std::string> addresses;
    std::size_t next_address = 0;
    Instant due = kNever;
    Duration wait{};  // the last one drawn; 0: none yet
    Instant linked_at{};
    bool dialling = false;
    bool linked = false;
  };
  struct Seed {
    Target target;
    std::optional<PeerId> peer;  // who answered last
    bool self = false;
  };
  struct Flight {
    std::optional<PeerId> peer;
    std::optional<std::size_t> seed;
  };
  void Schedule(Instant now, Target& target);
  bool SettledElsewhere(const Seed& seed) const;
  Attempt Start(Target& target, Flight flight);
  void MakeLostDue(Instant now);
  Target* TargetOf(const Flight& flight);

  const PeerId self_;
  Rng rng_;
  std::vector<Seed> seeds_;
  std::map<PeerId, Target> peers_;
  std::map<DialId, Flight> flights_;
  std::uint64_t next_dial_ = 1;
};

}  // namespace peermesh::discovery

#endif  // PEERMESH_MESH_DISCOVERY_ADDRESS_BOOK_H_
