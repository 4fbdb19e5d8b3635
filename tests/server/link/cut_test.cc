#include "server/link/cut.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>

namespace peermesh::link {
namespace {

// A listener and a connection accepted at it.
struct Accepted {
  Accepted(const sockaddr* address, socklen_t length) {
    listener = socket(address->sa_family, SOCK_STREAM, 0);
    EXPECT_EQ(bind(listener, address, length), 0);
    EXPECT_EQ(listen(listener, 1), 0);
    sockaddr_storage bound{};
    socklen_t size = sizeof bound;
    EXPECT_EQ(getsockname(listener, reinterpret_cast<sockaddr*>(&bound), &size), 0);
    client = socket(address->sa_family, SOCK_STREAM, 0);
    EXPECT_EQ(connect(client, reinterpret_cast<sockaddr*>(&bound), size), 0);
    server = accept(listener, nullptr, nullptr);
    EXPECT_GE(server, 0);
  }
  ~Accepted() {
    for (const int fd : {listener, client, server}) close(fd);
  }
  static Accepted Tcp() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return Accepted(reinterpret_cast<sockaddr*>(&address), sizeof address);
  }
  static Accepted Unix(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    return Accepted(reinterpret_cast<sockaddr*>(&address), sizeof address);
  }
  int port() const {
    sockaddr_in address{};
    socklen_t size = sizeof address;
    EXPECT_EQ(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size), 0);
    return ntohs(address.sin_port);
  }
  // End of file at once, instead of nothing to read.
  static bool Ended(int fd) {
    char byte;
    return recv(fd, &byte, 1, MSG_DONTWAIT) == 0;
  }

  int listener = -1, client = -1, server = -1;
};

TEST(CutTest, ConnectionsOfOneListenerEndAndNoOthers) {
  const Accepted one = Accepted::Tcp(), other = Accepted::Tcp();
  EXPECT_EQ(CutConnectionsAt(AcceptedAt(one.server)), 1u);
  EXPECT_TRUE(Accepted::Ended(one.server));
  EXPECT_TRUE(Accepted::Ended(one.client));
  EXPECT_FALSE(Accepted::Ended(other.server));
  // The listener is well.
  const int again = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  socklen_t size = sizeof address;
  ASSERT_EQ(getsockname(one.listener, reinterpret_cast<sockaddr*>(&address), &size), 0);
  EXPECT_EQ(connect(again, reinterpret_cast<sockaddr*>(&address), size), 0);
  close(again);
}

TEST(CutTest, ConnectionsOfAUnixSocketAreToldByItsPath) {
  const auto directory =
      std::filesystem::temp_directory_path() / ("peermesh-cut-" + std::to_string(getpid()));
  std::filesystem::create_directory(directory);
  {
    const Accepted one = Accepted::Unix(directory / "one"), two = Accepted::Unix(directory / "two");
    EXPECT_EQ(AcceptedAt(one.server), "unix:" + (directory / "one").string());
    EXPECT_EQ(AcceptedAt(one.client), "") << "it has no name";
    EXPECT_EQ(CutConnectionsAt(AcceptedAt(one.server)), 1u);
    EXPECT_TRUE(Accepted::Ended(one.client));
    EXPECT_FALSE(Accepted::Ended(two.client));
  }
  std::filesystem::remove_all(directory);
}

TEST(CutTest, ConnectionsToAnAddressEndAndNoOthers) {
  const Accepted one = Accepted::Tcp(), other = Accepted::Tcp();
  EXPECT_EQ(CutConnectionsTo("ipv4:127.0.0.1:" + std::to_string(one.port())), 1u);
  EXPECT_TRUE(Accepted::Ended(one.client));
  EXPECT_FALSE(Accepted::Ended(other.client));
  EXPECT_EQ(CutConnectionsTo("ipv4:192.0.2.1:1"), 0u);
}

}  // namespace
}  // namespace peermesh::link
