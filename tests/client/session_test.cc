#include "client/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>

#include "client/errors.h"
#include "client/peermesh.h"
#include "tests/client/scripted_peer.h"

namespace peermesh::client {
namespace {

using std::chrono::seconds;
using ExchangeStream = ScriptedPeer::ExchangeStream;

constexpr Duration kPatience = seconds(20);

class SessionTest : public testing::Test {
 protected:
  SessionTest() : peer_(dir_.path() + "/app.sock") {}

  std::unique_ptr<Client> Connect() {
    Options options;
    options.socket = peer_.socket();
    auto client = Client::Connect(options);
    EXPECT_TRUE(client.ok()) << client.status();
    return *std::move(client);
  }
  std::unique_ptr<Session> Open(SessionOptions options = {}) {
    client_ = Connect();
    auto session = client_->OpenSession(std::move(options));
    EXPECT_TRUE(session.ok()) << session.status();
    return *std::move(session);
  }
  // The next event, which must be an E.
  template <class E>
  static E Expect(Session& session) {
    auto event = session.Next(kPatience);
    EXPECT_TRUE(event.ok() && event->has_value()) << event.status();
    E* expected = event.ok() && *event ? std::get_if<E>(&**event) : nullptr;
    EXPECT_NE(expected, nullptr) << "another event";
    return expected ? std::move(*expected) : E{};
  }

  TempDir dir_;
  ScriptedPeer peer_;
  std::unique_ptr<Client> client_;
};

TEST_F(SessionTest, SubscriptionsAreInForceWhenOpenReturns) {
  std::atomic<bool> confirmed = false;
  peer_.on_exchange = [&](ExchangeStream& stream) {
    ScriptedPeer::Welcome(stream);
    const auto request = ScriptedPeer::Read(stream);
    EXPECT_EQ(request.subscribe_size(), 2);
    EXPECT_EQ(request.subscribe(0).subject(), "a.*");
    EXPECT_EQ(request.subscribe(0).on_overflow(), v1::ON_OVERFLOW_BLOCK);
    EXPECT_EQ(request.subscribe(0).block_timeout().nanos(), 500'000'000);
    for (const auto& subscription : request.subscribe()) {
      confirmed = subscription.id() == 2;
      v1::ExchangeResponse response;
      response.add_subscribed()->add_ids(subscription.id());
      stream.Write(response);
    }
    ScriptedPeer::WaitForEnd(stream);
    return grpc::Status::OK;
  };
  peer_.Start();
  SessionOptions options;
  options.subjects = {"a.*", "b.>"};
  options.on_overflow = OnOverflow::kBlock;
  options.block_timeout = std::chrono::milliseconds(500);
  const auto session = Open(options);
  EXPECT_TRUE(confirmed);
  EXPECT_EQ(Expect<Connected>(*session).peer_name, "scripted");
  EXPECT_THAT(Expect<Subscribed>(*session).ids, testing::ElementsAre(1));
  EXPECT_THAT(Expect<Subscribed>(*session).ids, testing::ElementsAre(2));
}

TEST_F(SessionTest, SmallPublishesTravelTogetherAndInOrder) {
  constexpr std::uint64_t kMessages = 20'000;
  std::atomic<std::uint64_t> frames = 0, next = 0;
  peer_.on_exchange = [&](ExchangeStream& stream) {
    ScriptedPeer::Welcome(stream);
    v1::ExchangeRequest request;
    while (stream.Read(&request)) {
      ++frames;
      EXPECT_LE(request.messages_size(), static_cast<int>(kMaxBatchMessages));
      for (const auto& message : request.messages()) {
        EXPECT_EQ(message.payload(), std::to_string(next));
        ++next;
      }
      ScriptedPeer::Answer(stream, request.publish_id());
    }
    return grpc::Status::OK;
  };
  peer_.Start();
  std::uint64_t answered = 0;
  SessionOptions options;
  options.on_published = [&answered](const Published& published) {
    answered += published.messages;
  };
  const auto session = Open(std::move(options));
  for (std::uint64_t i = 0; i < kMessages; ++i) {
    ASSERT_TRUE(session->Publish("a.b", std::to_string(i)).ok());
  }
  EXPECT_TRUE(session->Close(kPatience).ok());
  EXPECT_EQ(answered, kMessages);
  EXPECT_EQ(next, kMessages);
  EXPECT_LT(frames, kMessages / 2);
}

TEST_F(SessionTest, BurstsTravelTogetherAndLoneMessagesStillLeave) {
  std::atomic<int> frames = 0;
  std::vector<std::string> arrived;
  peer_.on_exchange = [&](ExchangeStream& stream) {
    ScriptedPeer::Welcome(stream);
    v1::ExchangeRequest request;
    while (stream.Read(&request)) {
      ++frames;
      for (const auto& message : request.messages()) arrived.push_back(message.payload());
      ScriptedPeer::Answer(stream, request.publish_id());
    }
    return grpc::Status::OK;
  };
  peer_.Start();
  const auto session = Open();
  std::vector<std::string> sent;
  const auto publish = [&] {
    sent.push_back(std::to_string(sent.size()));
    ASSERT_TRUE(session->Publish("a", sent.back()).ok());
  };
  constexpr int kBursts = 20, kEach = 200;
  for (int burst = 0; burst < kBursts; ++burst) {
    for (int i = 0; i < kEach; ++i) publish();
    ASSERT_TRUE(session->Flush(kPatience).ok());
  }
  EXPECT_LT(frames, kBursts * kEach / 4);
  for (int i = 0; i < 3; ++i) {
    const int before = frames;
    publish();
    ASSERT_TRUE(session->Flush(kPatience).ok());
    EXPECT_EQ(frames, before + 1);
  }
  ASSERT_TRUE(session->Close(kPatience).ok());
  EXPECT_EQ(arrived, sent);
}

// A handler may wait for another thread that publishes.
TEST_F(SessionTest, AHandlerHoldsUpNobodyElsesBursts) {
  Log<std::string> arrived;
  peer_.on_exchange = [&](ExchangeStream& stream) {
    ScriptedPeer::Welcome(stream);
    ScriptedPeer::Confirm(stream);
    v1::ExchangeRequest request;
    while (stream.Read(&request)) {
      for (const auto& message : request.messages()) {
        if (message.subject() == "go") ScriptedPeer::Deliver(stream, "event", "1", 1);
        if (message.subject() == "last") arrived.Add(message.payload());
      }
      if (request.publish_id() != 0) ScriptedPeer::Answer(stream, request.publish_id());
    }
    return grpc::Status::OK;
  };
  peer_.Start();
  std::promise<void> handling, published;
  SessionOptions options;
  options.subjects = {"event"};
  options.on_events = [&](std::span<Event> events) {
    for (const Event& event : events) {
      if (!std::holds_alternative<Received>(event)) continue;
      handling.set_value();
      EXPECT_EQ(published.get_future().wait_for(kPatience), std::future_status::ready);
    }
  };
  const auto session = Open(std::move(options));
  for (int burst = 0; burst < 3; ++burst) {
    for (int i = 0; i < 200; ++i) ASSERT_TRUE(session->Publish("a", "x").ok());
    ASSERT_TRUE(session->Flush(kPatience).ok());
  }
  ASSERT_TRUE(session->Publish("go", "").ok());
  ASSERT_EQ(handling.get_future().wait_for(kPatience), std::future_status::ready);
  ASSERT_TRUE(session->Publish("last", "word").ok());
  EXPECT_EQ(arrived.Take(), "word");
  published.set_value();
  EXPECT_TRUE(session->Close(kPatience).ok());
}

TEST_F(SessionTest, PublishWaitsWhileTheWindowIsFull) {
  std::promise<void> release;
  peer_.on_exchange = [&](ExchangeStream& stream) {
    ScriptedPeer::Welcome(stream);
    release.get_future().wait();
    v1::ExchangeRequest request;
    while (stream.Read(&request)) ScriptedPeer::Answer(stream, request.publish_id());
    return grpc::Status::OK;
  };
  peer_.Start();
  SessionOptions options;
  options.window_bytes = 100'000;
  const auto session = Open(options);
  const std::string payload(60'000, 'x');
  ASSERT_TRUE(session->Publish("a", payload).ok());
  ASSERT_TRUE(session->Publish("a", payload).ok()) << "the window was not yet full";
  auto third =
      std::async(std::launch::async, [&] { return session->Publish("a", payload).status(); });
  EXPECT_TRUE(absl::IsDeadlineExceeded(session->Flush(std::chrono::milliseconds(50))));
  EXPECT_EQ(third.wait_for(seconds(0)), std::future_status::timeout);
  release.set_value();
  EXPECT_TRUE(third.get().ok());
  EXPECT_TRUE(session->Flush(kPatience).ok());
}

TEST_F(SessionTest, AHandlerIsRefusedInsteadOfWaiting) {
  peer_.on_exchange = [&](ExchangeStream& stream) {
    ScriptedPeer::Welcome(stream);
    ScriptedPeer::Confirm(stream);
    ScriptedPeer::Deliver(stream, "a", "go", 1);
    ScriptedPeer::WaitForEnd(stream);
    return grpc::Status::OK;
  };
  peer_.Start();
  Log<absl::Status> refused;
  std::atomic<Session*> self = nullptr;
  std::promise<void> ready;
  auto is_ready = ready.get_future().share();
  SessionOptions options;
  options.window_bytes = 1;
  options.subjects = {"a"};
  options.on_events = [&](std::span<Event> events) {
    for (const Event& event : events) {
      if (!std::holds_alternative<Received>(event)) continue;
      is_ready.wait();
      EXPECT_TRUE(self.load()->Publish("b", "1").ok());
      refused.Add(self.load()->Publish("b", "2").status());
    }
  };
  const auto session = Open(std::move(options));
  self = session.get();
  ready.set_value();
  EXPECT_EQ(ReasonOf(refused.Take()), "WINDOW_FULL");
}

TEST_F(SessionTest, ARefusedBatchDoesNotEndTheSession) {
  peer_.on_exchange = [&](ExchangeStream& stream) {
    ScriptedPeer::Welcome(stream);
    v1::ExchangeResponse response;
    auto& published = *response.add_published();
    published.set_publish_id(ScriptedPeer::Read(stream).publish_id());
    published.mutable_error()->ParseFromString(RefusalOf(grpc::StatusCode::RESOURCE_EXHAUSTED,
                                                         "RATE_LIMITED", "Too fast.",
                                                         std::chrono::milliseconds(250))
                                                   .error_details());
    stream.Write(response);
    ScriptedPeer::Answer(stream, ScriptedPeer::Read(stream).publish_id());
    ScriptedPeer::WaitForEnd(stream);
    return grpc::Status::OK;
  };
  peer_.Start();
  const auto session = Open();
  ASSERT_TRUE(session->Publish("a", "1").ok());
  const absl::Status refused = session->Flush(kPatience);
  EXPECT_EQ(ReasonOf(refused), "RATE_LIMITED");
  EXPECT_EQ(RetryAfter(refused), std::chrono::milliseconds(250));
  ASSERT_TRUE(session->Publish("a", "2").ok());
  EXPECT_TRUE(session->Flush(kPatience).ok());
}

TEST_F(SessionTest, SubscriptionsAreMadeAnewAfterAReconnect) {
  std::atomic<int> streams = 0;
  peer_.on_exchange = [&](ExchangeStream& stream) {
    ScriptedPeer::Welcome(stream);
    const auto request = ScriptedPeer::Confirm(stream);
    EXPECT_EQ(request.subscribe_size(), 1);
    EXPECT_EQ(request.subscribe(0).subject(), "a");
    const int number = ++streams;
    ScriptedPeer::Deliver(stream, "a", std::to_string(number), 1);
    if (number == 1) return grpc::Status(grpc::StatusCode::UNAVAILABLE, "gone");
    ScriptedPeer::WaitForEnd(stream);
    return grpc::Status::OK;
  };
  peer_.Start();
  SessionOptions options;
  options.subjects = {"a"};
  const auto session = Open(options);
  EXPECT_FALSE(Expect<Connected>(*session).again);
  Expect<Subscribed>(*session);
  EXPECT_EQ(Expect<Received>(*session).message.payload, "1");
  EXPECT_TRUE(absl::IsUnavailable(Expect<Disconnected>(*session).why));
  EXPECT_TRUE(Expect<Connected>(*session).again);
  Expect<Subscribed>(*session);
  EXPECT_EQ(Expect<Received>(*session).message.payload, "2");
}

TEST_F(SessionTest, ReconnectsWhenThePeerHasRestarted) {
  peer_.on_exchange = [&](ExchangeStream& stream) {
    ScriptedPeer::Welcome(stream);
    ScriptedPeer::WaitForEnd(stream);
    return grpc::Status::OK;
  };
  peer_.Start();
  const auto session = Open();
  Expect<Connected>(*session);
  peer_.Stop();
  Expect<Disconnected>(*session);
  // Away for several attempts.
  EXPECT_FALSE(session->Next(std::chrono::milliseconds(700))->has_value());
  ASSERT_TRUE(session->Publish("a", "written after the reconnect").ok());
  peer_.on_exchange = [&](ExchangeStream& stream) {
    ScriptedPeer::Welcome(stream);
    ScriptedPeer::Answer(stream, ScriptedPeer::Read(stream).publish_id());
    ScriptedPeer::WaitForEnd(stream);
    return grpc::Status::OK;
  };
  peer_.Start();
  EXPECT_TRUE(Expect<Connected>(*session).again);
  EXPECT_TRUE(session->Flush(kPatience).ok());
}

TEST_F(SessionTest, WhatWasNotAnsweredIsReportedAndNotSentTwice) {
  Log<std::string> payloads;
  std::atomic<int> streams = 0;
  peer_.on_exchange = [&](ExchangeStream& stream) {
    ScriptedPeer::Welcome(stream);
    const bool first = ++streams == 1;
    v1::ExchangeRequest request;
    while (stream.Read(&request)) {
      for (const auto& message : request.messages()) payloads.Add(message.payload());
      if (first) return grpc::Status(grpc::StatusCode::UNAVAILABLE, "gone");
      ScriptedPeer::Answer(stream, request.publish_id());
    }
    return grpc::Status::OK;
  };
  peer_.Start();
  const auto session = Open();
  ASSERT_TRUE(session->Publish("a", "1").ok());
  EXPECT_EQ(ReasonOf(session->Flush(kPatience)), "CONNECTION_LOST");
  ASSERT_TRUE(session->Publish("a", "2").ok());
  EXPECT_TRUE(session->Close(kPatience).ok());
  EXPECT_EQ(payloads.Take(), "1");
  EXPECT_EQ(payloads.Take(), "2");
  EXPECT_TRUE(payloads.empty());
}

TEST_F(SessionTest, ARefusedSessionEndsWithTheReasonAndDoesNotReconnect) {
  std::atomic<int> streams = 0;
  peer_.on_exchange = [&](ExchangeStream& stream) {
    ++streams;
    ScriptedPeer::Welcome(stream);
    ScriptedPeer::Read(stream);
    return RefusalOf(grpc::StatusCode::INVALID_ARGUMENT, "INVALID_SUBJECT", "No.");
  };
  peer_.Start();
  client_ = Connect();
  SessionOptions options;
  options.subjects = {"a..b"};
  const auto session = client_->OpenSession(std::move(options));
  ASSERT_FALSE(session.ok());
  EXPECT_EQ(ReasonOf(session.status()), "INVALID_SUBJECT");
  EXPECT_EQ(streams, 1);
}

TEST_F(SessionTest, AFrameThatContradictsItselfEndsTheSession) {
  peer_.on_exchange = [&](ExchangeStream& stream) {
    ScriptedPeer::Welcome(stream);
    ScriptedPeer::Read(stream);
    v1::ExchangeResponse response;
    response.add_messages()->set_subject("a");
    stream.Write(response);
    ScriptedPeer::WaitForEnd(stream);
    return grpc::Status::OK;
  };
  peer_.Start();
  const auto session = Open();
  Expect<Connected>(*session);
  ASSERT_TRUE(session->Publish("a", "go").ok());
  const auto event = session->Next(kPatience);
  EXPECT_EQ(ReasonOf(event.status()), "BAD_FRAME");
}

TEST_F(SessionTest, CancelEndsAWaitingNextAndAWaitingPublish) {
  peer_.on_exchange = [&](ExchangeStream& stream) {
    ScriptedPeer::Welcome(stream);
    ScriptedPeer::WaitForEnd(stream);
    return grpc::Status::OK;
  };
  peer_.Start();
  SessionOptions options;
  options.window_bytes = 1;
  const auto session = Open(options);
  Expect<Connected>(*session);
  ASSERT_TRUE(session->Publish("a", "fills the window").ok());
  auto publish = std::async(std::launch::async, [&] { return session->Publish("a", "").status(); });
  auto next = std::async(std::launch::async, [&] { return session->Next(kPatience).status(); });
  session->Cancel();
  EXPECT_EQ(ReasonOf(publish.get()), "SESSION_CLOSED");
  EXPECT_EQ(ReasonOf(next.get()), "SESSION_CLOSED");
}

TEST_F(SessionTest, ASessionThatIsNeverLetInSaysWhyAndNotThatItTookLong) {
  peer_.on_exchange = [&](ExchangeStream& stream) {
    ScriptedPeer::Welcome(stream);
    return RefusalOf(grpc::StatusCode::RESOURCE_EXHAUSTED, "RATE_LIMITED", "Too fast.",
                     std::chrono::milliseconds(500));
  };
  peer_.Start();
  Options options;
  options.socket = peer_.socket();
  options.connect_timeout = std::chrono::milliseconds(200);
  const auto client = Client::Connect(options);
  ASSERT_TRUE(client.ok()) << client.status();
  SessionOptions session_options;
  session_options.subjects = {"a"};
  EXPECT_EQ(ReasonOf((*client)->OpenSession(session_options).status()), "RATE_LIMITED");
}

TEST_F(SessionTest, TheEndIsToldToTheHandlerLast) {
  peer_.on_exchange = [&](ExchangeStream& stream) {
    ScriptedPeer::Welcome(stream);
    ScriptedPeer::Read(stream);
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "gone");
  };
  peer_.Start();
  Log<std::string> told;
  SessionOptions options;
  options.reconnect = false;
  options.on_published = [&](const Published& answer) {
    told.Add(ReasonOf(answer.receipt.status()));
  };
  options.on_end = [&](const absl::Status& end) { told.Add(std::string(end.message())); };
  const auto session = Open(std::move(options));
  ASSERT_TRUE(session->Publish("a", "go").ok());
  EXPECT_EQ(told.Take(), "CONNECTION_LOST");
  EXPECT_EQ(told.Take(), "gone");
}

TEST_F(SessionTest, NothingCanBePublishedOnceItIsClosed) {
  peer_.on_exchange = [&](ExchangeStream& stream) {
    ScriptedPeer::Welcome(stream);
    ScriptedPeer::WaitForEnd(stream);
    return grpc::Status::OK;
  };
  peer_.Start();
  const auto session = Open();
  EXPECT_TRUE(session->Close(kPatience).ok());
  EXPECT_EQ(ReasonOf(session->Publish("a", "late").status()), "SESSION_CLOSED");
}

TEST_F(SessionTest, CloseUnsubscribesAndHalfCloses) {
  Log<std::vector<std::uint32_t>> unsubscribed;
  peer_.on_exchange = [&](ExchangeStream& stream) {
    ScriptedPeer::Welcome(stream);
    ScriptedPeer::Confirm(stream);
    const auto request = ScriptedPeer::Read(stream);
    unsubscribed.Add({request.unsubscribe().begin(), request.unsubscribe().end()});
    ScriptedPeer::WaitForEnd(stream);
    return grpc::Status::OK;
  };
  peer_.Start();
  SessionOptions options;
  options.subjects = {"a", "b"};
  const auto session = Open(options);
  EXPECT_TRUE(session->Close(kPatience).ok());
  EXPECT_THAT(unsubscribed.Take(), testing::ElementsAre(1, 2));
}

TEST_F(SessionTest, WhatIsNotReadIsDeliveredLaterAndInOrder) {
  constexpr int kFrames = 40;  // of 512 KiB: more than every buffer on the way
  peer_.on_exchange = [&](ExchangeStream& stream) {
    ScriptedPeer::Welcome(stream);
    ScriptedPeer::Confirm(stream);
    const std::string payload(512 << 10, 'x');
    for (int i = 0; i < kFrames; ++i) ScriptedPeer::Deliver(stream, "a", payload, i);
    ScriptedPeer::WaitForEnd(stream);
    return grpc::Status::OK;
  };
  peer_.Start();
  SessionOptions options;
  options.subjects = {"a"};
  const auto session = Open(options);
  Expect<Connected>(*session);
  Expect<Subscribed>(*session);
  for (std::uint64_t i = 0; i < kFrames; ++i) ASSERT_EQ(Expect<Received>(*session).sequence, i);
}

TEST_F(SessionTest, NobodyAtTheSocketIsSaidAtOnce) {
  Options options;
  options.socket = peer_.socket();
  const auto client = Client::Connect(options);
  EXPECT_TRUE(absl::IsUnavailable(client.status()));
  EXPECT_EQ(ReasonOf(client.status()), "NOT_CONNECTED");
}

}  // namespace
}  // namespace peermesh::client
