// Ends connections that gRPC cannot end. Internal to this folder.
//
// A call is cancelled at once, but its operations come back only when the transport has written
// what it was writing, and a frozen peer takes nothing: until TCP gives up after many seconds, and
// over a unix socket never. gRPC offers no handle on its connections, so sockets are found by where
// they lead. Only for stopping, when all are to end.
#ifndef PEERMESH_SERVER_LINK_CUT_H_
#define PEERMESH_SERVER_LINK_CUT_H_

#include <cstddef>
#include <string>

namespace peermesh::link {

// Shuts down every socket of this process that is connected to `address`, as
// Stream::RemoteAddress() shows it. Returns how many.
std::size_t CutConnectionsTo(const std::string& address);

// Which listener a connection was accepted at: the path of a unix socket or the local port.
std::string AcceptedAt(int fd);
// Shuts down every connection, but no listener, of which AcceptedAt says so.
std::size_t CutConnectionsAt(const std::string& listener);

}  // namespace peermesh::link

#endif  // PEERMESH_SERVER_LINK_CUT_H_
