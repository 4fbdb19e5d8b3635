// The three kinds of session: Publish, Subscribe, Exchange.
#ifndef PEERMESH_SERVER_API_MESSAGING_H_
#define PEERMESH_SERVER_API_MESSAGING_H_

#include <memory>

#include "server/api/session.h"

namespace peermesh::api {

// By the stream's method, which must be one of MessagingService.
std::shared_ptr<Session> MakeSession(Applications& applications,
                                     std::shared_ptr<link::Stream> stream, SessionId id);

}  // namespace peermesh::api

#endif  // PEERMESH_SERVER_API_MESSAGING_H_
