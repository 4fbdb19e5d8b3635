// Numbers of one stream that others are known or said to have and that are not here.
//
// A hole is a row of such numbers with the neighbours to ask for it. It knows when to ask next and
// when to give up; asking is the owner's business. Two kinds of neighbours: one that said it has
// these very numbers made a promise, and pays when it is not kept; one that merely sent a later
// piece did not.
//
// Why holes are cut where an announcement begins and ends: a promise covers exactly what was
// announced, so nobody is blamed for numbers next to it.
//
// Bounds: kMaxAnnouncers, kMaxHolesPerStream, and by `HoleCounts` kMaxHoles and
// kMaxHolesPerNeighbor. Not thread-safe; owned by the node's turn.
#ifndef PEERMESH_MESH_BROADCAST_MISSING_H_
#define PEERMESH_MESH_BROADCAST_MISSING_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "mesh/base/digest.h"
#include "mesh/base/time.h"

namespace peermesh::broadcast {

inline constexpr std::size_t kMaxAnnouncers = 8;       // protocols.md section 4(d)
inline constexpr std::size_t kMaxHolesPerStream = 64;  // guess; each step looks at all of them
inline constexpr std::size_t kMaxHoles = 4096;         // about 1 MiB in all
// Made by the word of one neighbour. With its stream a hole is about 450 bytes, and nobody may
// cost more than 64 KiB (protocols.md E18).
inline constexpr std::size_t kMaxHolesPerNeighbor = 128;
static_assert(kMaxHolesPerNeighbor * 450 <= 64u << 10);

struct Announcer {
  std::uint32_t neighbor = 0;
  bool promised = false;
  Instant asked = kNever;  // kNever: not yet
};

struct Hole {
  std::uint64_t first = 0;
  std::uint64_t next = 0;
  Instant since{};
  Instant due = kNever;       // of the next question
  Instant deadline = kNever;  // given up then
  std::uint32_t creator = 0;  // the neighbour by whose word it exists; 0: proved by a signed piece
  std::uint32_t tries = 0;    // questions since anything came
  bool given_up = false;      // said so when all before it is settled
  std::vector<Announcer> announcers;

  bool Overlaps(std::uint64_t from, std::uint64_t to) const { return first < to && from < next; }
  // True if it was new and there was room. A promise replaces a guess.
  bool AddAnnouncer(std::uint32_t neighbor, bool promised);
};

// How many holes there are, in all and by creator.
class HoleCounts {
 public:
  void Add(std::uint32_t creator);
  void Remove(std::uint32_t creator);
  std::size_t total() const { return total_; }
  std::size_t Of(std::uint32_t creator) const;

 private:
  struct Count {
    std::uint32_t creator = 0;
    std::uint32_t count = 0;
  };
  std::vector<Count>
      counts_;  // in no order; as many as neighbours, dead ones until theirs are gone
  std::size_t total_ = 0;
};

// The holes of one stream: in order, apart from each other.
class Holes {
 public:
  // `hole` lies behind all others.
  void Append(Hole hole, HoleCounts& counts);
  // These numbers are here.
  void Fill(std::uint64_t first, std::uint64_t next, HoleCounts& counts);
  // No hole has numbers on both sides afterwards, unless there are too many holes already.
  void CutAt(std::uint64_t number, HoleCounts& counts);
  void PopFront(HoleCounts& counts);
  void Clear(HoleCounts& counts);

  bool empty() const { return list_.empty(); }
  std::size_t size() const { return list_.size(); }
  Hole& front() { return list_.front(); }
  const Hole& front() const { return list_.front(); }
  const Hole& back() const { return list_.back(); }
  auto begin() { return list_.begin(); }
  auto end() { return list_.end(); }
  auto begin() const { return list_.begin(); }
  auto end() const { return list_.end(); }

  // When something has to be done about one of them.
  Instant NextWake() const;
  void CheckInvariants() const;
  void AddTo(Digest& digest) const;

 private:
  std::vector<Hole> list_;
};

}  // namespace peermesh::broadcast

#endif  // PEERMESH_MESH_BROADCAST_MISSING_H_
