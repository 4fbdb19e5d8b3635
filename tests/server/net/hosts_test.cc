#include "server/net/hosts.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include "mesh/base/limits.h"

namespace peermesh::net {
namespace {

TEST(HostsTest, ParsesWhatPeopleWrite) {
  EXPECT_EQ(*ParseHostPort("alpha.example.org:7443"), (HostPort{"alpha.example.org", 7443}));
  EXPECT_EQ(*ParseHostPort("192.0.2.1:0"), (HostPort{"192.0.2.1", 0}));
  EXPECT_EQ(*ParseHostPort("[2001:db8::1]:65535"), (HostPort{"2001:db8::1", 65535}));
  EXPECT_EQ(*ParseHostPort("[fe80::1%eth0]:1"), (HostPort{"fe80::1%eth0", 1}));
  EXPECT_EQ(*ParseHostPort("*:7443"), (HostPort{"*", 7443}));
}

TEST(HostsTest, TheDefaultPortFillsIn) {
  EXPECT_EQ(*ParseHostPort("alpha", 7443), (HostPort{"alpha", 7443}));
  EXPECT_EQ(*ParseHostPort("::1", 7443), (HostPort{"::1", 7443}));
  EXPECT_EQ(*ParseHostPort("[::1]", 7443), (HostPort{"::1", 7443}));
  EXPECT_EQ(*ParseHostPort("alpha:1", 7443), (HostPort{"alpha", 1}));
}

TEST(HostsTest, RefusesEverythingElseAndSaysWhatWouldDo) {
  for (const char* bad :
       {"", ":", ":1", "alpha", "alpha:", "alpha:x", "alpha:65536", "alpha:-1", "alpha:1 ",
        "al pha:1", "::1:7443", "[::1:1", "[::1]1", "[alpha]:1", "[]:1", "a:1:2", "a/b:1"}) {
    const auto result = ParseHostPort(bad);
    ASSERT_FALSE(result.ok()) << bad;
    EXPECT_NE(result.status().message().find("host:port"), std::string::npos) << result.status();
  }
  EXPECT_FALSE(ParseHostPort(std::string(kMaxAddressBytes + 1, 'a') + ":1").ok());
  for (const char* zone : {"%", "%a b", "%sixteen-letters-", "%a%b"}) {
    EXPECT_FALSE(ParseHostPort("[fe80::1" + std::string(zone) + "]:1").ok()) << zone;
  }
  EXPECT_FALSE(ParseHostPort(std::string_view("[80::\0]:1", 9)).ok()) << "a zero byte";
  EXPECT_FALSE(ParseHostPort("80::1%eth0]:10", 7443).ok()) << "read back it would be another";
}

TEST(HostsTest, FormatIsTheInverse) {
  for (const HostPort& address :
       {HostPort{"alpha", 1}, HostPort{"::1", 7443}, HostPort{"192.0.2.1", 0}}) {
    EXPECT_EQ(*ParseHostPort(FormatHostPort(address.host, address.port)), address);
  }
}

TEST(HostsTest, KnowsWildcards) {
  for (const char* host : {"*", "0.0.0.0", "::", "0:0:0:0:0:0:0:0"})
    EXPECT_TRUE(IsWildcard(host)) << host;
  for (const char* host : {"", "127.0.0.1", "::1", "alpha", "0.0.0.1"})
    EXPECT_FALSE(IsWildcard(host)) << host;
}

TEST(HostsTest, InterfaceAddressesAreAddressesAndSomeExist) {
  const auto addresses = InterfaceAddresses();
  ASSERT_FALSE(addresses.empty());
  EXPECT_LE(addresses.size(), kMaxAddressesPerPeer);
  for (const std::string& address : addresses) {
    in6_addr bytes;
    EXPECT_TRUE(inet_pton(AF_INET, address.c_str(), &bytes) == 1 ||
                inet_pton(AF_INET6, address.c_str(), &bytes) == 1)
        << address;
    EXPECT_FALSE(IsWildcard(address)) << address;
    const bool loopback = address.rfind("127.", 0) == 0;
    EXPECT_TRUE(!loopback || address == addresses.front())
        << "loopback only when there is nothing else";
  }
}

}  // namespace
}  // namespace peermesh::net
