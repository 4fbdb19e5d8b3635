// For each channel: which branch pieces come over, and when it may be changed.
//
// The tree of a channel is shared by all origins: links used both ways. With r = 1 it is a tree,
// and a piece from anywhere crosses each of its links once. With r = 2 or 3 it has links enough for
// each piece to arrive about r times. So what counts is how often one piece came, not how many
// neighbours sent something of late: with many origins every link of the tree sends first at some
// time.
//
// Rules that keep the tree in one piece:
//  * The last to deliver first is never asked to stop. When two origins publish at once, two
//    branches may overtake each other; plain Plumtree cuts both and is left with none until an
//    announcement helps.
//  * A branch is changed for a shorter one only while one stream alone uses the channel. Hops order
//    the peers, and a peer never hangs itself below one of its own branch, but only with respect to
//    one origin: with 100 origins at once, 1,000 peers that all mended their branches cut the tree
//    to pieces (measured: a last delivery 5.5 times as late as by flooding; 1.6 times with this
//    rule).
//  * More senders (r above 1) are sought one at a time, kSeek apart: who is asked may have enough,
//    and says so by a prune.
//
// Bounds: one entry for each of kChannels, made when a channel is first used. Not thread-safe;
// owned by the node's turn.
#ifndef PEERMESH_MESH_BROADCAST_TREES_H_
#define PEERMESH_MESH_BROADCAST_TREES_H_

#include <cstddef>
#include <cstdint>
#include <map>

#include "mesh/base/digest.h"
#include "mesh/base/time.h"

namespace peermesh::broadcast {

inline constexpr std::size_t kMaxParents = 3;  // protocols.md section 4(d)
// A piece and its announcements are through the mesh by then: twice the slowest measured.
inline constexpr Duration kCalm = std::chrono::seconds(1);
inline constexpr Duration kSeek = std::chrono::seconds(2);  // guess: two prune back-offs

class Trees {
 public:
  // Something new of this stream came from this neighbour; 0: it is ours, or of nobody we know.
  void First(Instant now, std::uint32_t channel, std::uint32_t neighbor, std::uint64_t window);
  bool IsParent(std::uint32_t channel, std::uint32_t neighbor) const;
  // No other stream has been seen on the channel for kCalm.
  bool IsCalm(Instant now, std::uint32_t channel, std::uint64_t window) const;
  // True if one more sender may be sought now.
  bool TakeSeek(Instant now, std::uint32_t channel);
  // It is no parent any more.
  void Remove(std::uint32_t neighbor, std::uint64_t channels);

  void CheckInvariants() const;
  void AddTo(Digest& digest) const;

 private:
  struct Branch {
    std::uint32_t parent = 0;  // 0: none
    std::uint64_t window = 0;  // of the last piece that was new
    Instant at{};              // when that came
    Instant other_at{-kCalm};  // when one of another stream came last
    Instant seek_at{-kSeek};   // when more may be sought
  };
  std::map<std::uint32_t, Branch> channels_;
};

}  // namespace peermesh::broadcast

#endif  // PEERMESH_MESH_BROADCAST_TREES_H_
