// Bounds and times of the node's own, beside those of mesh/base/limits.h. Private to mesh/node.
#ifndef PEERMESH_MESH_NODE_BOUNDS_H_
#define PEERMESH_MESH_NODE_BOUNDS_H_

#include <cstddef>
#include <cstdint>

#include "mesh/base/limits.h"
#include "mesh/base/time.h"

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
