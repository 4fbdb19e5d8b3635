// A small HTTP client for tests: sends exactly the bytes it is given and reads until the server
// closes.
#ifndef PEERMESH_TESTS_METRICS_EXPORT_HTTP_H_
#define PEERMESH_TESTS_METRICS_EXPORT_HTTP_H_

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

namespace peermesh::metrics {

// What came back; empty if nothing did.
inline std::string Exchange(const std::string& address, const std::string& request) {
  const std::size_t colon = address.rfind(':');
  std::string host = address.substr(0, colon);
  if (host.front() == '[') host = host.substr(1, host.size() - 2);
  addrinfo* found = nullptr;
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  if (getaddrinfo(host.c_str(), address.substr(colon + 1).c_str(), &hints, &found) != 0) return "";
  const int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  std::string response;
  if (connect(fd, found->ai_addr, found->ai_addrlen) == 0 &&
      send(fd, request.data(), request.size(), MSG_NOSIGNAL) ==
          static_cast<ssize_t>(request.size())) {
    char buffer[65536];
    for (ssize_t size; (size = read(fd, buffer, sizeof buffer)) > 0;) {
      response.append(buffer, static_cast<std::size_t>(size));
    }
  }
  close(fd);
  freeaddrinfo(found);
  return response;
}

struct Reply {
  int code = 0;
  std::string head;
  std::string body;
};

inline Reply Fetch(const std::string& address, const std::string& path,
                   const std::string& method = "GET") {
  const std::string text = Exchange(
      address, method + " " + path + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
  const std::size_t end = text.find("\r\n\r\n");
  if (end == std::string::npos || text.size() < 12) return {};
  return {std::atoi(text.c_str() + 9), text.substr(0, end), text.substr(end + 4)};
}

}  // namespace peermesh::metrics

#endif  // PEERMESH_TESTS_METRICS_EXPORT_HTTP_H_
