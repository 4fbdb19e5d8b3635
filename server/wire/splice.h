// Handing messages from one frame to another without looking into them. Internal to this folder and
// to what is signed.
#ifndef PEERMESH_SERVER_WIRE_SPLICE_H_
#define PEERMESH_SERVER_WIRE_SPLICE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "mesh/base/batch.h"
#include "mesh/flow/run.h"
#include "server/wire/pieces.h"

namespace peermesh::wire {

inline std::uint32_t RowOf(const flow::Item& item) { return item.row; }
inline std::uint32_t RowOf(std::uint32_t row) { return row; }

// `items` are flow::Items or rows.
template <class Items>
std::size_t RecordBytes(const Batch& batch, const Items& items) {
  std::size_t size = 0;
  for (const auto& item : items) size += batch.rows[RowOf(item)].record_length;
  return size;
}

// Calls `visit` with the records of `items`; those that lie side by side are one stretch.
template <class Items, class Visitor>
void VisitRecords(const Batch& batch, const Items& items, Visitor visit) {
  const std::string_view buffer = *batch.buffer;
  std::size_t begin = 0;
  std::size_t end = 0;
  for (const auto& item : items) {
    const Row& row = batch.rows[RowOf(item)];
    if (row.record_offset != end) {
      if (begin != end) visit(buffer.substr(begin, end - begin));
      begin = row.record_offset;
    }
    end = std::size_t{row.record_offset} + row.record_length;
  }
  if (begin != end) visit(buffer.substr(begin, end - begin));
}

// Appends the records of `items`.
template <class Items>
void AppendRecords(Pieces& out, const Batch& batch, const Items& items) {
  VisitRecords(batch, items, [&](std::string_view stretch) { out.Add(batch.buffer, stretch); });
}

}  // namespace peermesh::wire

#endif  // PEERMESH_SERVER_WIRE_SPLICE_H_
