// Handing messages from one frame to another without looking into them. Internal to this folder.
#ifndef PEERMESH_SERVER_WIRE_SPLICE_H_
#define PEERMESH_SERVER_WIRE_SPLICE_H_

#include <cstddef>
#include <string>
#include <vector>

#include "mesh/base/batch.h"
#include "mesh/flow/run.h"
#include "server/wire/pieces.h"

namespace peermesh::wire {

inline std::size_t RecordBytes(const Batch& batch, const std::vector<flow::Item>& items) {
  std::size_t size = 0;
  for (const flow::Item& item : items) size += batch.rows[item.row].record_length;
  return size;
}

// Appends the records of `items`; those that lie side by side are one stretch.
inline void AppendRecords(Pieces& out, const Batch& batch, const std::vector<flow::Item>& items) {
  const std::string_view buffer = *batch.buffer;
  std::size_t begin = 0;
  std::size_t end = 0;
  for (const flow::Item& item : items) {
    const Row& row = batch.rows[item.row];
    if (row.record_offset != end) {
      out.Add(batch.buffer, buffer.substr(begin, end - begin));
      begin = row.record_offset;
    }
    end = std::size_t{row.record_offset} + row.record_length;
  }
  out.Add(batch.buffer, buffer.substr(begin, end - begin));
}

}  // namespace peermesh::wire

#endif  // PEERMESH_SERVER_WIRE_SPLICE_H_
