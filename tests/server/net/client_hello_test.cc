#include "server/net/client_hello.h"

#include <random>
#include <vector>

#include "tests/server/net/hello_testing.h"

namespace peermesh::net {
namespace {

TEST(ClientHelloTest, TellsTheVersionsApart) {
  EXPECT_EQ(Classify(ClientHello(TLS1_3_VERSION)), FirstBytes::kTls);
  EXPECT_EQ(Classify(ClientHello(TLS1_2_VERSION)), FirstBytes::kOldTls);
}

TEST(ClientHelloTest, DecidesAtTheLastByteAndNotBefore) {
  for (const int newest : {TLS1_3_VERSION, TLS1_2_VERSION}) {
    const std::string hello = ClientHello(newest);
    for (std::size_t size = 0; size < hello.size(); ++size) {
      ASSERT_EQ(Classify(std::string_view(hello).substr(0, size)), FirstBytes::kIncomplete) << size;
    }
    EXPECT_NE(Classify(hello + "whatever follows"), FirstBytes::kIncomplete);
  }
}

TEST(ClientHelloTest, KnowsWhatIsNoTlsByItsFirstBytes) {
  for (const char* other :
       {"PRI * HTTP/2.0", "GET / HTTP/1.1", "SSH-2.0-x", "\x80\x2e\x01\x03\x01", "\x16\x02",
        "\x15\x03\x03", "\x16\x03\x01\x7f\xff", "\x16\x03\x01\x02\x03\x02"}) {
    EXPECT_EQ(Classify(other), FirstBytes::kNotTls) << other;
  }
  EXPECT_EQ(Classify(std::string_view("\x16\x03\x01\x00\x03", 5)), FirstBytes::kNotTls)
      << "too short";
}

TEST(ClientHelloTest, LeavesAHelloInTwoRecordsToTheTlsLibrary) {
  std::string split = ClientHello(TLS1_2_VERSION);
  split[3] = 0;
  split[4] = 60;  // the record ends before the hello does
  EXPECT_EQ(Classify(split), FirstBytes::kTls);
}

TEST(ClientHelloTest, AnOldHelloNeedsNoExtensions) {
  std::string hello = "\x16\x03\x01";
  const std::string body = std::string("\x03\x03", 2) + std::string(32, 'r') +
                           std::string(1, '\0') + std::string("\x00\x02\xc0\x2f", 4) +
                           std::string("\x01\x00", 2);
  hello += std::string("\0", 1) + static_cast<char>(body.size() + 4);
  hello += std::string("\x01\x00\x00", 3) + static_cast<char>(body.size()) + body;
  EXPECT_EQ(Classify(hello), FirstBytes::kOldTls);
}

TEST(ClientHelloTest, SpoiltHellosAreJudgedWithoutReadingBeyondThem) {
  const std::string good = ClientHello(TLS1_3_VERSION);
  std::mt19937 random(1);
  int counts[4] = {};
  for (int round = 0; round < 20'000; ++round) {
    std::string spoilt = good;
    for (int i = 0; i < 1 + round % 4; ++i)
      spoilt[random() % spoilt.size()] = static_cast<char>(random());
    // A copy of just that size, so that a sanitizer sees a read beyond it.
    const std::vector<char> exact(spoilt.begin(),
                                  spoilt.begin() + static_cast<long>(random() % spoilt.size()));
    ++counts[static_cast<int>(Classify({exact.data(), exact.size()}))];
    ++counts[static_cast<int>(Classify(spoilt))];
  }
  EXPECT_GT(counts[static_cast<int>(FirstBytes::kTls)], 0);
  EXPECT_GT(counts[static_cast<int>(FirstBytes::kNotTls)], 0);
}

}  // namespace
}  // namespace peermesh::net
