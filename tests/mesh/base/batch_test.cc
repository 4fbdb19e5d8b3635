#include "mesh/base/batch.h"

#include <gtest/gtest.h>

namespace peermesh {
namespace {

TEST(BatchTest, RowsNameTheirPartsOfTheBufferWithoutCopying) {
  Batch batch;
  batch.buffer = std::make_shared<const std::string>("..a.b-payload..");
  batch.rows.push_back(
      {.subject_offset = 2, .subject_length = 3, .record_offset = 2, .record_length = 11});
  EXPECT_EQ(batch.subject(batch.rows[0]), "a.b");
  EXPECT_EQ(batch.record(batch.rows[0]), "a.b-payload");
  EXPECT_EQ(batch.subject(batch.rows[0]).data(), batch.buffer->data() + 2);
}

}  // namespace
}  // namespace peermesh
