#include "server/link/cut.h"

#include <dirent.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdlib>
#include <memory>

#include "server/net/sockets.h"

namespace peermesh::link {
namespace {

template <class F>
std::size_t CutIf(F condition) {
  const std::unique_ptr<DIR, int (*)(DIR*)> open(opendir("/proc/self/fd"), closedir);
  if (open == nullptr) return 0;
  std::size_t cut = 0;
  while (const dirent* entry = readdir(open.get())) {
    const int fd = std::atoi(entry->d_name);
    if (condition(fd) && shutdown(fd, SHUT_RDWR) == 0) ++cut;
  }
  return cut;
}

bool Listens(int fd) {
  int listens = 0;
  socklen_t length = sizeof listens;
  return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &length) == 0 && listens != 0;
}

}  // namespace

std::size_t CutConnectionsTo(const std::string& address) {
  return CutIf([&](int fd) {
    sockaddr_storage peer{};
    socklen_t length = sizeof peer;
    return getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &length) == 0 &&
           net::PeerText(peer, length) == address;
  });
}

std::string AcceptedAt(int fd) {
  sockaddr_storage local{};
  socklen_t length = sizeof local;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&local), &length) != 0) return "";
  // Both families have the port at the same place.
  const auto& internet = reinterpret_cast<const sockaddr_in&>(local);
  if (local.ss_family != AF_UNIX) return "port:" + std::to_string(ntohs(internet.sin_port));
  std::string path = net::PeerText(local, length);
  return path == "unix:" ? "" : path;  // one without a name is nobody's listener
}

std::size_t CutConnectionsAt(const std::string& listener) {
  return CutIf([&](int fd) { return AcceptedAt(fd) == listener && !Listens(fd); });
}

}  // namespace peermesh::link
