// Bytes as a network may deliver them: in pieces.
#ifndef PEERMESH_TESTS_CLIENT_IN_PIECES_H_
#define PEERMESH_TESTS_CLIENT_IN_PIECES_H_

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/slice.h>

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <vector>

namespace peermesh::client {

// Of `size` bytes each, but for the last.
inline grpc::ByteBuffer InPieces(std::string_view bytes, std::size_t size) {
  std::vector<grpc::Slice> pieces;
  for (; !bytes.empty(); bytes.remove_prefix(std::min(size, bytes.size())))
    pieces.emplace_back(bytes.data(), std::min(size, bytes.size()));
  if (pieces.empty()) pieces.emplace_back();
  return {pieces.data(), pieces.size()};
}

}  // namespace peermesh::client

#endif  // PEERMESH_TESTS_CLIENT_IN_PIECES_H_
