// Who is dead in a large mesh: a count of voices, never one voice.
//
// Every peer names in its record who observes it: its K neighbours. An observer that loses it, or
// hears nothing from it, says so to everybody (statement.h), and every peer counts for itself:
//  * The latest word of an observer on an incarnation counts, whatever order words arrive in. Who
//    is not in the subject's record is kept and shown, not counted. With an empty list (the record
//    of a small mesh) everybody counts and K = 1.
//  * One counted voice: suspect. H = 80 % of K, rounded up: dead at once. From L = 30 % of K on:
//    dead when Lifeguard's timer fires, counted from when the tally reached L. Below L: suspect for
//    as long as the voices stand. Both marks are at least 2, so that no single peer declares
//    another dead, but for K = 1. (Rapid's watermarks without its agreement: peers may differ for
//    the time that a voice travels.)
//  * An observer that is dead itself cannot speak: it counts as a voice as soon as one living
//    observer accuses. A healthy peer whose neighbours died is not killed by their silence alone.
//  * Only the subject's own record takes suspicion or death back. What stands against one that is
//    not dead yet outlives a record that names other observers and says nothing else, or whoever
//    hears nothing would clear itself by losing its neighbours; K then includes those of before who
//    spoke. Its word that it leaves is final for its incarnation and outdoes all voices.
//  * Whose process died twice within kDeathMemory comes back kFirstPenalty after its death, then
//    twice as long each time: a peer with a bad link must not flap through everybody's table. The
//    record is kept; voices that stand at the end of the penalty keep it dead. A new process begins
//    anew. What a partition does is no flapping: deaths in company do not count, nor do later ones
//    for which fewer than L observers speak now, the others being dead, too, or having spoken long
//    ago on the other side.
//  * The cut off: behind a partition nobody accuses most of the peers, because their observers are
//    there too. So an observer that has been suspect or dead for kStranded without a new record is
//    a voice as well, slowly: a peer with L of both kinds is suspect, and dead if kStranded later
//    it has not renewed its record. Whoever lives has, because its record lists its neighbours and
//    those are gone: a node must renew it within kStranded of losing them.
//
// An attacker that observes fewer than L of a subject's K makes it suspect until it refutes, and
// nothing else. H colluding observers of one peer can call it dead, until it refutes. A peer
// chooses its own observers: with friends that keep silent it looks alive after its death. Voices
// that do not count are kMaxStrangers in all, so nobody fills our memory with them.
//
// Bounds: kMaxKnown subjects at about 20 bytes each beside the record, which the member table
// shares; kMaxVoices voices a subject, and only those of somebody else's observers. Not
// thread-safe; owned by the node's turn.
#ifndef PEERMESH_MESH_MEMBERSHIP_QUORUM_H_
#define PEERMESH_MESH_MEMBERSHIP_QUORUM_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "mesh/base/id.h"
#include "mesh/base/limits.h"
#include "mesh/base/time.h"
#include "mesh/membership/record.h"
#include "mesh/membership/roll.h"
#include "mesh/membership/state.h"
#include "mesh/membership/statement.h"

namespace peermesh::membership {

// Lifeguard's timer (research notes 9(d) and 16.3): Max with one voice fewer than one, Min with
// kTimerVoices; Max = 6 Min as memberlist has it.
inline constexpr Duration kTimerMin = std::chrono::seconds(4);
inline constexpr Duration kTimerMax = std::chrono::seconds(24);
inline constexpr std::size_t kTimerVoices = 3;  // Lifeguard's K

// Guess: a renewed record travels within a second, a neighbour is replaced within ten.
inline constexpr Duration kStranded = std::chrono::seconds(60);
// Guess: the search for the cut off looks at everybody's record, at most 0.9 ms for 1,000 peers.
inline constexpr Duration kSweepPause = std::chrono::seconds(10);
// Guess: deaths come in bursts, and each can be a voice against every suspect.
inline constexpr Duration kCascadePause = std::chrono::milliseconds(100);

// Guesses: a peer that flips every 20 s comes back once and then stays dead for most of the time;
// routers that damp flapping routes wait up to an hour (RFC 2439).
inline constexpr Duration kFirstPenalty = std::chrono::minutes(5);
inline constexpr Duration kMaxPenalty = std::chrono::minutes(20);
inline constexpr Duration kDeathMemory = std::chrono::hours(1);
// In company: so many died within kTogether of each other, in a larger mesh one in kPartOfAll of it
// (guesses: more than one host's peers, more than grey failures at one time).
inline constexpr Duration kTogether = std::chrono::seconds(15);
inline constexpr std::size_t kCompany = 4, kPartOfAll = 40;

// As many as a peer has links: more observers than that nobody has.
inline constexpr std::size_t kMaxVoices = kMaxLinks;
// Voices that do not count, of one subject and in all; what they are worth is to be seen.
inline constexpr std::size_t kMaxStrangersOfOne = 8;
inline constexpr std::size_t kMaxStrangers = 64;
// The member table forgets before it takes in, but its caller tells us of both after its turn: the
// records of one frame more.
inline constexpr std::size_t kMaxKnown = kMaxPeers + 1024;

// Thresholds for K observers.
constexpr std::size_t HighMark(std::size_t k) {
  const std::size_t mark = (4 * k + 4) / 5;
  return k == 1 ? 1 : mark < 2 ? 2 : mark;
}
constexpr std::size_t LowMark(std::size_t k) {
  const std::size_t mark = (3 * k + 9) / 10;
  return k == 1 ? 1 : mark < 2 ? 2 : mark;
}
static_assert(HighMark(8) == 7 && LowMark(8) == 3 && HighMark(1) == 1 && LowMark(1) == 1);
static_assert(HighMark(2) == 2 && LowMark(2) == 2 && HighMark(10) == 8 && LowMark(10) == 3);

// How long a tally of `voices` must stand; voices > 0.
Duration TimerOf(std::size_t voices);

class Quorum {
 public:
  enum class Heard : std::uint8_t {
    kNews,      // to be passed on
    kOld,       // known, outdone, or about somebody unknown
    kImpolite,  // no honest peer says this
  };
  // What no honest peer says.
  static bool IsImpolite(const Statement& said);
  // The subject is not this peer.
  Heard Hear(Instant now, const StatementRef& statement);
  // A record of the subject: a larger incarnation takes back what was said of smaller ones, its
  // observers are those that count from now on. Who stays dead for a penalty is reported as dead
  // once more: the member table has taken the record for life.
  void Describe(Instant now, const RecordRef& record);
  void Forget(PeerId subject);
  // 1 to 9: how far to trust our own clockwork; timers are so many times as long.
  void SetMultiplier(Instant now, int multiplier);

  void Wake(Instant now);
  Instant NextWake() const;

  struct Verdict {
    PeerId subject;
    State state = State::kAlive;  // alive, suspect, dead or left
    StateReason reason = StateReason::kNone;
    bool renewed = false;  // it lives, but stays dead for a penalty
    Instant since{};       // of Standing: when it came back
  };
  // What changed since the last call, each subject once, in order of id.
  std::vector<Verdict> TakeVerdicts();

  struct Voice {
    PeerId observer;
    StateReason reason = StateReason::kNone;
    Instant since{};
    bool counts = false;  // it is an observer of the subject
  };
  // All who are not alive, or were not lately: for a member table that begins to listen.
  std::vector<Verdict> Standing() const;
  // Who says that the subject is gone.
  std::vector<Voice> Accusers(PeerId subject) const;
  std::size_t roll_bytes() const { return roll_.HeapBytes(); }
  // What convinced us that it is dead or has left, or what stands against it, for those who missed
  // it; what was known for kTogether is past.
  std::vector<StatementRef> Evidence(Instant now, PeerId subject);

  void CheckInvariants() const;
  std::uint64_t Digest() const;

 private:
  struct Said {
    StatementRef statement;
    Instant since{};  // when it was first said in this sense
    bool counts = false;
  };
  enum class Penalty : std::uint8_t { kNone, kRunning, kOver };
  // A subject about which something was said in its incarnation, or that died lately.
  struct Case {
    State state = State::kAlive;
    StateReason reason = StateReason::kNone;
    Penalty penalty = Penalty::kNone;  // dead, though it has refuted
    bool stranded = false;             // suspect because its observers are gone
    std::uint8_t deaths = 0;           // each within kDeathMemory of the one before
    std::uint16_t tally = 0;
    Instant since{};            // when it became alive, or ceased to be
    Instant reached = kNever;   // when the tally reached L
    Instant died{};             // when we heard of the last of its deaths
    Instant counted{};          // the last that counts among them
    Instant returned{};         // when it came back last
    Instant deadline = kNever;  // as in due_
    std::vector<Said> voices;   // by observer
    std::vector<StatementRef> evidence;
  };
  struct Count {
    std::size_t spoken = 0;  // counting voices
    std::size_t former = 0;  // those of them that the latest record does not name
    std::size_t silent = 0;  // dead observers, if there is a voice
  };
  using Cases = std::map<PeerId, Case>;

  Heard Keep(Instant now, const Record& subject, Case& in, const StatementRef& statement);
  Count CountOf(const Record& subject, const Case& of) const;
  bool IsDead(std::uint64_t observer) const;
  static StateReason ReasonOf(const Case& of);
  void Evaluate(Instant now, PeerId subject, Case& of);
  void Become(Instant now, PeerId subject, Case& of, State state, StateReason reason);
  enum class By : std::uint8_t { kVoices, kStranding };
  void Die(Instant now, PeerId subject, Case& of, By what);
  void Recount(Instant now, const Record& subject, Case& of);
  void Leave(Instant now, PeerId subject, Case& of, const StatementRef& statement);
  void Void(Case& of);
  static Duration PenaltyOf(const Case& of);
  bool InCompany(const Case& of) const;

  // By time.
  Instant DeadlineOf(const Case& of) const;
  void Settle(Cases::iterator at);
  void Expire(Instant now, PeerId subject);
  void Cascade(Instant now);
  void Sweep(Instant now);
  void Strand(Instant now, const Record& subject, const std::vector<std::uint64_t>& quiet);
  Duration StrandedTime() const { return kStranded * multiplier_; }

  Roll roll_;
  Cases cases_;
  std::set<PeerId> suspects_;
  std::set<std::pair<Instant, PeerId>> due_;
  std::set<PeerId> changed_;
  std::size_t strangers_ = 0;
  int multiplier_ = 1;
  Instant cascade_at_ = kNever;
  Instant cascaded_ = Instant::min();
  Instant sweep_at_ = kNever;
  Instant disturbed_ = Instant::min();  // the last new suspicion or death
};

}  // namespace peermesh::membership

#endif  // PEERMESH_MESH_MEMBERSHIP_QUORUM_H_
