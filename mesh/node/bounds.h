// Bounds and times of the node's own, beside those of mesh/base/limits.h. Private to mesh/node.
#ifndef PEERMESH_MESH_NODE_BOUNDS_H_
#define PEERMESH_MESH_NODE_BOUNDS_H_

#include <cstddef>
#include <cstdint>

#include "mesh/base/limits.h"
#include "mesh/base/time.h"
#include "mesh/broadcast/broadcast.h"
#include "mesh/membership/quorum.h"

namespace peermesh::node {

// Encoded records in one frame; kMaxControlFrameBytes less room for tags.
inline constexpr std::size_t kRecordsPerFrameBytes = 48u << 10;
static_assert(kRecordsPerFrameBytes + kMaxRecordBytes + kMaxCertificateBytes + 1024 <=
              kMaxControlFrameBytes);
// Patterns in one interest frame: 256 bytes each and some overhead stay below
// kMaxControlFrameBytes.
inline constexpr std::size_t kInterestPerFrame = 200;
static_assert(kInterestPerFrame * (kMaxSubjectBytes + 16) <= kMaxControlFrameBytes);
// Beliefs in one frame: about 48 bytes each.
inline constexpr std::size_t kBeliefsPerFrame = 1024;
static_assert(kBeliefsPerFrame * 48 <= kMaxControlFrameBytes);
// Control frames waiting on one link: all that a link can begin with, and a few. A peer that lets
// more wait does not read.
inline constexpr std::size_t kMaxControlQueue = 1024;
static_assert(kMaxSubscriptions / kInterestPerFrame +
                  kMaxPeers * (kMaxRecordBytes + kMaxCertificateBytes) / kRecordsPerFrameBytes +
                  kMaxPeers / kBeliefsPerFrame + 8 <
              kMaxControlQueue);
// From here on single changes of interest give way to one snapshot when the queue is empty again.
inline constexpr std::size_t kBusyControlQueue = kMaxControlQueue / 2;
// Replacing a link takes a few round trips, unless a subscriber that asked for BLOCK keeps the old
// one from being read to its end; one that takes longer is cut short.
inline constexpr Duration kReplaceTimeout = kMaxBlockTimeout + std::chrono::seconds(5);
// With more peers than a full mesh has, a link that nobody needs is closed after a while: at once
// after it was of no use, later when the mesh has just outgrown the full mesh, so that not
// everybody lets go of everybody in the same moment (guesses).
inline constexpr Duration kUselessLink = std::chrono::seconds(1);
inline constexpr Duration kSurplusLink = std::chrono::seconds(10);
inline constexpr Duration kSurplusSpread = std::chrono::seconds(10);
// The overlay is built before it is needed: from three quarters of a full mesh on, and it is given
// up below half of one, so that a mesh at the border does not change back and forth.
constexpr std::size_t SeekFrom(std::size_t full_mesh) { return full_mesh * 3 / 4; }
constexpr std::size_t SeekUntil(std::size_t full_mesh) { return full_mesh / 2; }
// Without neighbours everybody is tried, so often (guess).
inline constexpr Duration kSeekAllEvery = std::chrono::seconds(5);
inline constexpr std::size_t kSeekAtOnce = 8;  // of those that we take for alive: as of the lost
// A link for a message to one peer is waited for so long, and kept so long after the last one
// (guess: a conversation).
inline constexpr Duration kBorrowTime = kDialTimeout;
inline constexpr Duration kBorrowedLink = std::chrono::seconds(60);
// A channel with so many listeners or fewer is sent to them directly (architecture.md section 5).
// Links that could not be made are asked for again later, then later by twice as much (guesses).
inline constexpr std::size_t kFewListeners = 32;
inline constexpr Duration kAskFirst = std::chrono::seconds(5), kAskAgain = std::chrono::minutes(5);
// With more links than this, those that the overlay does not need go at once: the rest is for the
// overlay and for replacements.
inline constexpr std::size_t kMostUnneeded = kMaxLinks * 2 / 3;
// Links that are being made at one time for this; more are refused (research: 32 transient ones).
inline constexpr std::size_t kMaxBorrowed = 32;
// So long a mesh must be small enough before everybody links to everybody again (guess).
inline constexpr Duration kShrinkTime = std::chrono::seconds(60);
// Our own record names our neighbours; it is signed anew so long after they changed (guess: a dial
// and a question), and at most so often. Who dies before it names those of now waits for a timer: 1
// crash of 400 in a young mesh with twice these times, none with these, at the same cost.
inline constexpr Duration kRecordDelay = std::chrono::milliseconds(500);
inline constexpr Duration kRecordEvery = std::chrono::seconds(1);
// With more observers named since the last record for everybody, the next one is for everybody, too
// (guess: in a settled mesh that takes a day).
inline constexpr std::size_t kMostNamed = 96;
// So often when it names channels that it did not before: soon enough for kInterestAckTimeout.
inline constexpr Duration kChannelsEvery = std::chrono::milliseconds(500);
// Neighbours of a peer that died tell of their new ones within this time more, not all at once.
inline constexpr Duration kRecordSpread = std::chrono::seconds(20);
static_assert(kRecordEvery + kRecordSpread < membership::kStranded);
// Tables that differ in so many heartbeats in a row are compared: news takes less than one.
inline constexpr std::uint32_t kTableDiffers = 2;
// Rows tried to find one that may go; the overlay holds on to 76 of hundreds.
inline constexpr int kEvictionTries = 32;
// A newcomer learns the table from its neighbours, who know all of it: it passes on only what they
// say of themselves.
inline constexpr Duration kNewcomer = std::chrono::seconds(30);
// Rows in one frame of a comparison: about 46 bytes each.
inline constexpr std::size_t kTableRowsPerFrame = 1024;
static_assert(kTableRowsPerFrame * 48 <= kMaxControlFrameBytes);
// Statements in one frame: about 200 bytes each, and kRecordsPerFrameBytes if they are larger.
inline constexpr std::size_t kStatementsPerFrame = 256;
static_assert(kStatementsPerFrame * 200 <= kMaxControlFrameBytes);
// How long a broadcast waits for the messages that its origin sent straight to us before: their
// account comes with the next heartbeat at the latest.
inline constexpr Duration kWaitForStraight = kHeartbeat + std::chrono::milliseconds(500);
inline constexpr std::size_t kMaxWaitingStreams = 1024;  // guess: origins that switch at one time
// What waits the other way round: what the trees themselves may hold.
inline constexpr std::uint64_t kMaxAsideBytes = broadcast::kMaxHeldBytes;
// A heartbeat that was not answered so long after it was sent is late. In good order the newest
// answered one is two to four seconds old when the next goes out.
inline constexpr Duration kAnswerTime = 2 * kHeartbeat + kHeartbeat / 2;
// So many late ones of the last ten are an accusation (Rapid, USENIX ATC 2018: 40 % of the last 10
// probes), so few take it back (guess).
inline constexpr std::uint16_t kWatchedMask = (1u << 10) - 1;
inline constexpr int kLateAllowed = 4, kLateForgiven = 1;
// A full mesh decides together from so many on: the peer's other links, ours included (guess).
inline constexpr std::size_t kFewestVoters = 3;
// Who heard nothing for so long agrees with the others, or its link would be the last that speaks
// for a peer that is gone. In good order a heartbeat comes sooner.
inline constexpr Duration kAgreeAfter = kHeartbeat * 3 / 2;
static_assert(kAgreeAfter < kSuspectAfter);
// Announcements wait so long for a heartbeat to the same neighbour, then go on their own. Of two
// neighbours the one whose heartbeat is next tells the other, and the two beat in turns (links.cc),
// so half a period is enough. A peer hears of what it lacks from the first of about six, after
// 0.3 s on average (others: with a tick of 1 s).
inline constexpr Duration kAnnounceAfter = kHeartbeat / 2 + std::chrono::milliseconds(200);
// After the greeting and its answer the dialler's next heartbeat sets the rhythm of both.
inline constexpr std::uint64_t kFirstInTurn = 3;
// By so much the accepting side's heartbeat may move each time to stay between two of the other's.
inline constexpr Duration kInTurns = std::chrono::milliseconds(100);
// A wake-up this late means that this process was paused, not that the peers were silent.
inline constexpr Duration kOwnPause = std::chrono::seconds(1);
// Heartbeats whose sending time is remembered for the round trip.
inline constexpr std::size_t kHeartbeatMemory = 8;
// Pings to one peer: a person's or a monitor's. Far below what a link reads of control frames
// (server/link/links.h: 2,000 a second), so that nobody can delay heartbeats by asking.
inline constexpr std::int64_t kPingsPerSecond = 100, kPingsBurst = 100;
inline constexpr Duration kPingTimeout = std::chrono::seconds(5);
// Unanswered ones, to all peers. With less than kDeadAfter to wait for each, few ever wait.
inline constexpr std::size_t kMaxPings = 1024;
static_assert(kPingTimeout < kDeadAfter);

}  // namespace peermesh::node

#endif  // PEERMESH_MESH_NODE_BOUNDS_H_
