// The pieces of the last minute, kept for neighbours that ask for them.
//
// A piece answers for all numbers from where the one before it ended: those it skips were never
// broadcast, and only it can say so. The oldest go first, by age or when the bytes are too many, so
// an attacker who publishes a lot shortens the time in which others can be helped, and nothing
// else.
//
// What counts is the memory held: a small piece of a large frame keeps the frame's buffer alive and
// is charged for it. Pieces that come one after the other out of one buffer are charged once.
//
// Bounds: kCacheTime, kCacheBytes. Not thread-safe; owned by the node's turn.
#ifndef PEERMESH_MESH_BROADCAST_CACHE_H_
#define PEERMESH_MESH_BROADCAST_CACHE_H_

#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "mesh/base/digest.h"
#include "mesh/base/time.h"
#include "mesh/broadcast/piece.h"

namespace peermesh::broadcast {

// protocols.md section 4(d). A repair takes seconds; a minute also serves a neighbour that comes
// back from a short absence.
inline constexpr Duration kCacheTime = std::chrono::seconds(60);
inline constexpr std::uint64_t kCacheBytes = 32u << 20;  // protocols.md section 4(d)
// What an entry costs beside the piece: measured with the allocator of glibc, rounded up.
inline constexpr std::uint64_t kCacheEntryBytes = 160;
// The oldest are looked for this much late, so that a row of pieces is one wake-up.
inline constexpr Duration kCacheSweep = std::chrono::seconds(1);
static_assert(kCacheBytes >= 4 * kMaxPublishBytes, "the largest pieces must find room");

class Cache {
 public:
  struct Entry {
    PieceRef piece;
    std::uint32_t hops = 0;    // links it came over; 0: our own
    std::uint32_t sender = 0;  // number of the neighbour; 0: our own, or of nobody we know
    std::uint32_t copies = 1;  // times it came
    Instant at{};
    std::uint64_t charge = 0;

   private:
    friend class Cache;
    Entry* newer = nullptr;
    std::uint64_t window = 0;
  };

  // `window` names the stream. A second piece that begins with the same number is left out.
  void Insert(Instant now, std::uint64_t window, PieceRef piece, std::uint32_t hops,
              std::uint32_t sender);
  void Expire(Instant now);
  Instant NextWake() const {
    return oldest_ == nullptr ? kNever : oldest_->at + kCacheTime + kCacheSweep;
  }

  // The piece that answers for this number; null if it is not here.
  const Entry* Find(std::uint64_t window, std::uint64_t number) const;
  Entry* Find(std::uint64_t window, std::uint64_t number);
  // Pieces that answer for numbers in [first, next), in order, until there are `most` in all.
  void Collect(std::uint64_t window, std::uint64_t first, std::uint64_t next, std::size_t most,
               std::vector<const Entry*>& into) const;
  // The oldest number from which on everything up to `next` is here; `next` if nothing is.
  std::uint64_t ContiguousFrom(std::uint64_t window, std::uint64_t next) const;

  std::uint64_t bytes() const { return bytes_; }
  std::size_t size() const { return entries_.size(); }
  void CheckInvariants() const;
  void AddTo(Digest& digest) const;

 private:
  struct Key {
    std::uint64_t window = 0;
    std::uint64_t first = 0;
    friend auto operator<=>(const Key&, const Key&) = default;
  };
  void DropOldest();

  std::map<Key, Entry> entries_;
  Entry* oldest_ = nullptr;  // in a row by `newer`
  Entry* newest_ = nullptr;
  std::uint64_t bytes_ = 0;
  const void* last_buffer_ = nullptr;  // of the newest piece; compared, never followed
};

}  // namespace peermesh::broadcast

#endif  // PEERMESH_MESH_BROADCAST_CACHE_H_
