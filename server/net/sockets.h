// Listening sockets and what is set on every accepted one. Used by the acceptor.
//
// Thread-safe. Nothing here waits, except that a host name in a listen address is looked up.
#ifndef PEERMESH_SERVER_NET_SOCKETS_H_
#define PEERMESH_SERVER_NET_SOCKETS_H_

#include <sys/socket.h>
#include <sys/types.h>

#include <string>

#include "absl/status/statusor.h"
#include "metrics/ledger/fd.h"

namespace peermesh::net {

struct ListeningSocket {
  ledger::UniqueFd fd;
  std::string address;    // as bound: "host:port" or "unix:/path"
  std::string unix_path;  // empty for TCP
  dev_t device = 0;       // of the socket file, so that only our own is ever removed
  ino_t inode = 0;
};

// Non-blocking, close-on-exec. `unix_mode` is the permissions of a socket file.
absl::StatusOr<ListeningSocket> OpenListener(const std::string& address, unsigned unix_mode);
// Closes it and removes its socket file, unless somebody has replaced that.
void CloseListener(ListeningSocket& socket);

// TCP: small writes leave at once; a connection whose data nobody acknowledges for kUserTimeout
// ends. Unix sockets: room for more at once.
void SetConnectionOptions(int fd, sa_family_t family);
// Resets instead of closing: no TIME_WAIT entry stays behind.
void Refuse(ledger::UniqueFd fd);

// As grpc::ServerContext::peer() shows the remote address.
std::string PeerText(const sockaddr_storage& address, socklen_t length);
// What caps are counted by: an IPv4 address, the /64 of an IPv6 one, "unix".
std::string CapKey(const sockaddr_storage& address);

}  // namespace peermesh::net

#endif  // PEERMESH_SERVER_NET_SOCKETS_H_
