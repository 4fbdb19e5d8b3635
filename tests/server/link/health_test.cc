// The standard health service: what it answers is what gRPC's own clients ask for.
#include "server/link/health.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "server/link/kinds.h"
#include "tests/metrics/ledger/books.h"
#include "tests/server/link/handlers.h"
#include "tests/server/link/harness.h"

namespace peermesh::link {
namespace {

const std::string kServing{"\x08\x01", 2}, kNotServing{"\x08\x02", 2}, kUnknown{"\x08\x03", 2};

std::string Request(const std::string& service) {
  return service.empty() ? ""
                         : "\x0a" + std::string(1, static_cast<char>(service.size())) + service;
}

class HealthTest : public testing::Test {
 protected:
  HealthTest() {
    RpcServerOptions options;
    options.name = "test";
    options.doors[0].stream_services = {"a.Service"};
    options.doors[0].on_call = [](const auto&) {};
    options.is_unary = [](const std::string&) { return true; };  // what it does not know
    server_ = std::make_unique<TestServer>(std::move(options));
    channel_ =
        grpc::CreateChannel("ipv4:" + server_->address(), grpc::InsecureChannelCredentials());
    pool_.AddClientQueues(1);
  }
  ~HealthTest() override {
    for (const auto& call : calls_) call->stream().Cancel("over");
    server_->Stop();
    EXPECT_TRUE(pool_.WaitUntilIdle(Queue::Clock::now() + kPatience));
    pool_.Stop();
  }
  std::shared_ptr<Recorder> Call(std::string_view method, const std::string& request) {
    const auto call = std::make_shared<Recorder>(Recorder::Reading::kAlways);
    call->Attach(Stream::Open(pool_, pool_.Next(), channel_, std::string(method), {}, call));
    call->stream().Write(request);
    call->stream().Read();
    calls_.push_back(call);
    return call;
  }
  std::shared_ptr<Recorder> Watch(const std::string& service) {
    return Call(kHealthWatch, Request(service));
  }
  static bool WaitLast(Recorder& call, const std::string& response) {
    return call.Wait([&](const Record& record) {
      return !record.messages.empty() && record.messages.back() == response;
    });
  }

  std::unique_ptr<TestServer> server_;
  std::shared_ptr<grpc::Channel> channel_;
  QueuePool pool_{"client"};
  std::vector<std::shared_ptr<Recorder>> calls_;
};

TEST_F(HealthTest, AWatchTellsTheStateAndEachChange) {
  const auto server = Watch(""), service = Watch("a.Service");
  for (const auto& watch : {server, service}) ASSERT_TRUE(WaitLast(*watch, kNotServing));
  for (const bool serving : {true, false, true}) {
    server_->rpc().SetServing(serving);
    for (const auto& watch : {server, service})
      ASSERT_TRUE(WaitLast(*watch, serving ? kServing : kNotServing));
  }
  EXPECT_EQ(server->record().messages.size(), 4u);
}

TEST_F(HealthTest, TheSameStateAgainIsNotTold) {
  const auto watch = Watch("");
  ASSERT_TRUE(WaitLast(*watch, kNotServing));
  server_->rpc().SetServing(false);
  server_->rpc().SetServing(false);
  server_->rpc().SetServing(true);
  ASSERT_TRUE(WaitLast(*watch, kServing));
  EXPECT_EQ(watch->record().messages, (std::vector<std::string>{kNotServing, kServing}));
}

TEST_F(HealthTest, AServiceThatIsNotHereIsUnknownAndTheWatchStays) {
  const auto watch = Watch("b.Service");
  ASSERT_TRUE(WaitLast(*watch, kUnknown));
  server_->rpc().SetServing(true);
  const auto check = Call(kHealthCheck, Request("b.Service"));
  const auto closed = check->WaitClosed();
  ASSERT_TRUE(closed);
  EXPECT_EQ(closed->code, static_cast<int>(grpc::StatusCode::NOT_FOUND));
  EXPECT_TRUE(watch->record().closed.empty());
  EXPECT_EQ(watch->record().messages.size(), 1u);
}

TEST_F(HealthTest, WhatIsNoRequestIsRefused) {
  for (const std::string_view method : {kHealthCheck, kHealthWatch}) {
    const auto call = Call(method, "\x0a\xff");
    const auto closed = call->WaitClosed();
    ASSERT_TRUE(closed);
    EXPECT_EQ(closed->code, static_cast<int>(grpc::StatusCode::INVALID_ARGUMENT)) << method;
  }
}

TEST_F(HealthTest, FieldsOfALaterVersionAreSkipped) {
  const auto call = Call(kHealthCheck, Request("a.Service") + "\x12\x01x");
  ASSERT_TRUE(call->WaitMessages(1));
  EXPECT_EQ(call->record().messages.front(), kNotServing);
}

TEST_F(HealthTest, AStoppingServerTellsItsWatchersAndEndsThem) {
  const auto watch = Watch("");
  ASSERT_TRUE(WaitLast(*watch, kNotServing));
  server_->rpc().SetServing(true);
  ASSERT_TRUE(WaitLast(*watch, kServing));
  const auto begin = std::chrono::steady_clock::now();
  server_->Stop(kPatience);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, kPatience / 2) << "a watch holds up nobody";
  const auto closed = watch->WaitClosed();
  ASSERT_TRUE(closed);
  EXPECT_EQ(closed->code, static_cast<int>(grpc::StatusCode::UNAVAILABLE));
  EXPECT_EQ(watch->record().messages.back(), kNotServing);
}

TEST_F(HealthTest, AWatchIsNoUnaryCallAndMayLast) {
  const auto watch = Watch("");
  ASSERT_TRUE(WaitLast(*watch, kNotServing));
  EXPECT_EQ(ledger::Live(kServerStream), 1u);
  EXPECT_EQ(ledger::Live(kServerCall), 0u);
}

TEST_F(HealthTest, AWatcherThatGoesAwayIsForgotten) {
  for (int i = 0; i < 50; ++i) {
    const auto watch = Watch("");
    ASSERT_TRUE(WaitLast(*watch, kNotServing));
    watch->stream().Cancel("enough");
    ASSERT_TRUE(watch->WaitClosed());
  }
  EXPECT_TRUE(Eventually([&] { return server_->rpc().stats().live == 0; }));
  EXPECT_TRUE(Eventually([] { return ledger::Live(kServerStream) == 0; }));
  server_->rpc().SetServing(true);
}

}  // namespace
}  // namespace peermesh::link
