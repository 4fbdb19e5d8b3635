#include "server/link/dial_failure.h"

#include <gtest/gtest.h>

namespace peermesh::link {
namespace {

using node::DialFailure;

TEST(DialFailureTest, WordsOfGrpcBecomeReasons) {
  const auto of = [](const char* words) { return DialFailureOf(14, words); };
  EXPECT_EQ(of("last error: UNKNOWN: ipv4:127.0.0.1:1: Failed to connect to remote host: "
               "Connection refused"),
            DialFailure::kRefused);
  EXPECT_EQ(of("DNS resolution failed for nowhere.invalid:7443: NotFound"),
            DialFailure::kUnreachable);
  EXPECT_EQ(of("ipv4:192.0.2.1:7443: No route to host"), DialFailure::kUnreachable);
  EXPECT_EQ(of("Custom verification check failed with error: UNAUTHENTICATED: wrong_peer: x"),
            DialFailure::kWrongPeer);
  EXPECT_EQ(of("Custom verification check failed with error: UNAUTHENTICATED: expired: x"),
            DialFailure::kRejected);
  EXPECT_EQ(of("Socket closed"), DialFailure::kTransport);
  EXPECT_EQ(DialFailureOf(9, "link refused: wrong_mesh"), DialFailure::kRejected);
  EXPECT_EQ(DialFailureOf(4, "Deadline Exceeded"), DialFailure::kTimeout);
}

TEST(DialFailureTest, LiteralsAreNotLookedUp) {
  EXPECT_EQ(TargetOf("192.0.2.1:7443"), "ipv4:192.0.2.1:7443");
  EXPECT_EQ(TargetOf("[2001:db8::1]:7443"), "ipv6:%5B2001:db8::1%5D:7443");
  EXPECT_EQ(TargetOf("seed.example.org:7443"), "dns:///seed.example.org:7443");
  EXPECT_EQ(TargetOf("no port"), std::nullopt);
  EXPECT_EQ(TargetOf(""), std::nullopt);
}

}  // namespace
}  // namespace peermesh::link
