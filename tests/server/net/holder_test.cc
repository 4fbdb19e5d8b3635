#include "server/net/holder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "server/net/hosts.h"
#include "server/net/sockets.h"

namespace peermesh::net {
namespace {

using testing::EndsWith;
using testing::HasSubstr;

std::string Us() { return ", pid " + std::to_string(::getpid()); }

TEST(HolderTest, APortNamesTheProcessThatListensThere) {
  for (const char* address : {"127.0.0.1:0", "[::1]:0", "[::]:0"}) {
    auto socket = OpenListener(address, 0600);
    if (!socket.ok()) continue;  // a host without IPv6
    const auto bound = ParseHostPort(socket->address);
    ASSERT_TRUE(bound.ok()) << bound.status();
    EXPECT_THAT(HolderOfPort(bound->port), EndsWith(Us())) << socket->address;
    const auto second = OpenListener(socket->address, 0600);
    EXPECT_THAT(second.status().ToString(), HasSubstr(Us() + "). Stop it")) << socket->address;
    CloseListener(*socket);
    EXPECT_EQ(HolderOfPort(bound->port), "") << "nobody any more";
  }
}

TEST(HolderTest, ASocketNamesTheProcessThatListensThere) {
  const std::string path = testing::TempDir() + "holder-" + std::to_string(::getpid());
  auto socket = OpenListener("unix:" + path, 0600);
  ASSERT_TRUE(socket.ok()) << socket.status();
  EXPECT_THAT(HolderOfSocket(path), EndsWith(Us()));
  EXPECT_EQ(HolderOfSocket(path.substr(0, path.size() - 1)), "") << "all of the path";
  CloseListener(*socket);
}

}  // namespace
}  // namespace peermesh::net
