// How far this peer is in every stream: what comes next, and what waits for it.
//
// Pieces are a chain: each says where the one before it ended. What is known of a stream is
// therefore one number, `expected`, plus a backlog while something is missing: pieces that came too
// early, and holes between them. Numbers from `expected` to the end of the backlog are in a held
// piece or in a hole, without exception.
//
// What nobody signed never moves a window for good. A neighbour's word may show that numbers are
// missing, and when they do not come `expected` moves behind them, but `firm` stays where the last
// signed piece left it: a genuine piece from there on moves `expected` back and is delivered.
// Otherwise one invented announcement would suppress all that is published until its number.
//
// Streams live in a list by what is known of them, the longest idle first: `kClaimed` by word only,
// `kProven` by a piece, `kRetiring` when a piece of a newer process of the same origin has been
// seen. Claimed ones make room first. What is dropped leaves a note, so that it begins anew where
// it is seen next instead of at number 1, and a process that is gone does not come back.
//
// Bounds: kMaxStreams, kMaxClaimedStreams, kMaxEpochs of an origin, kMaxLost, kMaxPeers notes. An
// idle stream costs about 170 bytes. Not thread-safe; owned by the node's turn.
#ifndef PEERMESH_MESH_BROADCAST_WINDOWS_H_
#define PEERMESH_MESH_BROADCAST_WINDOWS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "mesh/base/digest.h"
#include "mesh/base/limits.h"
#include "mesh/base/time.h"
#include "mesh/broadcast/missing.h"
#include "mesh/broadcast/piece.h"

namespace peermesh::broadcast {

// Four channels in use of every peer of a full table; 3 MiB (guess).
inline constexpr std::size_t kMaxStreams = 4 * kMaxPeers;
inline constexpr std::size_t kMaxClaimedStreams = kMaxStreams / 2;
// A stream with a backlog is in no list and makes no room, so there must always be others.
static_assert(kMaxClaimedStreams > kMaxHoles);
inline constexpr std::size_t kMaxEpochs = 2;  // of one origin: a process and the one before
inline constexpr Duration kStreamMemory = std::chrono::hours(24);     // as kPeerMemory
inline constexpr Duration kRetiredMemory = std::chrono::seconds(60);  // no cache holds it longer
// Ranges given up lately: what still comes of them is passed on, once.
inline constexpr std::size_t kMaxLost = 256;

struct Held {
  PieceRef piece;
  PeerId from;
};

// Exists while there is a hole.
struct Backlog {
  std::map<std::pair<std::uint64_t, std::uint64_t>, Held> held;  // by first and next
  Holes holes;
  std::uint64_t held_bytes = 0;
  std::uint64_t top = 0;   // all from `expected` to here is held or a hole
  Instant timer = kNever;  // as the owner has noted it
};

enum class Standing : std::uint8_t { kClaimed, kProven, kRetiring };
inline constexpr std::size_t kStandings = 3;

struct Window {
  const Stream* stream = nullptr;
  std::uint64_t id = 0;  // never used again
  std::uint64_t expected = 1;
  std::uint64_t firm = 1;  // <= expected
  std::unique_ptr<Backlog> backlog;
  Instant touched{};
  Standing standing = Standing::kClaimed;

  // Everything before this number is known, held or missing.
  std::uint64_t top() const { return backlog == nullptr ? expected : backlog->top; }
  // All its numbers are delivered, given up or held.
  bool Knows(const Piece& piece) const;

 private:
  friend class Windows;
  Window* older = nullptr;  // in its list, while it has no backlog
  Window* newer = nullptr;
};

class Windows {
 public:
  using Map = std::map<Stream, Window>;

  Window* Find(const Stream& stream);
  const Window* Find(const Stream& stream) const;
  // A stream that is not there yet. Others that are idle make room.
  Window& Begin(Instant now, const Stream& stream, std::uint64_t expected, Standing standing);
  // A piece of it has been seen. The first one retires older processes of the origin.
  void Prove(Instant now, Window& window);
  Backlog& MakeBacklog(Window& window);
  // Nothing is missing any more.
  void DropBacklog(Instant now, Window& window);
  // It must have no backlog. What was proved leaves a note.
  void Drop(Window& window);
  void Expire(Instant now);
  Instant NextWake() const;

  struct Epoch {
    std::uint64_t epoch = 0;
    bool proven = false;
  };
  std::vector<Epoch> EpochsOf(const PeerId& origin) const;
  std::vector<Window*> Of(const PeerId& origin, std::uint64_t epoch);
  // Of a process that is gone: nothing of it or of older ones is taken any more.
  void Close(const PeerId& origin, std::uint64_t epoch);
  bool IsClosed(const PeerId& origin, std::uint64_t epoch) const;
  // It was known once and has been idle for too long.
  bool WasDropped(const Stream& stream) const;

  void NoteLost(Instant now, const Window& window, std::uint64_t first, std::uint64_t next);
  // True if some of these numbers were given up lately; they count no longer.
  bool TakeLost(Instant now, const Window& window, std::uint64_t first, std::uint64_t next);

  const Map& all() const { return map_; }
  void CheckInvariants() const;
  void AddTo(Digest& digest) const;

 private:
  struct List {
    Window* oldest = nullptr;
    Window* newest = nullptr;
    std::size_t idle = 0;
  };
  struct Note {
    std::uint64_t closed = 0;    // epochs up to this one are gone
    std::uint64_t epoch = 0;     // of this one...
    std::uint64_t channels = 0;  // ...these were dropped
  };
  struct Lost {
    std::uint64_t window = 0;
    std::uint64_t first = 0;
    std::uint64_t next = 0;
    Instant at{};
  };
  List& ListOf(const Window& window) { return lists_[static_cast<std::size_t>(window.standing)]; }
  void Link(Instant now, Window& window);
  void Unlink(Window& window);
  void Move(Instant now, Window& window, Standing to);
  Note* NoteOf(const PeerId& origin);

  Map map_;
  std::array<List, kStandings> lists_;
  std::size_t claimed_ = 0;
  std::map<PeerId, Note> notes_;
  std::vector<Lost> lost_;  // the oldest first
  std::uint64_t next_id_ = 1;
};

}  // namespace peermesh::broadcast

#endif  // PEERMESH_MESH_BROADCAST_WINDOWS_H_
