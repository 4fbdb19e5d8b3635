// What waits to be written to one link or one session: first in, first out, bounded in bytes.
//
// One write is outstanding at a time; while it is, pieces gather and leave together. The owner decides what
// to do at the bound (see pressure.h); the outbox only counts and, when told, gives up its oldest pieces.
// `Piece` has `bytes()`. Not thread-safe; owned by the node's turn.
#ifndef PEERMESH_MESH_FLOW_OUTBOX_H_
#define PEERMESH_MESH_FLOW_OUTBOX_H_

#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

#include "mesh/base/check.h"

namespace peermesh::flow {

template <class Piece>
class Outbox {
 public:
  void Push(Piece piece) {
    const std::uint64_t size = piece.bytes();
    bytes_ += size;
    pieces_.push_back({std::move(piece), size});
  }

  // Back to the front: for what stands in for dropped pieces.
  void PushFront(Piece piece) {
    const std::uint64_t size = piece.bytes();
    bytes_ += size;
    pieces_.push_front({std::move(piece), size});
  }

  Piece PopFront() {
    PM_CHECK(!pieces_.empty());
    Entry entry = std::move(pieces_.front());
    pieces_.pop_front();
    PM_CHECK(bytes_ >= entry.bytes);
    bytes_ -= entry.bytes;
    return std::move(entry.piece);
  }

  // The oldest pieces, at least one if there is any, up to `budget` bytes.
  std::vector<Piece> TakeUpTo(std::uint64_t budget) {
    std::vector<Piece> taken;
    std::uint64_t sum = 0;
    while (!pieces_.empty() && (taken.empty() || sum + pieces_.front().bytes <= budget)) {
      sum += pieces_.front().bytes;
      taken.push_back(PopFront());
    }
    return taken;
  }

  bool empty() const { return pieces_.empty(); }
  std::uint64_t bytes() const { return bytes_; }
  std::size_t size() const { return pieces_.size(); }

  // True while a write is outstanding; the owner sets and clears it.
  bool busy = false;

  void CheckInvariants() const {
    std::uint64_t sum = 0;
    for (const Entry& entry : pieces_) sum += entry.bytes;
    PM_CHECK(sum == bytes_);
  }

 private:
  struct Entry {
    Piece piece;
    std::uint64_t bytes = 0;
  };
  std::deque<Entry> pieces_;
  std::uint64_t bytes_ = 0;
};

}  // namespace peermesh::flow

#endif  // PEERMESH_MESH_FLOW_OUTBOX_H_
