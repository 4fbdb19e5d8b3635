#include "server/wire/errors.h"

#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "tests/server/wire/wire_testing.h"

namespace peermesh::wire {
namespace {

struct Details {
  google::rpc::Status status;
  std::vector<google::rpc::ErrorInfo> infos;
  std::vector<google::rpc::RetryInfo> retries;
  std::vector<google::rpc::QuotaFailure> quotas;
  std::vector<google::rpc::BadRequest> bad;
};

Details Unpack(const RpcError& error) {
  Details details;
  EXPECT_TRUE(details.status.ParseFromString(error.details));
  EXPECT_EQ(details.status.code(), error.code);
  EXPECT_EQ(details.status.message(), error.message);
  for (const auto& any : details.status.details()) {
    google::rpc::ErrorInfo info;
    google::rpc::RetryInfo retry;
    google::rpc::QuotaFailure quota;
    google::rpc::BadRequest bad;
    if (any.UnpackTo(&info)) details.infos.push_back(info);
    if (any.UnpackTo(&retry)) details.retries.push_back(retry);
    if (any.UnpackTo(&quota)) details.quotas.push_back(quota);
    if (any.UnpackTo(&bad)) details.bad.push_back(bad);
  }
  EXPECT_EQ(details.infos.size(), 1u) << "every error has exactly one cause";
  EXPECT_EQ(details.infos.at(0).domain(), "peermesh");
  return details;
}

TEST(ReasonsTest, TheTableIsSortedAndComplete) {
  std::string last;
  for (const Reason& row : Reasons()) {
    EXPECT_LT(last, row.name);
    last = row.name;
    EXPECT_TRUE(std::regex_match(row.name, std::regex("[A-Z][A-Z0-9_]{2,62}"))) << row.name;
    EXPECT_EQ(std::string(row.meaning).back(), '.') << row.name;
    EXPECT_EQ(std::string(row.action).back(), '.') << row.name;
    EXPECT_STRNE(ToString(row.code), "UNKNOWN") << row.name;
    EXPECT_EQ(FindReason(row.name), &row);
  }
  EXPECT_EQ(FindReason("NO_SUCH_REASON"), nullptr);
  EXPECT_EQ(FindReason(""), nullptr);
}

TEST(ReasonsTest, EveryReasonInTheSourcesIsInTheTable) {
  const std::regex use(R"re((?:Invalid|Exhausted|MakeError)\((?:[A-Za-z:]+, )?\s*"([A-Z_]+)")re");
  std::set<std::string> seen;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(PEERMESH_SOURCE_DIR "/server")) {
    if (entry.path().extension() != ".cc") continue;
    std::ifstream file(entry.path());
    std::ostringstream text;
    text << file.rdbuf();
    const std::string source = text.str();
    for (std::sregex_iterator it(source.begin(), source.end(), use), end; it != end; ++it) {
      seen.insert((*it)[1]);
      EXPECT_NE(FindReason((*it)[1].str()), nullptr) << (*it)[1] << " in " << entry.path();
    }
  }
  EXPECT_TRUE(seen.count("EMPTY_BATCH") == 1) << "the search finds what is there";
}

TEST(ErrorsTest, AnInvalidArgumentNamesItsField) {
  const RpcError error = Invalid("INVALID_PATTERN", "subjects[1]", "must be a pattern");
  EXPECT_EQ(error.code, 3);
  EXPECT_EQ(error.message, std::string("subjects[1]: must be a pattern. ") +
                               FindReason("INVALID_PATTERN")->action);
  const Details details = Unpack(error);
  EXPECT_EQ(details.infos[0].reason(), "INVALID_PATTERN");
  ASSERT_EQ(details.bad.size(), 1u);
  EXPECT_EQ(details.bad[0].field_violations(0).field(), "subjects[1]");
  EXPECT_EQ(details.bad[0].field_violations(0).description(), "must be a pattern");
  EXPECT_EQ(error.retry_pushback, std::nullopt);
}

TEST(ErrorsTest, ARateLimitSaysWhenToComeBack) {
  const RpcError error = Refused(node::Refusal::kRateLimited, "application_messages",
                                 std::chrono::microseconds(1'500'001), "application:local");
  EXPECT_EQ(error.code, 8);
  EXPECT_EQ(error.retry_pushback, std::chrono::milliseconds(1'501))
      << "rounded up: a little early is refused again";
  const Details details = Unpack(error);
  EXPECT_EQ(details.infos[0].reason(), "RATE_LIMITED");
  EXPECT_EQ(details.infos[0].metadata().at("limit"), "application_messages");
  ASSERT_EQ(details.retries.size(), 1u);
  EXPECT_EQ(details.retries[0].retry_delay().seconds(), 1);
  EXPECT_EQ(details.retries[0].retry_delay().nanos(), 501'000'000);
  ASSERT_EQ(details.quotas.size(), 1u);
  EXPECT_EQ(details.quotas[0].violations(0).subject(), "application:local");
  EXPECT_EQ(details.quotas[0].violations(0).description(), "application_messages");
}

TEST(ErrorsTest, ARequestThatNoRateEverLetsThroughIsNotToBeRepeated) {
  const RpcError error =
      Refused(node::Refusal::kRateLimited, "application_messages", Duration::max());
  EXPECT_EQ(error.retry_pushback, std::nullopt);
  EXPECT_TRUE(Unpack(error).retries.empty());
  EXPECT_EQ(Unpack(error).infos[0].reason(), "RATE_LIMITED");
  EXPECT_THAT(error.message, ::testing::HasSubstr("more than it ever lets through at once"));
}

TEST(ErrorsTest, EveryRefusalOfTheNodeHasAReasonAndOnlyRateLimitsHeal) {
  for (int i = 1; i <= static_cast<int>(node::Refusal::kNoAnswer); ++i) {
    SCOPED_TRACE(i);
    const auto refusal = static_cast<node::Refusal>(i);
    const RpcError error = Refused(refusal, "", std::chrono::seconds(1));
    const Details details = Unpack(error);
    const Reason* row = FindReason(details.infos[0].reason());
    ASSERT_NE(row, nullptr);
    EXPECT_EQ(static_cast<int>(row->code), error.code);
    EXPECT_EQ(details.quotas.size(), row->code == Code::kResourceExhausted ? 1u : 0u);
    EXPECT_EQ(details.retries.size(), refusal == node::Refusal::kRateLimited ? 1u : 0u);
    EXPECT_EQ(error.retry_pushback.has_value(), refusal == node::Refusal::kRateLimited);
  }
}

TEST(ErrorsTest, EveryRuleIsExplained) {
  std::set<std::string> labels;
  for (std::size_t i = 1; i < kRuleCount; ++i) {
    const auto rule = static_cast<Rule>(i);
    const RuleInfo& info = Describe(rule);
    ASSERT_NE(info.label, nullptr) << i;
    SCOPED_TRACE(info.label);
    EXPECT_TRUE(labels.insert(info.label).second);
    const RpcError error = Malformed({rule, 3});
    const Details details = Unpack(error);
    EXPECT_EQ(details.infos[0].reason(), info.reason);
    EXPECT_EQ(details.infos[0].metadata().at("rule"), info.label);
    EXPECT_THAT(
        error.message,
        ::testing::HasSubstr(rule == Rule::kTooManyMessages ? "messages may" : "messages[3]"));
    EXPECT_THAT(Malformed({rule}).message, ::testing::Not(::testing::HasSubstr("messages[")));
    EXPECT_EQ(static_cast<int>(FindReason(info.reason)->code), error.code);
  }
}

TEST(ErrorsTest, DeniedAndUnknownMethodsNameThem) {
  const RpcError denied = Denied("/peermesh.v1.AdminService/Drain", "client");
  EXPECT_EQ(denied.code, 7);
  EXPECT_EQ(Unpack(denied).infos[0].reason(), "ROLE_REQUIRED");
  EXPECT_THAT(denied.message,
              ::testing::HasSubstr("\"client\" may not call /peermesh.v1.AdminService/Drain"));
  const RpcError unknown = UnknownMethod("/x/Y");
  EXPECT_EQ(unknown.code, 12);
  EXPECT_EQ(Unpack(unknown).infos[0].metadata().at("method"), "/x/Y");
}

TEST(ErrorsTest, AnExhaustedLimitThatTimeDoesNotHealHasNoRetry) {
  const RpcError error = Exhausted("STREAM_LIMIT", "watches", "too many watches on this peer");
  EXPECT_EQ(error.code, 8);
  const Details details = Unpack(error);
  EXPECT_EQ(details.quotas.size(), 1u);
  EXPECT_TRUE(details.retries.empty());
  EXPECT_EQ(error.retry_pushback, std::nullopt);
}

}  // namespace
}  // namespace peermesh::wire
