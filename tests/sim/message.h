// Messages of the applications of a world, as they stand in frames (peermesh.v1.Message as field
// 15), so that the wire takes them. The payload is the message's id as text and padding.
#ifndef PEERMESH_TESTS_SIM_MESSAGE_H_
#define PEERMESH_TESTS_SIM_MESSAGE_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "mesh/base/batch.h"

namespace peermesh::sim {

// Appends a record of about `bytes`, at least as long as it must be.
Row AppendRecord(std::string& out, std::string_view subject, std::uint64_t id, std::size_t bytes);

// What AppendRecord put behind the subject: the id.
std::string TextOf(const Batch& batch, const Row& row);
std::uint64_t IdOf(const Batch& batch, const Row& row);  // 0: none stands there

}  // namespace peermesh::sim

#endif  // PEERMESH_TESTS_SIM_MESSAGE_H_
