#include "client/message.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/errors.h"
#include "mesh/base/limits.h"
#include "peermesh/v1/messaging.pb.h"

namespace peermesh::client {
namespace {

TEST(CheckPattern, TakesWildcardsWhereTheyMayStand) {
  for (const char* good : {"a", "a.b-c.D_1", "*", ">", "a.*", "*.b", "a.>", "*.*.>"}) {
    EXPECT_TRUE(CheckPattern(good).ok()) << good;
  }
  std::string long_one = "1";
  for (int i = 2; i <= 17; ++i) long_one += ".t";
  for (const std::string& bad :
       {std::string(), std::string("."), std::string("a..b"), std::string("a."), std::string(".a"),
        std::string(">.a"), std::string("a*"), std::string("a.>b"), std::string("a b"), long_one,
        std::string(257, 'a')}) {
    const absl::Status refused = CheckPattern(bad);
    EXPECT_EQ(ReasonOf(refused), "INVALID_PATTERN") << bad;
  }
}

TEST(WireBytes, IsWhatTheEncodedMessageHas) {
  for (const std::size_t size : {0u, 1u, 127u, 128u, 16'383u, 16'384u, 1'000'000u}) {
    for (const bool full : {false, true}) {
      Message message{"a.b", std::string(size, 'x'), "", {}, ""};
      if (full) {
        message.reply_to = "r";
        message.content_type = "text/plain";
        message.headers = {{"k", "v"}, {"k2", ""}, {"k3", std::string(200, 'v')}};
      }
      const std::size_t bytes = WireBytes(message);
      v1::Message proto;
      ToProto(std::move(message), proto);
      EXPECT_EQ(bytes, proto.ByteSizeLong()) << size;
    }
  }
}

TEST(Check, RefusesWhatThePeerWouldRefuse) {
  const auto reason = [](const Message& message) { return ReasonOf(Check(message)); };
  Message message{"a", "", "", {}, ""};
  EXPECT_TRUE(Check(message).ok());
  message.payload.assign(kMaxMessageBytes - 7, 'x');  // 3 for the subject, 4 before the payload
  EXPECT_TRUE(Check(message).ok());
  message.payload += 'x';
  EXPECT_EQ(reason(message), "MESSAGE_TOO_LARGE");
  EXPECT_EQ(reason({"a.*", "", "", {}, ""}), "INVALID_SUBJECT");
  EXPECT_EQ(reason({"a", "", "b.", {}, ""}), "INVALID_SUBJECT");
  EXPECT_EQ(reason({"a", "", "", {{"", "v"}}, ""}), "MALFORMED_MESSAGE");
  EXPECT_EQ(reason({"a", "", "", {{"k", std::string(kMaxHeaderBytes, 'v')}}, ""}),
            "MALFORMED_MESSAGE");
  EXPECT_EQ(reason({"a", "", "", std::vector<Header>(kMaxHeaders + 1, {"k", "v"}), ""}),
            "MALFORMED_MESSAGE");
  EXPECT_EQ(reason({"a", "", "", {}, std::string(kMaxContentTypeBytes + 1, 'c')}),
            "MALFORMED_MESSAGE");
}

}  // namespace
}  // namespace peermesh::client
