// The bounds and paces of the overlay, each with its reason. "guess": nobody has measured it.
#ifndef PEERMESH_MESH_OVERLAY_LIMITS_H_
#define PEERMESH_MESH_OVERLAY_LIMITS_H_

#include <cstddef>
#include <cstdint>

#include "mesh/base/limits.h"
#include "mesh/base/time.h"
#include "mesh/overlay/message.h"

namespace peermesh::overlay {

// Neighbours, whatever is asked: a link costs 50 to 100 KB, and each neighbour gets what is new.
inline constexpr std::size_t kMostActive = 12;

// --- Asking --------------------------------------------------------------------------------------
// Answer to a question, and for a link to come up: a round trip is far below (guess; others 0.5 s).
inline constexpr Duration kNeighborTimeout = std::chrono::seconds(2);
// Questions and dials at once, to fill our own view: a dead candidate does not hold up repair.
inline constexpr std::size_t kMostRepairs = 3;
// ...and with newcomers that were introduced to us, and swaps.
inline constexpr std::size_t kMostAttempts = 6;
static_assert(kMostActive + kMostAttempts < kMaxLinks);
// Candidates tried between two pauses: with fewer than half of the neighbours, and with more.
inline constexpr std::size_t kUrgentTries = 4;
inline constexpr std::size_t kPatientTries = 3;
inline constexpr Duration kRetry = std::chrono::seconds(5);       // a pause, +-20 %
inline constexpr Duration kAloneRetry = std::chrono::seconds(1);  // without any neighbour
// With one neighbour missing, pauses grow to this many times the usual one: in a mesh with an odd
// number of places somebody stays short for ever, and must not dial for ever at full pace.
inline constexpr std::size_t kMostPatience = 12;
// Pauses without success before a patient peer asks with high urgency (seen: without
// it, three that miss one each and have only each other stay alone for a minute).
inline constexpr std::size_t kInVain = 2;
// After an accepted Join: the ends of the walks, which are strangers to the contact, come first.
inline constexpr Duration kAfterJoin = std::chrono::seconds(2);
// Walks follow a Join; questions to others do without.
inline constexpr Duration kJoinAgain = std::chrono::seconds(5);
inline constexpr Duration kIsolatedAfter = std::chrono::seconds(5);

// --- Answering -----------------------------------------------------------------------------------
inline constexpr Duration kSplitPeriod = std::chrono::seconds(1);
// For who was parted with for our sake to come and ask: a dial and a question.
inline constexpr Duration kAwaited = 2 * kNeighborTimeout;
// One that is short of one neighbour, for whom somebody looks, waits so long to be asked.
inline constexpr Duration kAskedInstead = std::chrono::seconds(2);
// Steps of introductions passed on: 50 a second; a storm of joins gets on without.
inline constexpr Duration kIntroductionPeriod = std::chrono::milliseconds(20);
inline constexpr int kIntroductionBurst = 64;
inline constexpr std::uint8_t kNoteAt = 3;  // hops left when a newcomer is noted (paper: PRWL)
// Each end fills two places, as the contact does: three walks and the contact fill eight. A Join
// costs at most 40 messages: question, answer and a split (Disconnect, question, answer) at the
// contact; its hops, question, answer and a split for each walk.
inline constexpr std::size_t kMostJoinWalks = 3;
static_assert(5 + kMostJoinWalks * (kMostHops + 5) <= 40);
// Enough that two peers short of one meet; named for kSeekerMemory.
inline constexpr std::size_t kMostSeekers = 4;
inline constexpr Duration kSeekerMemory = std::chrono::seconds(30);

// --- Remembering ---------------------------------------------------------------------------------
// A lost peer is not taken in again by hearsay: rumours of it are younger than that for long.
inline constexpr Duration kLostMemory = std::chrono::seconds(60);
inline constexpr std::size_t kMostLost = 64;  // as many as the passive view names

// --- Mixing --------------------------------------------------------------------------------------
inline constexpr std::size_t kShuffleActive = 3;   // paper: ka
inline constexpr std::size_t kShufflePassive = 4;  // paper: kp
static_assert(1 + kShuffleActive + kShufflePassive == kMostCandidates);
// Swaps: the first one after kFirstSwap, each wait twice the one before, up to kSettledSwap. If the
// Join was refused, a few come soon: a storm of newcomers may leave islands, and nine peers that
// seek three must be one component within a minute (docs/overlay.md: no island in 10,000 storms).
inline constexpr Duration kSoonSwap = std::chrono::seconds(6);
inline constexpr std::size_t kSoonSwaps = 4;
inline constexpr Duration kFirstSwap = std::chrono::seconds(30);
// A swap costs about 40 KB in all: two links, and what four peers tell their neighbours of it.
// Islands are joined by then; what is left is to outwit whoever tries to choose our neighbours.
inline constexpr Duration kSettledSwap = std::chrono::minutes(20);
// With waits so long, views are mixed, and shuffles, which then only replace the dead among the
// candidates, go at half their pace: the least that others do (measured: a sixth of what an idle
// peer says beside heartbeats).
inline constexpr Duration kMixed = std::chrono::minutes(4);
// Below so many neighbours, and up to kSpareEdges above what is sought, nobody is parted with for a
// swap but common neighbours (measured, nine peers that seek three, looked at each second from 30 s
// to 120 s: 347 of 910,000 times two components without this, 47 with one spare edge, none with
// two; with five neighbours and a hundred peers none in any case).
inline constexpr std::size_t kSparse = 5;
inline constexpr std::size_t kSpareEdges = 2;
static_assert(kSparse + kSpareEdges <= kMostActive);

}  // namespace peermesh::overlay

#endif  // PEERMESH_MESH_OVERLAY_LIMITS_H_
