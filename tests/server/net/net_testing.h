// Plain sockets as clients, and waiting for a condition.
#ifndef PEERMESH_TESTS_SERVER_NET_NET_TESTING_H_
#define PEERMESH_TESTS_SERVER_NET_NET_TESTING_H_

#include <arpa/inet.h>
#include <dirent.h>
#include <gtest/gtest.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <cstring>
#include <functional>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "server/net/acceptor.h"
#include "server/net/hosts.h"

namespace peermesh::net {

inline constexpr auto kPatience = std::chrono::seconds(10);

// True as soon as `condition` holds; false if it does not in time.
inline bool Eventually(const std::function<bool()>& condition,
                       std::chrono::milliseconds patience = kPatience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    poll(nullptr, 0, 1);
  }
  return true;
}

inline int OpenDescriptors() {
  int count = 0;
  DIR* dir = opendir("/proc/self/fd");
  while (readdir(dir) != nullptr) ++count;
  closedir(dir);
  return count;
}

// A client socket that closes itself.
class Client {
 public:
  explicit Client(int family) : fd_(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0)) {}
  // Connects to an address that Listen returned.
  static Client To(const std::string& address) {
    Client client(address.rfind("unix:", 0) == 0                                ? AF_UNIX
                  : ParseHostPort(address)->host.find(':') != std::string::npos ? AF_INET6
                                                                                : AF_INET);
    client.Connect(address);
    return client;
  }
  // From an address of its own, such as "127.0.0.2".
  static Client From(const std::string& source, const std::string& address) {
    Client client(AF_INET);
    sockaddr_in name{};
    name.sin_family = AF_INET;
    EXPECT_EQ(inet_pton(AF_INET, source.c_str(), &name.sin_addr), 1);
    EXPECT_EQ(bind(client.fd_, reinterpret_cast<sockaddr*>(&name), sizeof name), 0);
    EXPECT_TRUE(client.Connect(address));
    return client;
  }
  Client(Client&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Client& operator=(Client&&) = delete;
  ~Client() { Close(); }

  bool Connect(const std::string& address) {
    if (address.rfind("unix:", 0) == 0) {
      sockaddr_un name{};
      name.sun_family = AF_UNIX;
      std::strncpy(name.sun_path, address.c_str() + 5, sizeof name.sun_path - 1);
      return connect(fd_, reinterpret_cast<sockaddr*>(&name), sizeof name) == 0;
    }
    const HostPort where = *ParseHostPort(address);
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICHOST;
    addrinfo* list = nullptr;
    if (getaddrinfo(where.host.c_str(), std::to_string(where.port).c_str(), &hints, &list) != 0)
      return false;
    const bool ok = connect(fd_, list->ai_addr, list->ai_addrlen) == 0;
    freeaddrinfo(list);
    return ok;
  }
  // True when the other side ends the connection within kPatience, in whatever way.
  bool SeesEnd() const {
    pollfd watch{fd_, POLLIN, 0};
    char byte;
    return poll(&watch, 1, static_cast<int>(std::chrono::milliseconds(kPatience).count())) == 1 &&
           recv(fd_, &byte, 1, MSG_DONTWAIT) <= 0;
  }
  void Reset() {
    const linger reset{1, 0};
    setsockopt(fd_, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    Close();
  }
  void Close() {
    if (fd_ >= 0) close(std::exchange(fd_, -1));
  }
  int fd() const { return fd_; }

 private:
  int fd_;
};

// Keeps what an acceptor hands over.
class Inbox {
 public:
  // As the holder of a connection sees it.
  struct Seen {
    int fd = -1;
    ConnectionId id;
    std::string peer;
  };
  Acceptor::Handler handler() {
    return [this](Accepted accepted) {
      const std::lock_guard<std::mutex> lock(mutex_);
      all_.push_back(std::move(accepted));
      changed_.notify_all();
    };
  }
  bool WaitFor(std::size_t count) {
    std::unique_lock<std::mutex> lock(mutex_);
    return changed_.wait_for(lock, kPatience, [&] { return all_.size() >= count; });
  }
  Seen at(std::size_t index) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const Accepted& accepted = all_.at(index);
    return {accepted.fd.get(), accepted.id, accepted.peer};
  }
  std::size_t size() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return all_.size();
  }
  // As gRPC ends a connection.
  void End(std::size_t index) { shutdown(at(index).fd, SHUT_RDWR); }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Accepted> all_;
};

class AcceptorTest : public ::testing::Test {
 protected:
  static Caps Roomy() { return Caps{1000, 1000, 1000, limits::Rate{}}; }
  std::string Listen(const std::string& address, Caps caps = Roomy(), bool tls = false) {
    auto bound = acceptor_->Listen({"test", address, caps, 0600, tls}, inbox_.handler());
    EXPECT_TRUE(bound.ok()) << bound.status();
    return bound.ok() ? *bound : "";
  }
  ListenerStats Stats() { return acceptor_->Stats().at(0); }
  std::uint64_t Ended(Unproven how) { return Stats().unproven[static_cast<std::size_t>(how)]; }
  std::uint64_t Refused(Refusal why) { return Stats().refused[static_cast<std::size_t>(why)]; }

  Inbox inbox_;
  std::unique_ptr<Acceptor> acceptor_ = *Acceptor::Create();
};

}  // namespace peermesh::net

#endif  // PEERMESH_TESTS_SERVER_NET_NET_TESTING_H_
