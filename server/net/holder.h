// Who listens where we wanted to, for the message that says so.
//
// The kernel's tables in /proc name a socket by its inode, and the descriptors of each process name
// it again. What belongs to other users cannot be seen without privilege: then nobody is named.
//
// Reads much of /proc: for a start that fails, never for one that works. Thread-safe.
#ifndef PEERMESH_SERVER_NET_HOLDER_H_
#define PEERMESH_SERVER_NET_HOLDER_H_

#include <cstdint>
#include <string>

namespace peermesh::net {

// "nginx, pid 312"; empty if that cannot be seen.
std::string HolderOfPort(std::uint16_t port);
std::string HolderOfSocket(const std::string& path);

}  // namespace peermesh::net

#endif  // PEERMESH_SERVER_NET_HOLDER_H_
