// From what server/wire says of an error to how a stream ends.
#ifndef PEERMESH_SERVER_API_STATUS_H_
#define PEERMESH_SERVER_API_STATUS_H_

#include "server/link/stream.h"
#include "server/wire/errors.h"

namespace peermesh::api {

inline link::RpcStatus ToStatus(const wire::RpcError& error) {
  return {error.code, error.message, error.details, error.retry_pushback};
}

}  // namespace peermesh::api

#endif  // PEERMESH_SERVER_API_STATUS_H_
