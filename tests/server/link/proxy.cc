#include "tests/server/link/proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mesh/base/check.h"

namespace peermesh::link {
namespace {

constexpr int kReceiveBuffer = 64 << 10;  // small, so that a frozen proxy is felt soon
constexpr int kTickMs = 10;

sockaddr_in Loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  return address;
}

// False at the end of either connection.
bool Forward(int from, int to) {
  char buffer[16 << 10];
  const ssize_t got = recv(from, buffer, sizeof buffer, 0);
  if (got <= 0) return false;
  for (ssize_t sent = 0; sent < got;) {
    const ssize_t n = send(to, buffer + sent, static_cast<std::size_t>(got - sent), MSG_NOSIGNAL);
    if (n <= 0) return false;
    sent += n;
  }
  return true;
}

}  // namespace

Proxy::Proxy(const std::string& target)
    : target_port_(std::stoi(target.substr(target.rfind(':') + 1))),
      listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address = Loopback(0);
  socklen_t length = sizeof address;
  PM_CHECK(setsockopt(listener_, SOL_SOCKET, SO_RCVBUF, &kReceiveBuffer, sizeof kReceiveBuffer) ==
           0);
  PM_CHECK(bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  PM_CHECK(listen(listener_, 16) == 0);
  PM_CHECK(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length) == 0);
  address_ = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  thread_ = std::thread([this] { Run(); });
}

Proxy::~Proxy() {
  stopped_ = true;
  thread_.join();
  for (const Pair& pair : pairs_) {
    for (const int fd : pair.fds) close(fd);
  }
  close(listener_);
}

void Proxy::Run() {
  while (!stopped_) {
    std::vector<pollfd> polled{{listener_, POLLIN, 0}};
    if (!frozen_) {
      for (const Pair& pair : pairs_) {
        for (const int fd : pair.fds) polled.push_back({fd, POLLIN, 0});
      }
    }
    if (poll(polled.data(), polled.size(), kTickMs) <= 0 || frozen_) continue;
    for (std::size_t i = polled.size() - 1; i > 0; --i) {
      const std::size_t pair = (i - 1) / 2, side = (i - 1) % 2;
      if (polled[i].revents == 0 || Forward(polled[i].fd, pairs_[pair].fds[1 - side])) continue;
      for (const int fd : pairs_[pair].fds) shutdown(fd, SHUT_RDWR);
    }
    if (polled.front().revents == 0) continue;
    Pair pair{
        {accept(listener_, nullptr, nullptr), socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)}};
    const sockaddr_in target = Loopback(target_port_);
    PM_CHECK(connect(pair.fds[1], reinterpret_cast<const sockaddr*>(&target), sizeof target) == 0);
    pairs_.push_back(pair);
  }
}

}  // namespace peermesh::link
