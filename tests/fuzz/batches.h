// What every batch keeps to that a decoder lets through, and how it is held against what protobuf
// sees in the same bytes.
#ifndef PEERMESH_TESTS_FUZZ_BATCHES_H_
#define PEERMESH_TESTS_FUZZ_BATCHES_H_

#include <string>

#include "mesh/base/batch.h"
#include "mesh/base/check.h"
#include "peermesh/v1/message.pb.h"
#include "server/wire/reader.h"
#include "tests/fuzz/naive.h"

namespace peermesh::fuzz {

// Aborts unless the rows lie within the buffer one behind the other, their books add up and they
// hold the same messages as `seen`, a repeated field of the parsed frame.
template <class Messages>
void CheckBatch(const Batch& batch, const Messages& seen) {
  PM_CHECK(!batch.rows.empty() && batch.rows.size() <= kMaxBatchMessages);
  PM_CHECK(static_cast<int>(batch.rows.size()) == seen.size());
  std::uint64_t bytes = 0;
  std::size_t end = 0;
  for (std::size_t i = 0; i < batch.rows.size(); ++i) {
    const Row& row = batch.rows[i];
    const v1::Message& message = seen.Get(static_cast<int>(i));
    PM_CHECK(row.record_offset >= end);
    end = std::size_t{row.record_offset} + row.record_length;
    PM_CHECK(end <= batch.buffer->size());
    PM_CHECK(row.subject_offset >= row.record_offset);
    PM_CHECK(std::size_t{row.subject_offset} + row.subject_length <= end);
    PM_CHECK(batch.subject(row) == message.subject() && IsNaiveSubject(message.subject()));
    bytes += row.record_length;
    wire::Reader record(batch.record(row));
    PM_CHECK(record.Next() && record.whole() == batch.record(row) && record.number() == 15);
    v1::Message again;
    const std::string_view body = record.Bytes();
    PM_CHECK(again.ParseFromArray(body.data(), static_cast<int>(body.size())));
    PM_CHECK(again.SerializeAsString() == message.SerializeAsString());
  }
  PM_CHECK(bytes == batch.bytes);
}

}  // namespace peermesh::fuzz

#endif  // PEERMESH_TESTS_FUZZ_BATCHES_H_
