// The unit that moves: a run of numbers of one channel of one origin, with the messages it holds.
//
// Numbers count per (origin, epoch, channel). A run accounts for [first, next): each number in it
// is an item (a message), lost (the first `lost` numbers), or skipped (not meant for this
// receiver). So a receiver that sees runs in order knows of every number what became of it.
//
// Plain data; owned by whoever holds it.
#ifndef PEERMESH_MESH_FLOW_RUN_H_
#define PEERMESH_MESH_FLOW_RUN_H_

#include <cstdint>
#include <vector>

#include "mesh/base/batch.h"
#include "mesh/base/id.h"
#include "mesh/base/limits.h"
#include "mesh/base/loss.h"

namespace peermesh::flow {

// One message of a run.
struct Item {
  std::uint32_t row = 0;       // index into batch->rows
  std::uint64_t sequence = 0;  // its number; increasing within the run
};

// What goes over a link. The origin is the sender.
struct Run {
  std::uint32_t channel = 0;
  std::uint64_t first = 0;
  std::uint64_t next = 0;  // first <= next
  std::uint64_t lost = 0;  // [first, first + lost) were meant for the receiver and dropped
  LossReason lost_reason = LossReason::kNone;
  // The receiver should expect `first` next: whatever it has not seen of earlier numbers is
  // missing.
  bool mark = false;
  // Numbers below this one were broadcast lately and come first, should the receiver still wait for
  // them. 0: none were. At most the number of the first item.
  std::uint64_t behind = 0;
  std::int64_t publish_time_us = 0;  // unix microseconds
  BatchRef batch;                    // null when there are no items
  std::vector<Item> items;

  std::uint64_t bytes() const {
    std::uint64_t sum = kRowOverheadBytes;
    for (const Item& item : items) sum += batch->rows[item.row].record_length + kRowOverheadBytes;
    return sum;
  }
  // What every run keeps to, whoever made it: the decoder refuses other frames.
  bool IsWellFormed() const {
    if (channel >= kChannels || first == 0 || next < first || lost > next - first) return false;
    std::uint64_t expected = first + lost;
    if (behind > (items.empty() ? next : items.front().sequence)) return false;
    for (const Item& item : items) {
      if (batch == nullptr || item.row >= batch->rows.size()) return false;
      if (item.sequence < expected || item.sequence >= next) return false;
      expected = item.sequence + 1;
    }
    return true;
  }
};

// What goes to a session: messages with the subscriptions they matched, or the news that some are
// missing.
struct Delivery {
  PeerId origin;
  std::uint64_t epoch = 0;
  std::uint32_t channel = 0;
  std::int64_t publish_time_us = 0;
  BatchRef batch;  // null: this is a gap
  std::vector<Item> items;
  // Ids the session gave its subscriptions. One id: it holds for all items; else cut up by
  // matched_counts, one count per item.
  std::vector<std::uint32_t> matched;
  std::vector<std::uint32_t> matched_counts;
  // A gap: [gap_from, gap_to] will not come.
  std::uint64_t gap_from = 0;
  std::uint64_t gap_to = 0;
  LossReason gap_reason = LossReason::kNone;

  bool is_gap() const { return batch == nullptr; }
  std::uint64_t bytes() const {
    std::uint64_t sum =
        kRowOverheadBytes + sizeof(matched[0]) * (matched.size() + matched_counts.size());
    for (const Item& item : items) sum += batch->rows[item.row].record_length + kRowOverheadBytes;
    return sum;
  }
};

}  // namespace peermesh::flow

#endif  // PEERMESH_MESH_FLOW_RUN_H_
