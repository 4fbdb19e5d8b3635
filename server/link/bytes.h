// Between our strings and gRPC's byte buffers. Internal to this folder.
#ifndef PEERMESH_SERVER_LINK_BYTES_H_
#define PEERMESH_SERVER_LINK_BYTES_H_

#include <grpcpp/support/byte_buffer.h>

#include <memory>
#include <string>

#include "server/wire/pieces.h"

namespace peermesh::link {

// One copy. Received slices are not kept: each pins 8 KiB or more of the transport's memory.
std::shared_ptr<const std::string> ToString(const grpc::ByteBuffer& buffer);

// No copy: the buffer owns the string from now on.
grpc::ByteBuffer ToBuffer(wire::Pieces pieces);

}  // namespace peermesh::link

#endif  // PEERMESH_SERVER_LINK_BYTES_H_
