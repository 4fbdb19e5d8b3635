// The unit that is broadcast: messages in a row of one channel of one origin, signed by it.
//
// Numbers count per (origin, epoch, channel). Not every number is broadcast: what went straight to
// those that wanted it is left out, and `after` says so. The pieces of a channel form a chain: the
// one before ended at `after`.
#ifndef PEERMESH_MESH_BROADCAST_PIECE_H_
#define PEERMESH_MESH_BROADCAST_PIECE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "mesh/base/batch.h"
#include "mesh/base/id.h"
#include "mesh/base/limits.h"
#include "mesh/base/time.h"

namespace peermesh::broadcast {

// One sequence of numbers.
struct Stream {
  PeerId origin;
  std::uint64_t epoch = 0;
  std::uint32_t channel = 0;
  friend auto operator<=>(const Stream&, const Stream&) = default;
};

// Immutable once shared. The signature covers everything else here, records included; whoever hands
// a piece of another peer to the node has checked it.
struct Piece {
  Stream stream;
  std::uint64_t after = 1;  // the broadcast piece before this one ended before this number
  std::uint64_t first = 1;  // after <= first
  std::int64_t publish_time_us = 0;
  BatchRef batch;
  std::vector<std::uint32_t> rows;  // of the batch, one for each number from `first` on
  std::string signature;

  std::uint64_t next() const { return first + rows.size(); }
  std::uint64_t bytes() const {
    std::uint64_t sum = kRowOverheadBytes;
    for (const std::uint32_t row : rows) sum += batch->rows[row].record_length + kRowOverheadBytes;
    return sum;
  }
  bool IsWellFormed() const {
    if (stream.channel >= kChannels || stream.epoch == 0 || batch == nullptr) return false;
    if (after == 0 || first < after || rows.empty() || rows.size() > kMaxBatchMessages)
      return false;
    for (const std::uint32_t row : rows) {
      if (row >= batch->rows.size()) return false;
    }
    return true;
  }
};
using PieceRef = std::shared_ptr<const Piece>;

// Numbers of a stream, the last one excluded.
struct Range {
  Stream stream;
  std::uint64_t first = 1;
  std::uint64_t next = 1;
  std::uint32_t hops = 0;  // how far it came; a hint, believed by nobody for more than choosing
  friend bool operator==(const Range&, const Range&) = default;
};

// Longer than any announcement waits; who says more is not believed the rest.
inline constexpr Duration kMaxWaited = std::chrono::seconds(2);
// The sender has these and will send them to whoever grafts.
struct IHave {
  std::vector<Range> ranges;
  Duration waited{};  // the sender has had all of them for so long: they will not come unasked
};
// Send these, and what comes on their channels from now on.
struct Graft {
  std::vector<Range> ranges;
};
// Send no more on these channels: another neighbour is faster.
struct Prune {
  std::uint64_t channels = 0;  // a bit for each
};
// How far the sender is in every stream it knows: what a new neighbour begins with. `first` and
// `next` of each range: what of it the sender can still send.
struct Positions {
  std::vector<Range> ranges;
  bool last = false;  // no part follows
};
using Message = std::variant<IHave, Graft, Prune, Positions>;

}  // namespace peermesh::broadcast

#endif  // PEERMESH_MESH_BROADCAST_PIECE_H_
