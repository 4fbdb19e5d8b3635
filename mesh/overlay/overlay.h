// Which peers of a large mesh this one keeps links to: a hardened HyParView (Leitao, Pereira and
// Rodrigues, DSN 2007).
//
// A small active view of neighbours, symmetric, over which everything is broadcast and by which
// failures are seen; a larger passive view to take from when a neighbour is lost. Random walks
// introduce newcomers and mix the passive views. Beyond the paper:
//  * Nobody becomes a neighbour before it was heard from: on its accepting reply, or when we send
//    ours. The dead are never collected (what others found out: research notes, section 3).
//  * Edges are split, not thrown away. A full peer that takes in a newcomer parts with a neighbour
//    and names the newcomer to it, so two places of the newcomer are filled and nobody else's
//    degree changes. At most one split a second; refusals carry other candidates instead.
//  * Peers short of one neighbour find each other: whoever refuses them remembers them for a while
//    and names them to the next one. After a while in vain they ask urgently too. Who was parted
//    with for that is awaited, and taken in one above the target: rather one too many than one too
//    few. A peer with one too many gives it to the next that asks.
//  * Up to half of the neighbours are kept: chosen by ourselves from the passive view, and never
//    given up because others ask. Choosing goes on, slowly, also when all is well (a swap): both
//    ends part with a neighbour for the new edge and these two find each other. It mixes, and it
//    joins islands that a storm of newcomers or a partition left.
//  * Who is parted with is a neighbour of both if there is one: an edge that closes a triangle
//    holds nothing together. Questions and answers name neighbours for that. Where few neighbours
//    are sought (kSparse) and there is none, both ends keep one too many instead: two edges may be
//    all that holds such a mesh together, and swaps of them left islands (docs/overlay.md).
//  * Once a mesh has formed, who swaps says so: whom the other end parts with is not sent to it,
//    which has no place, but waits for the one that is sent there (half of what was dialled in an
//    idle mesh was for such vain questions). While it forms, asking around is what joins islands.
//
// How both ends come to agree. A link delivers in order, so what a peer says is true of the moment
// it said it: yes (an accepting reply) is "I count you", no (a refusal, a Disconnect) is "I do
// not".
//  1. A no always counts, whatever we thought; except that a Disconnect does not end our waiting
//     for the reply to a question it may have crossed.
//  2. A yes counts only while we wait for it. Otherwise, unless we are neighbours anyway, it is
//     answered by Disconnect: it may be older than a Disconnect of ours.
//  3. A question that crosses our own is a yes, and is answered by one.
//  4. What only neighbours say (shuffles, introductions, broadcasts: NotNeighbor), said by somebody
//     else, is answered by Disconnect.
// So an edge known at one end only lasts a round trip, or the timeout of the question that is out;
// one left behind by replaced links goes with the next thing said over it.
//
// What an attacker with a valid certificate gains at best: a place with each peer it asks when that
// one has room, and one split a second otherwise, never at the cost of a kept neighbour; it may
// choose which of the others goes by claiming to have that one too. Somebody
// parted with tries whom it names first, but does not keep that one as chosen by itself. It fills
// at most half of a passive view alone (passive_view.h). Lists are short, walks are short, never
// return, and are passed on at a bounded rate. Dials are counted: kUrgentTries or kPatientTries
// between two pauses, one more when a neighbour or a shuffle brings news and a place is free, and
// one a second to newcomers that are introduced. Who keeps asking a full peer is named first to the
// next that is refused there, for kSeekerMemory.
//
// Bounds: neighbours kMostActive, attempts kMostAttempts, candidates by Config::passive, lists of
// kMostCandidates; links are as many as the node has. 4 KB when idle.
// Not thread-safe; owned by the node's turn.
#ifndef PEERMESH_MESH_OVERLAY_OVERLAY_H_
#define PEERMESH_MESH_OVERLAY_OVERLAY_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "mesh/base/id.h"
#include "mesh/base/rng.h"
#include "mesh/base/time.h"
#include "mesh/overlay/limits.h"
#include "mesh/overlay/message.h"
#include "mesh/overlay/pace.h"
#include "mesh/overlay/passive_view.h"
#include "mesh/overlay/walks.h"

namespace peermesh::overlay {

struct Config {
  std::size_t active = 8;    // neighbours sought; 95 % of survivors stay connected with 5 after
                             // half are gone, 99.6 % with 8 (docs/overlay.md)
  std::size_t passive = 64;  // all dead with odds of 1 in 800 when 90 % are gone; paper: 30
  Duration shuffle_every = std::chrono::seconds(30);  // guess; others: 10 s, 60 s
};

// Say this to a linked peer.
struct Send {
  PeerId peer;
  Message message;
};
// Make a link to this peer: Linked or CannotReach answers.
struct Connect {
  PeerId peer;
};
// The overlay has no use for the link to this peer any more.
struct Release {
  PeerId peer;
};
// From now on, or no longer, a neighbour. Both ends say so within a round trip of each other.
struct Activated {
  PeerId peer;
};
struct Deactivated {
  PeerId peer;
};
using Wish = std::variant<Send, Connect, Release, Activated, Deactivated>;
using Wishes = std::vector<Wish>;

enum class Loss : std::uint8_t { kInOrder, kFailed };

class Overlay {
 public:
  Overlay(PeerId self, Config config, Rng rng);

  // Without it, the overlay answers others and asks for nothing itself.
  void Seek(Instant now, bool seeks, Wishes& out);
  // A link to this peer is up, or the last one is gone. Links are made for many reasons; the
  // overlay uses those there are.
  void Linked(Instant now, PeerId peer, Wishes& out);
  void Unlinked(Instant now, PeerId peer, Loss how, Wishes& out);
  // A Connect came to nothing.
  void CannotReach(Instant now, PeerId peer, Wishes& out);
  // Over the link to `from`. False: no honest peer says this.
  bool Receive(Instant now, PeerId from, const Message& message, Wishes& out);
  // Something that only neighbours say came over the link to this peer. Nothing if it is one, or
  // about to be.
  void NotNeighbor(Instant now, PeerId peer, Wishes& out);
  // It lives, and where is known: a candidate. The next one, if it was lost a short while ago.
  void Learn(Instant now, PeerId peer);
  // Dead, left or banned: no candidate, and no neighbour.
  void Forget(Instant now, PeerId peer, Wishes& out);
  // This linked peer was lost for long, perhaps with half of the mesh: be its neighbour although
  // our view is full.
  void Bridge(Instant now, PeerId peer, Wishes& out);
  void Wake(Instant now, Wishes& out);
  Instant NextWake() const;

  bool IsActive(PeerId peer) const;
  bool HasActive() const { return !active_.empty(); }
  bool IsCandidate(const PeerId& peer) const { return passive_.Contains(peer); }
  bool IsLost(Instant now, const PeerId& peer) const;  // dead, or could not be reached, lately
  // The link to this peer is used, or about to be.
  bool Needs(PeerId peer) const;
  std::vector<PeerId> Active() const;                             // in order of id
  std::vector<PeerId> Passive() const { return passive_.Ids(); }  // in order of id
  // Too few neighbours for too long: seeds, and peers that were lost, should be tried now. Stays
  // true in a mesh of two.
  bool isolated() const { return isolated_; }

  // Short of neighbours, and nobody is left to ask: whoever is known to live should be named
  // (Learn).
  bool starves() const;

  // Neighbours of our own choice, which others cannot make us give up.
  std::size_t kept() const;

  void CheckInvariants() const;
  std::uint64_t Digest() const;

 private:
  // Why a peer is asked. Only who we chose ourselves is kept; who is asked by Swap gets the place
  // of somebody else.
  enum class Motive : std::uint8_t { kChosen, kAdvised, kIntroduced, kSwap };
  enum class Question : std::uint8_t { kLow, kHigh, kSwap, kJoin };
  // Who may go for somebody: common neighbours of us and that one, or others.
  enum class Which : std::uint8_t { kCommonFirst, kCommon, kOthers };
  struct Edge {
    PeerId peer;
    bool kept = false;
  };
  struct Attempt {
    PeerId peer;
    Instant until{};
    Motive motive = Motive::kChosen;
    bool urgent = false;  // whatever our view looks like
    bool parts = false;   // a neighbour goes for it if the view is full
    bool asked = false;   // else: the link is being made
    bool join = false;    // asked by Join
  };
  struct Advice {
    PeerId peer;
    bool urgent = false;
  };
  struct Timed {
    PeerId peer;
    Instant until{};
    bool linked = false;  // of a lost one: it had a link, which failed
  };

  // receive.cc
  bool Hear(Instant now, const PeerId& from, const Join&, Wishes& out);
  bool Hear(Instant now, const PeerId& from, const ForwardJoin& message, Wishes& out);
  bool Hear(Instant now, const PeerId& from, const Neighbor& message, Wishes& out);
  bool Hear(Instant now, const PeerId& from, const NeighborReply& message, Wishes& out);
  bool Hear(Instant now, const PeerId& from, const Disconnect& message, Wishes& out);
  bool Hear(Instant now, const PeerId& from, const Shuffle& message, Wishes& out);
  bool Hear(Instant now, const PeerId& from, const ShuffleReply& message, Wishes& out);
  void Answer(Instant now, const PeerId& from, Question question, std::span<const PeerId> theirs,
              Wishes& out);
  void Refuse(Instant now, const PeerId& from, std::span<const PeerId> theirs, Wishes& out);
  void HearYes(Instant now, const PeerId& from, const NeighborReply& message, Wishes& out);
  void HearNo(Instant now, const PeerId& from, const NeighborReply& message, Wishes& out);
  void Introduce(Instant now, const PeerId& joiner, Wishes& out);
  bool TakeIn(Instant now, const PeerId& source, std::span<const PeerId> peers,
              std::span<const PeerId> given);
  std::vector<PeerId> Candidates(Instant now, const PeerId& reader);

  // overlay.cc
  void Activate(const PeerId& peer, bool keep, Wishes& out);
  void Deactivate(Instant now, const PeerId& peer, Wishes& out);
  void PartWith(Instant now, const PeerId& peer, std::vector<PeerId> candidates, Wishes& out);
  std::optional<PeerId> ToPartWith(const PeerId& newcomer, std::span<const PeerId> theirs = {},
                                   Which which = Which::kCommonFirst);
  Which WhoMayGo() const;
  std::optional<PeerId> RandomNeighbor(const PeerId& but, const PeerId& nor);
  void ReleaseIdle(const PeerId& peer, Wishes& out) const;
  Attempt* FindAttempt(const PeerId& peer);
  const Attempt* FindAttempt(const PeerId& peer) const;
  std::optional<Attempt> EndAttempt(const PeerId& peer);
  bool IsLinked(const PeerId& peer) const;
  void Lose(Instant now, const PeerId& peer, bool linked);
  std::optional<Timed> Found(Instant now, const PeerId& peer);
  void Advise(const PeerId& peer, bool urgent);
  std::size_t KeptWanted() const { return config_.active / 2; }
  bool IsOver() const { return active_.size() > config_.active; }
  bool IsFull() const { return active_.size() >= config_.active; }

  // repair.cc
  void Settle(Instant now, Wishes& out);  // at the end of whatever changed something
  void Repair(Instant now, Wishes& out);
  void Hurry(Instant now, std::size_t tries);
  void Pause(Instant now, bool spent);
  bool MayRepair() const;
  bool IsUrgent() const;
  std::optional<Attempt> NextCandidate(Instant now);
  void Start(Instant now, Attempt attempt, Wishes& out);
  void Ask(Instant now, Attempt& attempt, Wishes& out);
  void GiveUpLateAttempts(Instant now, Wishes& out);
  void StartShuffle(Instant now, Wishes& out);
  void Swap(Instant now, Wishes& out);
  void PlanSwap(Instant now, Duration wait);

  // Constant after construction.
  const PeerId self_;
  const Config config_;

  // State. Vectors, because they are small: the views and lists of all peers fit the cache.
  Rng rng_;
  bool seeks_ = false;
  std::vector<PeerId> linked_;     // sorted
  std::vector<Edge> active_;       // sorted by id; never above kMostActive
  std::vector<Attempt> attempts_;  // in order of their start; never above kMostAttempts
  std::vector<Advice> advice_;     // next one last; never above kMostCandidates
  std::vector<Timed> lost_;        // in order of time; never above kMostLost
  std::vector<Timed> seekers_;     // refused lately, in order of time; never above kMostSeekers
  Timed awaited_{};                // it was parted with for us, and will ask us
  std::vector<PeerId> given_;      // what our last shuffle gave away
  PassiveView passive_;
  Walks walks_;
  Pace splits_;
  Pace introductions_;

  // Timers.
  Instant resume_at_{};   // no repair before; kNever: nobody is left to try
  Instant join_again_{};  // no Join before
  Instant shuffle_at_ = kNever;
  Instant swap_at_ = kNever;
  Instant alone_since_ = kNever;  // fewer than two neighbours
  bool isolated_ = false;
  std::size_t tries_ = kUrgentTries;  // left before the next pause
  bool spent_ = false;                // paused because there were none left
  std::size_t futile_ = 0;            // pauses since the last neighbour came or went
  Duration swap_wait_ = kFirstSwap;
  std::size_t soon_swaps_ = 0;
};

}  // namespace peermesh::overlay

#endif  // PEERMESH_MESH_OVERLAY_OVERLAY_H_
