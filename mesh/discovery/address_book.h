// Whom to dial next, where, and when.
//
// Targets are seeds (an address whose owner is unknown until it answers) and peers (an id with
// addresses from its signed record). In a small mesh everybody known is dialled. Rules:
//  * Seeds and peers are sought until they are linked, for ever (seeds) or until they are forgotten
//    (peers): a mesh that was split always finds itself again.
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
// In a large one somebody else chooses neighbours, and the book dials only
//  * whom it is told to (Want): every address once, then it says that it gave up;
//  * who is lost (Lost): after 2, 4, 8 ... 300 s, all of them together at most once in kLostPause;
//    behind that, and for those above kMaxLostSought, three random ones a minute in all. One that
//    is found on the other side of a split brings news of all others, so more would be waste;
//  * a random seed a minute that is not linked and not known to live, or rarely any: two
//    islands that forgot each other have it in common. Without any link seeds are sought as in a
//    small mesh.
//
// Bounds: kMaxSeeds; kMaxPeers known, 56 bytes each (addresses are shared with whoever has the
// record); of these 200 bytes more for each that is linked, dialled, wanted or sought. An
// attacker's record can make us dial addresses of its choice at this pace; what answers there must
// prove to be that peer. Not thread-safe; owned by the node's turn.
#ifndef PEERMESH_MESH_DISCOVERY_ADDRESS_BOOK_H_
#define PEERMESH_MESH_DISCOVERY_ADDRESS_BOOK_H_

#include <concepts>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "mesh/base/growth.h"
#include "mesh/base/id.h"
#include "mesh/base/limits.h"
#include "mesh/base/rng.h"
#include "mesh/base/sorted_map.h"
#include "mesh/base/time.h"

namespace peermesh::discovery {

// Of a large mesh. Times are drawn within a quarter around these. Research: protocols, 16.3.
inline constexpr Duration kLostFirst = std::chrono::seconds(2);  // doubled with every try
inline constexpr Duration kLostLast = std::chrono::seconds(300);
inline constexpr std::uint8_t kLostTries = 9;
static_assert(kLostFirst * (1 << (kLostTries - 1)) > kLostLast);
static_assert(kLostFirst * (1 << (kLostTries - 2)) < kLostLast);
inline constexpr Duration kRandomLost = std::chrono::seconds(20);
inline constexpr Duration kIslandCheck = std::chrono::seconds(60);
// Of so many checks that find nothing but seeds whose owners are known to live, one is made; in a
// larger mesh fewer, so that all peers together make one in ten seconds: with all of them, 4,096
// peers would dial each of three seeds 23 times a second, for ever.
inline constexpr std::uint64_t kNearSeed = 10;
inline constexpr std::size_t kNearSeedPeers = 6;
// Guess: half of a mesh lost is half a dial a second, and the first to answer ends it.
inline constexpr Duration kLostPause = std::chrono::seconds(2);
inline constexpr std::size_t kMaxLostSought = 64;  // guess: a rack of hosts and a bit
inline constexpr std::size_t kLostAtOnce = 8;      // by SeekAll: guess, as many as neighbours

class AddressBook {
 public:
  using Addresses = std::shared_ptr<const std::vector<std::string>>;

  AddressBook(PeerId self, Rng rng) : self_(self), rng_(rng) {}

  // At most kMaxSeeds; more are ignored (the configuration refuses them first).
  void AddSeed(Instant now, std::string address);
  // These from now on. What is known of one that stays is kept, a new one is due at once, and of
  // one that goes only a dial under way is left, whose answer counts for whoever it is.
  void SetSeeds(Instant now, const std::vector<std::string>& addresses);
  // Learns or updates where a peer lives. A peer without addresses is never dialled.
  void Learn(Instant now, PeerId peer, std::vector<std::string> addresses) {
    Know(now, peer, std::make_shared<const std::vector<std::string>>(std::move(addresses)));
  }
  // The same with addresses that somebody keeps anyway. Not null.
  template <std::convertible_to<Addresses> Shared>
  void Learn(Instant now, PeerId peer, Shared addresses) {
    Know(now, peer, std::move(addresses));
  }
  void Forget(PeerId peer);

  // The mesh is large, or small again. What is known stays known.
  void SetLarge(Instant now, bool large);
  // Dial this peer, every address once. False: it is linked, or nobody knows where it lives.
  bool Want(Instant now, PeerId peer);
  void Unwant(PeerId peer);  // a dial under way goes on
  bool Wanted(PeerId peer) const;
  // It is dead, as far as we know: sought until linked, found or forgotten.
  void Lost(Instant now, PeerId peer);
  void Found(PeerId peer);
  // Nobody is left to talk to: all seeds and kLostAtOnce lost peers are due.
  void SeekAll(Instant now);

  struct Attempt {
    DialId dial;
    std::string address;
    std::optional<PeerId> expected;
  };
  // Dials that are due; each is answered by Succeeded, Failed or IsSelf.
  std::vector<Attempt> TakeDue(Instant now);
  Instant NextWake() const;

  // A dial became a link to `peer`. A seed is known by its peer from then on.
  void Succeeded(DialId dial, PeerId peer);
  // Returns the peer that was wanted and is given up with this, if there is one.
  std::optional<PeerId> Failed(Instant now, DialId dial);
  // We dialled ourselves: never again if it was a seed; of a peer, its next address.
  std::optional<PeerId> IsSelf(Instant now, DialId dial);
  // Links decide who needs dialling, whoever dialled them.
  void Linked(Instant now, PeerId peer);
  void Unlinked(Instant now, PeerId peer);
  // The peer left in good order: sought again only after news of it.
  void Rest(PeerId peer);
  // Dial this linked peer once more, to replace its link.
  std::optional<Attempt> Replace(Instant now, PeerId peer);

  std::size_t known() const { return known_.size(); }
  // Of the heap, but for the addresses.
  std::size_t known_bytes() const { return HeapBytes(known_); }
  void CheckInvariants() const;
  std::uint64_t Digest() const;

 private:
  struct Known {
    PeerId peer;
    Addresses addresses;
    bool rests = false;
    bool lost = false;
  };
  // Somebody to dial, being dialled or linked. In a small mesh, everybody known.
  struct Target {
    Instant due = kNever;
    Duration wait{};  // the last one drawn; 0: none yet
    Instant linked_at{};
    std::uint8_t next_address = 0;
    std::uint8_t round = 0;  // wanted: addresses left to try
    std::uint8_t tries = 0;  // lost and sought: this try is the next one
    bool paced = false;      // `due` is one of paced_
    bool dialling = false;
    bool linked = false;
  };
  struct Seed {
    std::string address;
    Target target;
    std::optional<PeerId> peer;  // who answered last
    bool self = false;
  };
  struct Flight {
    std::optional<PeerId> peer;
    std::optional<std::size_t> seed;
  };
  using Queue = std::set<std::pair<Instant, PeerId>>;
  enum class Pace : bool { kFree, kPaced };

  // address_book.cc
  void Know(Instant now, PeerId peer, Addresses addresses);
  void KnowSmall(Instant now, PeerId peer, bool news);
  Known* FindKnown(PeerId peer);
  const Known* FindKnown(PeerId peer) const;
  Target* FindTarget(PeerId peer);
  bool HasAddress(PeerId peer) const;
  void SetDue(PeerId peer, Target& target, Instant due, Pace pace = Pace::kFree);
  void ReadSeedsDue();
  Duration DrawWait(Target& target);
  void Schedule(Instant now, PeerId peer, Target& target);
  void ScheduleSeed(Instant now, Seed& seed);
  bool SettledElsewhere(const Seed& seed) const;
  Attempt Start(PeerId peer);
  Attempt Start(std::size_t seed);
  void MakeLostDue(Instant now);
  std::optional<PeerId> PeerFailed(Instant now, PeerId peer);
  void UnlinkedSmall(Instant now, PeerId peer, Target& target);

  // large.cc
  Duration Around(Duration time);
  void DropIfIdle(PeerId peer);
  void BeginSeeking(Instant now, PeerId peer);
  void SeekAgain(Instant now, PeerId peer, Target& target);
  void EndSeeking(Target& target);
  void ClearLost(PeerId peer);
  std::optional<PeerId> PickLost();
  std::optional<std::size_t> PickSeed();
  void RestSeeds(Instant now);
  void CheckIslandsFrom(Instant now);
  void MakeRandomDue(Instant now);
  void BecomeLarge(Instant now);
  void BecomeSmall(Instant now);

  const PeerId self_;
  Rng rng_;
  bool large_ = false;
  std::vector<Seed> seeds_;
  std::vector<Known> known_;  // in order of id: a map would take twice the room
  SortedMap<PeerId, Target> peers_;
  Queue due_, paced_;           // of peers_
  Instant seeds_due_ = kNever;  // the first of seeds_
  Instant paced_from_{};        // when one of paced_ may be dialled
  Instant random_at_ = kNever, island_at_ = kNever;
  std::size_t linked_ = 0, lost_ = 0, sought_ = 0;  // how many; sought: those with tries
  std::map<DialId, Flight> flights_;
  std::uint64_t next_dial_ = 1;
};

}  // namespace peermesh::discovery

#endif  // PEERMESH_MESH_DISCOVERY_ADDRESS_BOOK_H_
