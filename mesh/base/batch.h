// A batch of application messages as the mesh sees it: rows over an immutable buffer.
//
// The node reads subjects to match them and moves references; it never reads or copies a payload.
// The driver builds the outgoing bytes afterwards by splicing `record` ranges, which hold each
// message with its field tag and length, so neighbouring rows are one copy.
#ifndef PEERMESH_MESH_BASE_BATCH_H_
#define PEERMESH_MESH_BASE_BATCH_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "mesh/base/limits.h"

namespace peermesh {

// One message: places in the batch's buffer.
struct Row {
  std::uint32_t subject_offset = 0;
  std::uint32_t subject_length = 0;  // 1 to kMaxSubjectBytes; validated by whoever made the row
  std::uint32_t record_offset = 0;   // field tag, length and body of the encoded Message
  std::uint32_t record_length = 0;
};

// Immutable once shared. Built by server/wire (or a simulator), which has validated every row.
struct Batch {
  std::shared_ptr<const std::string> buffer;
  std::vector<Row> rows;    // 1 to kMaxBatchMessages
  std::uint64_t bytes = 0;  // sum of record_length

  std::string_view subject(const Row& row) const {
    return std::string_view(*buffer).substr(row.subject_offset, row.subject_length);
  }
  std::string_view record(const Row& row) const {
    return std::string_view(*buffer).substr(row.record_offset, row.record_length);
  }
};

using BatchRef = std::shared_ptr<const Batch>;

}  // namespace peermesh

#endif  // PEERMESH_MESH_BASE_BATCH_H_
