// Peers to fall back on when a neighbour is lost: a sample of the mesh that nobody else controls.
//
// Every peer has its place: a keyed hash of its id chooses one bucket of four, and the one of the
// four it contends for when all are taken. Rules, and why:
//  * A free place of the bucket is taken at once; a taken one only with a coin flip. What is known
//    already changes nothing, so repeating an id, a hundred times or from a hundred sources, gains
//    nothing beyond its own place.
//  * One source of hearsay (the neighbour whose message named the peer) holds at most half of all
//    places; beyond that its newcomers may only replace what it brought itself.
//  * Ids that were just given away are overwritten first (HyParView, section 4.4): they live on at
//    the other end of the exchange.
//
// What an attacker gains at best: with one neighbour that lies, half of the places; with k
// certified ids heard of through several neighbours, at most k places, each with even odds, and not
// those it would like: the hash key is drawn by this peer and never leaves it. The hash is a keyed
// mixer, no cipher: who could watch all places for long might learn their pattern, but nobody is
// shown more than a few random entries at a time.
//
// Bounds: as many places as configured, rounded up to whole buckets; 40 bytes for each that is
// taken.
// Not thread-safe; owned by the node's turn.
#ifndef PEERMESH_MESH_OVERLAY_PASSIVE_VIEW_H_
#define PEERMESH_MESH_OVERLAY_PASSIVE_VIEW_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "mesh/base/digest.h"
#include "mesh/base/id.h"
#include "mesh/base/rng.h"

namespace peermesh::overlay {

// A place costs 40 bytes, and ten thousand peers run in one simulator. The paper uses 30.
inline constexpr std::size_t kMostPassive = 256;

class PassiveView {
 public:
  // Draws the key.
  PassiveView(std::size_t places, Rng& rng);

  // Seen with our own eyes, or vouched for by the node. True if it was new and is here now.
  bool AddFirstHand(PeerId peer, Rng& rng);
  // Named by `source`; `given` are the ids we sent in exchange.
  bool AddHearsay(PeerId peer, const PeerId& source, std::span<const PeerId> given, Rng& rng);
  bool Remove(const PeerId& peer);
  bool Contains(const PeerId& peer) const { return Find(peer) != nullptr; }

  // A random entry that was not tried in this round; it counts as tried from now on.
  std::optional<PeerId> PickUntried(Rng& rng);
  void MarkTried(const PeerId& peer);
  // Everybody may be tried again.
  void NewRound() { ++round_; }
  // Appends up to `count` random entries that `sample` does not hold yet.
  void Sample(std::size_t count, Rng& rng, std::vector<PeerId>& sample) const;

  std::size_t size() const { return entries_.size(); }
  std::size_t places() const { return places_; }
  std::vector<PeerId> Ids() const;  // in order of id

  void CheckInvariants() const;
  void AddTo(Digest& digest) const;

 private:
  static constexpr std::size_t kWays = 4;
  struct Entry {
    PeerId peer;
    std::uint32_t source = 0;  // keyed hash; 0: first hand
    std::uint16_t tried = 0;   // the round it was tried in
    std::uint8_t place = 0;    // of a bucket: kWays in a row
  };
  static_assert(kMostPassive <= 256 && kMostPassive % kWays == 0, "a place fits a byte");
  using Entries = std::vector<Entry>;
  std::uint64_t KeyedHash(const PeerId& peer) const;
  bool Add(const PeerId& peer, std::uint32_t source, std::span<const PeerId> given, Rng& rng);
  std::size_t HeardFrom(std::uint32_t source) const;
  std::size_t BucketOf(std::uint64_t hash) const;  // its first place
  template <class Some>
  static auto FromPlace(Some& entries, std::size_t place);
  const Entry* Find(const PeerId& peer) const;
  Entry* Find(const PeerId& peer);

  std::array<std::uint64_t, 2> key_;
  const std::size_t places_;
  Entries entries_;  // in order of their places; free ones have none
  std::uint16_t round_ = 1;
};

}  // namespace peermesh::overlay

#endif  // PEERMESH_MESH_OVERLAY_PASSIVE_VIEW_H_
