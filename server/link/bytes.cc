#include "server/link/bytes.h"

#include <grpcpp/support/slice.h>

#include <utility>
#include <vector>

#include "mesh/base/check.h"

namespace peermesh::link {

std::shared_ptr<const std::string> ToString(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  PM_CHECK(buffer.Dump(&slices).ok());  // fails only if there is no message at all
  auto bytes = std::make_shared<std::string>();
  bytes->reserve(buffer.Length());
  for (const grpc::Slice& slice : slices) {
    bytes->append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return bytes;
}

grpc::ByteBuffer ToBuffer(std::string bytes) {
  auto* owned = new std::string(std::move(bytes));
  const grpc::Slice slice(
      owned->data(), owned->size(), [](void* string) { delete static_cast<std::string*>(string); },
      owned);
  return grpc::ByteBuffer(&slice, 1);
}

}  // namespace peermesh::link
