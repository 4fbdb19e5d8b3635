// Every bound of the mesh in one place, with its reason. "guess" marks a number nobody has measured
// yet.
#ifndef PEERMESH_MESH_BASE_LIMITS_H_
#define PEERMESH_MESH_BASE_LIMITS_H_

#include <cstddef>
#include <cstdint>

#include "mesh/base/time.h"

namespace peermesh {

// --- Messages ------------------------------------------------------------------------------------
// NATS warns at 256; fits the walk's fixed checks.
inline constexpr std::size_t kMaxSubjectBytes = 256;
inline constexpr std::size_t kMaxSubjectTokens = 16;  // bounds the matcher's recursion
inline constexpr std::size_t kMaxHeaders = 16;
inline constexpr std::size_t kMaxHeaderBytes = 4096;  // all keys and values of one message
inline constexpr std::size_t kMaxHeaderKeyBytes = 64;
inline constexpr std::size_t kMaxContentTypeBytes = 128;
// One encoded Message; pipes are for more.
inline constexpr std::size_t kMaxMessageBytes = 1u << 20;
inline constexpr std::size_t kMaxBatchMessages = 1024;  // bounds rows, and so the length of a turn
// A publish may hold one message of the largest size and its frame.
inline constexpr std::size_t kMaxPublishBytes = 2u << 20;
// Batches are cut here when several wait: enough that a wake-up is worth it (docs/performance.md),
// well below the HTTP/2 window of 4 MiB.
inline constexpr std::size_t kFlushBytes = 512u << 10;
inline constexpr std::size_t kMaxDataFrameBytes = 4u << 20;
static_assert(kMaxDataFrameBytes >= kMaxPublishBytes + kFlushBytes,
              "a flush that ends with the largest publish must fit a frame");
// Protobuf expands up to 28 times in memory.
inline constexpr std::size_t kMaxControlFrameBytes = 64u << 10;
inline constexpr std::uint32_t kChannels = 64;  // shards of the subject's first token

// --- Sessions ------------------------------------------------------------------------------------
inline constexpr std::size_t kMaxSessions = 4096;    // guess; 1,024 streams on each connection
inline constexpr std::size_t kMaxPrincipals = 4096;  // remembered for their rate limits
inline constexpr std::size_t kMaxSubscriptionsPerSession = 16384;
inline constexpr std::size_t kMaxSubscriptions = 65536;  // per peer
// Per peer: each is tried on every message.
inline constexpr std::size_t kMaxLeadingWildcards = 1024;
static_assert(kMaxSubscriptionsPerSession <= kMaxSubscriptions);
// Of one session, by one message: their ids travel with it. A session that overlaps itself more is
// closed, because leaving ids out would lose messages silently. Guess: no program needs a dozen.
inline constexpr std::size_t kMaxMatchesPerMessage = 256;
static_assert(kFlushBytes + kMaxMessageBytes + 8 * kMaxMatchesPerMessage + 4096 <=
                  kMaxDataFrameBytes,
              "a delivery ends with the message that fills it, and must fit a frame");

// --- Queues --------------------------------------------------------------------------------------
// Half full is where holding back begins; full is where the oldest go. NATS gives a client 64 MiB;
// a peer holds hundreds of sessions, so 8 MiB (guess).
inline constexpr std::size_t kSessionQueueBytes = 8u << 20;
inline constexpr std::size_t kLinkQueueBytes = 8u << 20;
static_assert(kLinkQueueBytes / 2 >= kMaxPublishBytes, "one publish must not fill an empty queue");
static_assert(kSessionQueueBytes / 2 >= kMaxDataFrameBytes / 2);
// What a queued row costs beside its bytes; keeps empty messages from being free (measured: see
// flow tests).
inline constexpr std::size_t kRowOverheadBytes = 64;

// --- Back-pressure -------------------------------------------------------------------------------
inline constexpr Duration kHoldBack = std::chrono::milliseconds(100);  // in any...
inline constexpr Duration kHoldBackWindow = std::chrono::seconds(1);   // ...second
inline constexpr Duration kDefaultBlockTimeout = std::chrono::seconds(5);
inline constexpr Duration kMaxBlockTimeout = std::chrono::seconds(60);

// --- Peers ---------------------------------------------------------------------------------------
inline constexpr std::size_t kMaxPeers = 4096;  // rows of the member table
inline constexpr std::size_t kMaxLinks = 96;    // links of one peer, replacements included
// Peers that link to everybody, this one included; beyond, an overlay: 31 links of heartbeats each
// way are 2 KB/s, 8 are half of one (research: idle cost).
inline constexpr std::size_t kFullMeshPeers = 32;
static_assert(2 * kFullMeshPeers <= kMaxLinks, "every link may be replaced at the same time");
inline constexpr std::size_t kMaxAddressesPerPeer = 8;
inline constexpr std::size_t kMaxAddressBytes = 280;  // a DNS name of 253, brackets and a port
inline constexpr std::size_t kMaxSeeds = 64;
inline constexpr std::size_t kMaxRecordBytes = 4096;       // one PeerRecord
inline constexpr std::size_t kMaxCertificateBytes = 4096;  // DER; ours are about 700

// --- Timers --------------------------------------------------------------------------------------
inline constexpr Duration kHeartbeat = std::chrono::seconds(2);
// Two missed heartbeats and a bit.
inline constexpr Duration kSuspectAfter = std::chrono::milliseconds(4100);
inline constexpr Duration kDeadAfter = std::chrono::milliseconds(5500);  // people wait 6 s
static_assert(kSuspectAfter > 2 * kHeartbeat && kDeadAfter > kSuspectAfter);
inline constexpr Duration kInterestAckTimeout = std::chrono::seconds(1);
inline constexpr Duration kRedialMin = std::chrono::milliseconds(500);
inline constexpr Duration kRedialMax = std::chrono::seconds(10);
inline constexpr Duration kDialTimeout = std::chrono::seconds(5);
// How long a lost peer is sought and shown.
inline constexpr Duration kPeerMemory = std::chrono::hours(24);

}  // namespace peermesh

#endif  // PEERMESH_MESH_BASE_LIMITS_H_
