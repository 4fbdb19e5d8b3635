// What waits to be written to one link or one session: first in, first out, bounded in bytes.
//
// One write is outstanding at a time; while it is, pieces gather and leave together. The owner
// decides what to do at the bound (see pressure.h); the outbox only counts and, when told, gives up
// its oldest pieces.
//
// What counts is the memory held: a piece that wants one small message of a large batch keeps the
// batch's whole buffer alive, so it is charged for it. Neighbours that share a buffer are charged
// once.
//
// `Piece` has `bytes()` and `batch`. Not thread-safe; owned by the node's turn.
#ifndef PEERMESH_MESH_FLOW_OUTBOX_H_
#define PEERMESH_MESH_FLOW_OUTBOX_H_

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "mesh/base/check.h"
#include "mesh/flow/ring.h"

namespace peermesh::flow {

template <class Piece>
class Outbox {
 public:
  void Push(Piece piece) {
    const std::uint64_t size = piece.bytes();
    std::uint64_t charge = size;
    if (piece.batch != nullptr &&
        (pieces_.empty() || BufferOf(piece) != BufferOf(pieces_.back().piece))) {
      charge = std::max<std::uint64_t>(size, piece.batch->buffer->size());
    }
    bytes_ += charge;
    pieces_.push_back({std::move(piece), size, charge});
  }

  // Back to the front: for what stands in for dropped pieces.
  void PushFront(Piece piece) {
    const std::uint64_t size = piece.bytes();
    bytes_ += size;
    pieces_.push_front({std::move(piece), size, size});
  }

  Piece PopFront() {
    PM_CHECK(!pieces_.empty());
    Entry entry = std::move(pieces_.front());
    pieces_.pop_front();
    PM_CHECK(bytes_ >= entry.charge);
    bytes_ -= entry.charge;
    return std::move(entry.piece);
  }

  // The oldest pieces, at least one if there is any, up to `budget` bytes.
  std::vector<Piece> TakeUpTo(std::uint64_t budget) {
    std::vector<Piece> taken;
    std::uint64_t sum = 0;
    while (!pieces_.empty() && (taken.empty() || sum + pieces_.front().size <= budget)) {
      sum += pieces_.front().size;
      taken.push_back(PopFront());
    }
    return taken;
  }

  bool empty() const { return pieces_.empty(); }
  std::uint64_t bytes() const { return bytes_; }
  std::size_t size() const { return pieces_.size(); }

  void CheckInvariants() const {
    std::uint64_t sum = 0;
    for (const Entry& entry : pieces_) sum += entry.charge;
    PM_CHECK(sum == bytes_);
  }

 private:
  static const void* BufferOf(const Piece& piece) {
    return piece.batch != nullptr ? piece.batch->buffer.get() : nullptr;
  }

  struct Entry {
    Piece piece;
    std::uint64_t size = 0;    // what it adds to a frame, about
    std::uint64_t charge = 0;  // what it keeps in memory
  };
  Ring<Entry> pieces_;
  std::uint64_t bytes_ = 0;
};

}  // namespace peermesh::flow

#endif  // PEERMESH_MESH_FLOW_OUTBOX_H_
