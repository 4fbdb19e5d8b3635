// The latest record of everybody, in order of id, at about 20 bytes a peer.
//
// A map would cost 96 bytes a peer, and one sorted vector a move of half of thousands of pointers
// for every newcomer; so the order is cut into chunks of at most kMaxChunk, each a sorted vector.
//
// Bounds: the caller's. Not thread-safe; owned by the node's turn.
#ifndef PEERMESH_MESH_MEMBERSHIP_ROLL_H_
#define PEERMESH_MESH_MEMBERSHIP_ROLL_H_

#include <cstddef>
#include <vector>

#include "mesh/base/growth.h"
#include "mesh/base/id.h"
#include "mesh/membership/record.h"

namespace peermesh::membership {

class Roll {
 public:
  static constexpr std::size_t kMaxChunk = 64;  // 1 KiB: what is moved for a newcomer
  using Chunk = std::vector<RecordRef>;

  // A null record if there is none.
  RecordRef Find(const PeerId& peer) const;
  // Replaces an earlier one of the same peer.
  void Put(RecordRef record);
  void Erase(const PeerId& peer);

  std::size_t size() const { return size_; }
  // All of them in order: a loop over chunks, and one over each.
  const std::vector<Chunk>& chunks() const { return chunks_; }
  std::size_t HeapBytes() const {  // but for the records
    std::size_t bytes = peermesh::HeapBytes(chunks_);
    for (const Chunk& chunk : chunks_) bytes += peermesh::HeapBytes(chunk);
    return bytes;
  }
  void CheckInvariants() const;

 private:
  // The chunk the peer is in, or belongs into; chunks_ is not empty.
  std::size_t ChunkOf(const PeerId& peer) const;

  std::vector<Chunk> chunks_;  // none is empty
  std::size_t size_ = 0;
};

}  // namespace peermesh::membership

#endif  // PEERMESH_MESH_MEMBERSHIP_ROLL_H_
