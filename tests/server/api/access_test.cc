#include "server/api/access.h"

#include <gtest/gtest.h>

#include <string>

namespace peermesh::api {
namespace {

std::string Callers(const Method& method) {
  std::string callers;
  for (int i = 0; i < kCallerCount; ++i) {
    const auto caller = static_cast<Caller>(i);
    if (method.Allows(caller))
      callers += std::string(callers.empty() ? "" : ", ") + ToString(caller);
  }
  return callers;
}

TEST(AccessTest, EveryMethodIsForThoseItWasMadeForAndNobodyElse) {
  const std::string applications = "application on this host, client, admin";
  const std::string operators = "operator on this host, admin";
  const std::string both = "application on this host, operator on this host, client, admin";
  for (const Method& method : Methods()) {
    switch (method.service) {
      case Service::kMessaging: EXPECT_EQ(Callers(method), applications) << method.path; break;
      case Service::kPeers: EXPECT_EQ(Callers(method), both) << method.path; break;
      case Service::kAdmin: EXPECT_EQ(Callers(method), operators) << method.path; break;
      case Service::kLink: EXPECT_EQ(Callers(method), "peer") << method.path; break;
    }
    EXPECT_EQ(FindMethod(method.path), &method);
  }
}

TEST(AccessTest, WhatIsNotInTheTableIsNotFound) {
  EXPECT_EQ(FindMethod(""), nullptr);
  EXPECT_EQ(FindMethod("/peermesh.v1.MessagingService/"), nullptr);
  EXPECT_EQ(FindMethod("/peermesh.v1.MessagingService/publish"), nullptr);
}

}  // namespace
}  // namespace peermesh::api
