#include "client/errors.h"

#include <grpcpp/support/status.h>
#include <gtest/gtest.h>

#include <limits>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "tests/client/scripted_peer.h"

namespace peermesh::client {
namespace {

TEST(Errors, DetailsOfAPeerSurviveTheTrip) {
  const absl::Status status =
      FromGrpc(RefusalOf(grpc::StatusCode::RESOURCE_EXHAUSTED, "RATE_LIMITED", "Too fast.",
                         std::chrono::milliseconds(40)));
  EXPECT_TRUE(absl::IsResourceExhausted(status));
  EXPECT_EQ(status.message(), "Too fast.");
  EXPECT_EQ(ReasonOf(status), "RATE_LIMITED");
  EXPECT_EQ(RetryAfter(status), std::chrono::milliseconds(40));
}

TEST(Errors, WithoutDetailsThereIsNoReason) {
  const absl::Status status = FromGrpc(grpc::Status(grpc::StatusCode::UNAVAILABLE, "gone"));
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_EQ(ReasonOf(status), "");
  EXPECT_EQ(RetryAfter(status), std::nullopt);
}

TEST(Errors, AWaitOfAnyLengthIsWithinBounds) {
  for (const std::int64_t seconds : {std::int64_t{-1}, std::numeric_limits<std::int64_t>::max()}) {
    google::rpc::Status proto;
    proto.set_code(8);
    google::rpc::RetryInfo wait;
    wait.mutable_retry_delay()->set_seconds(seconds);
    proto.add_details()->PackFrom(wait);
    const auto retry = RetryAfter(FromProto(proto));
    ASSERT_TRUE(retry.has_value());
    EXPECT_EQ(*retry, seconds < 0 ? Duration::zero() : Duration(kLongestRetry));
  }
}

TEST(Errors, DetailsThatAreNotOursAreIgnored) {
  const absl::Status status =
      FromGrpc(grpc::Status(grpc::StatusCode::INTERNAL, "odd", "\xff\xff not a google.rpc.Status"));
  EXPECT_TRUE(absl::IsInternal(status));
  EXPECT_EQ(ReasonOf(status), "");
}

TEST(Errors, OnlyWhatMayPassByItselfIsTransient) {
  using Code = absl::StatusCode;
  for (const Code code : {Code::kOk, Code::kUnavailable, Code::kCancelled, Code::kInternal}) {
    EXPECT_TRUE(IsTransient(absl::Status(code, ""))) << code;
  }
  for (const Code code : {Code::kInvalidArgument, Code::kPermissionDenied, Code::kUnauthenticated,
                          Code::kResourceExhausted, Code::kUnimplemented, Code::kNotFound}) {
    EXPECT_FALSE(IsTransient(absl::Status(code, ""))) << code;
  }
  EXPECT_FALSE(IsTransient(MakeError(Code::kInternal, "BAD_FRAME", "")));
  EXPECT_TRUE(IsTransient(FromGrpc(RefusalOf(grpc::StatusCode::RESOURCE_EXHAUSTED, "RATE_LIMITED",
                                             "", std::chrono::milliseconds(1)))));
}

}  // namespace
}  // namespace peermesh::client
