#include "server/observe/call_metrics.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <regex>
#include <set>
#include <string>

#include "peermesh/ca/v1/ca.pb.h"
#include "peermesh/link/v1/link.pb.h"
#include "peermesh/v1/admin.pb.h"
#include "peermesh/v1/messaging.pb.h"
#include "peermesh/v1/peers.pb.h"
#include "server/api/access.h"
#include "server/link/calls.h"

namespace peermesh {
namespace {

using google::protobuf::DescriptorPool;
using google::protobuf::MethodDescriptor;
using testing::HasSubstr;

std::string Text() {
  metrics::Page page;
  CollectCalls(page);
  return page.Text();
}

// Lines that are samples, without their values.
std::set<std::string> Series() {
  std::set<std::string> names;
  const std::string text = Text();
  for (std::size_t begin = 0; begin < text.size(); begin = text.find('\n', begin) + 1) {
    const std::string line = text.substr(begin, text.find('\n', begin) - begin);
    if (!line.starts_with('#')) names.insert(line.substr(0, line.rfind(' ')));
  }
  return names;
}

const char* TypeOf(const MethodDescriptor& method) {
  if (method.client_streaming()) return method.server_streaming() ? "bidi_stream" : "client_stream";
  return method.server_streaming() ? "server_stream" : "unary";
}

class CallMetricsTest : public testing::Test {
 protected:
  CallMetricsTest() {
    RegisterCalls();
    // Named, so that their descriptors are there.
    v1::PublishRequest::descriptor();
    v1::ListPeersRequest::descriptor();
    v1::DrainRequest::descriptor();
    link::v1::ControlRequest::descriptor();
    ca::v1::RenewRequest::descriptor();
  }
};

TEST_F(CallMetricsTest, EveryMethodOfTheTableHasTheTypeThatItsProtoSays) {
  const auto series = Series();
  for (const api::Method& method : api::Methods()) {
    std::string name(method.path.substr(1));
    std::replace(name.begin(), name.end(), '/', '.');
    const MethodDescriptor* proto = DescriptorPool::generated_pool()->FindMethodByName(name);
    ASSERT_NE(proto, nullptr) << name;
    const std::string labels = "{grpc_type=\"" + std::string(TypeOf(*proto)) +
                               "\",grpc_service=\"" + proto->service()->full_name() +
                               "\",grpc_method=\"" + proto->name() + "\"}";
    EXPECT_TRUE(series.contains("grpc_server_started_total" + labels)) << labels;
  }
}

TEST_F(CallMetricsTest, CallsOfOursAreThoseOfTheLinkAndOfTheCa) {
  const auto series = Series();
  for (const char* service : {"peermesh.link.v1.LinkService", "peermesh.ca.v1.EnrolmentService"}) {
    const auto* proto = DescriptorPool::generated_pool()->FindServiceByName(service);
    ASSERT_NE(proto, nullptr);
    for (int i = 0; i < proto->method_count(); ++i) {
      const std::string labels = "{grpc_type=\"" + std::string(TypeOf(*proto->method(i))) +
                                 "\",grpc_service=\"" + service + "\",grpc_method=\"" +
                                 proto->method(i)->name() + "\"}";
      EXPECT_TRUE(series.contains("grpc_client_msg_sent_total" + labels)) << labels;
    }
  }
}

TEST_F(CallMetricsTest, AllSeriesAreThereBeforeTheFirstCallAndNoneComesLater) {
  const auto before = Series();
  for (const char* name : {"started_total", "handled_total", "msg_received_total", "msg_sent_total",
                           "handling_seconds_bucket", "handling_seconds_sum"}) {
    EXPECT_THAT(Text(), HasSubstr(std::string("grpc_server_") + name + "{"));
    EXPECT_THAT(Text(), HasSubstr(std::string("grpc_client_") + name + "{"));
  }
  for (const api::Method& method : api::Methods()) {
    const link::CallCount call(link::CallBook::Served(), method.path);
    call.Received();
    call.Sent();
    call.End(static_cast<int>(method.path.size() % link::kCallCodes));
  }
  link::CallCount(link::CallBook::Served(), "/some/thing").End(12);
  RegisterCalls();
  EXPECT_EQ(Series(), before);
}

TEST_F(CallMetricsTest, EveryCodeHasItsSeriesAtZero) {
  const std::string text = Text();
  const std::regex renew(
      "grpc_client_handled_total\\{grpc_type=\"unary\",grpc_service=\"peermesh.ca.v1."
      "EnrolmentService\",grpc_method=\"Renew\",grpc_code=\"\\w+\"\\} 0\n");
  EXPECT_EQ(std::distance(std::sregex_iterator(text.begin(), text.end(), renew), {}), 17);
}

TEST_F(CallMetricsTest, TheFiguresAreThoseOfTheBook) {
  const auto& method = api::Methods().front();
  const std::string labels =
      "{grpc_type=\"unary\",grpc_service=\"peermesh.v1.MessagingService\",grpc_method=\"Publish\"";
  ASSERT_EQ(method.path, "/peermesh.v1.MessagingService/Publish");
  const auto value = [&](const std::string& series) {
    const std::string text = Text();
    const std::size_t at = text.find(series + " ");
    return at == std::string::npos ? -1 : std::stod(text.substr(at + series.size()));
  };
  const std::string started = "grpc_server_started_total" + labels + "}";
  const std::string denied =
      "grpc_server_handled_total" + labels + ",grpc_code=\"PermissionDenied\"}";
  const std::string took = "grpc_server_handling_seconds_bucket" + labels + ",le=\"+Inf\"}";
  const double started_before = value(started), denied_before = value(denied);
  const double took_before = value(took);
  link::CallCount(link::CallBook::Served(), method.path).End(7);
  EXPECT_EQ(value(started), started_before + 1);
  EXPECT_EQ(value(denied), denied_before + 1);
  EXPECT_EQ(value(took), took_before + 1);
}

}  // namespace
}  // namespace peermesh
