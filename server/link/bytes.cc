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

grpc::ByteBuffer ToBuffer(wire::Pieces pieces) {
  std::vector<grpc::Slice> slices;
  slices.reserve(pieces.all().size());
  for (wire::Pieces::Piece& piece : pieces.Take()) {
    auto* owned = new wire::Pieces::Piece(std::move(piece));
    const std::string_view bytes = owned->bytes();
    slices.emplace_back(
        const_cast<char*>(bytes.data()), bytes.size(),
        [](void* gone) { delete static_cast<wire::Pieces::Piece*>(gone); }, owned);
  }
  if (slices.empty()) slices.emplace_back();
  return {slices.data(), slices.size()};
}

}  // namespace peermesh::link
