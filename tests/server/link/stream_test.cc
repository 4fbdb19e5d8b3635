#include "server/link/stream.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <utility>

#include "peermesh/v1/messaging.grpc.pb.h"
#include "tests/server/link/handlers.h"
#include "tests/server/link/harness.h"

namespace peermesh::link {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr char kPublish[] = "/peermesh.v1.MessagingService/Publish";
constexpr char kSubscribe[] = "/peermesh.v1.MessagingService/Subscribe";
constexpr char kExchange[] = "/peermesh.v1.MessagingService/Exchange";

// Publish answers with the number of messages, Subscribe streams one frame per subject, Exchange
// echoes.
class Echo : public StreamHandler {
 public:
  explicit Echo(std::shared_ptr<Stream> stream) : stream_(std::move(stream)) { stream_->Read(); }

  void OnMessage(std::shared_ptr<const std::string> bytes) override {
    const std::string& method = stream_->info().method;
    if (method == kPublish) {
      v1::PublishRequest request;
      if (!request.ParseFromString(*bytes)) return stream_->Finish({3, "no request", {}, {}});
      v1::PublishResponse response;
      response.set_interested_peers(static_cast<std::uint32_t>(request.messages_size()));
      return stream_->Reply(response.SerializeAsString());
    }
    if (method == kSubscribe) {
      v1::SubscribeRequest request;
      if (!request.ParseFromString(*bytes)) return stream_->Finish({3, "no request", {}, {}});
      for (const auto& subject : request.subjects()) left_.push_back(subject);
      return SendNext();
    }
    stream_->Write(*bytes);
  }
  void OnReadEnd() override { stream_->Finish({}); }
  void OnWritten() override {
    if (stream_->info().method == kSubscribe) return SendNext();
    stream_->Read();
  }
  void OnClosed(const Closed&) override { stream_.reset(); }

 private:
  void SendNext() {
    if (left_.empty()) return stream_->Finish({});
    v1::SubscribeResponse response;
    response.add_messages()->set_subject(left_.front());
    left_.erase(left_.begin());
    stream_->Write(response.SerializeAsString());
  }

  std::shared_ptr<Stream> stream_;
  std::vector<std::string> left_;
};

class StreamTest : public testing::Test {
 protected:
  using OnCall = std::function<void(const std::shared_ptr<Stream>&)>;

  void Serve(OnCall on_call) {
    RpcServerOptions options;
    options.name = "test";
    options.max_streams = kMaxStreams;
    options.doors[0].on_call = std::move(on_call);
    server_ = std::make_unique<TestServer>(std::move(options));
    channel_ = NewChannel();
  }
  void ServeEcho() {
    Serve([](const auto& stream) { stream->Accept(std::make_shared<Echo>(stream)); });
  }
  // Accepts every call with one recorder, which is ready when a message or an end has been waited
  // for.
  void ServeRecorder(const std::shared_ptr<Recorder>& recorder,
                     std::optional<Duration> write_deadline = kWriteDeadline) {
    Serve([=](const auto& stream) {
      recorder->Attach(stream);
      stream->Accept(recorder);
      stream->SetWriteDeadline(write_deadline);
      stream->Read();
    });
  }
  std::shared_ptr<grpc::Channel> NewChannel() {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
    return grpc::CreateCustomChannel("ipv4:" + server_->address(),
                                     grpc::InsecureChannelCredentials(), arguments);
  }
  std::unique_ptr<v1::MessagingService::Stub> Stub() {
    return v1::MessagingService::NewStub(channel_);
  }
  // A raw call from this process, on the server's own queues.
  std::shared_ptr<Recorder> Call(const char* method,
                                 Recorder::Reading reading = Recorder::Reading::kAlways,
                                 std::optional<Duration> write_deadline = kWriteDeadline) {
    auto recorder = std::make_shared<Recorder>(reading);
    QueuePool& pool = server_->rpc().pool();
    Stream::OpenOptions options;
    options.metadata = {{"peermesh-client", "stream-test"}};
    options.write_deadline = write_deadline;
    recorder->Attach(
        Stream::Open(pool, pool.Next(), channel_, method, std::move(options), recorder));
    return recorder;
  }
  bool NoStreamIsLeft() {
    return Eventually([this] { return server_->rpc().stats().live == 0; });
  }

  std::unique_ptr<TestServer> server_;
  std::shared_ptr<grpc::Channel> channel_;
};

TEST_F(StreamTest, ATypedClientMakesAUnaryCall) {
  ServeEcho();
  grpc::ClientContext context;
  v1::PublishRequest request;
  request.add_messages()->set_subject("a");
  request.add_messages()->set_subject("b");
  v1::PublishResponse response;
  const grpc::Status status = Stub()->Publish(&context, request, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.interested_peers(), 2u);
  EXPECT_TRUE(NoStreamIsLeft());
}

TEST_F(StreamTest, ATypedClientReadsAServerStreamToItsEnd) {
  ServeEcho();
  grpc::ClientContext context;
  v1::SubscribeRequest request;
  for (const char* subject : {"a", "b", "c"}) request.add_subjects(subject);
  auto reader = Stub()->Subscribe(&context, request);
  std::string seen;
  for (v1::SubscribeResponse response; reader->Read(&response);) {
    seen += response.messages(0).subject();
  }
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(seen, "abc");
  EXPECT_TRUE(NoStreamIsLeft());
}

TEST_F(StreamTest, ATypedClientExchangesOnABidirectionalStream) {
  ServeEcho();
  grpc::ClientContext context;
  auto stream = Stub()->Exchange(&context);
  for (int i = 0; i < 100; ++i) {
    v1::ExchangeRequest request;
    request.add_messages()->set_subject("s" + std::to_string(i));
    ASSERT_TRUE(stream->Write(request));
    v1::ExchangeResponse response;
    ASSERT_TRUE(stream->Read(&response));
    ASSERT_EQ(response.messages(0).subject(), request.messages(0).subject());
  }
  EXPECT_TRUE(stream->WritesDone());
  v1::ExchangeResponse response;
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_TRUE(NoStreamIsLeft());
}

TEST_F(StreamTest, ARawCallReachesTheServerWithMethodLabelAndAddress) {
  Watched<std::optional<CallInfo>> info;
  Serve([&](const auto& stream) {
    info.With([&](auto& value) { value = stream->info(); });
    stream->Accept(std::make_shared<Echo>(stream));
  });
  const auto call = Call(kExchange);
  call->stream().Write("hello");
  call->stream().Read();
  ASSERT_TRUE(call->WaitMessages(1));
  EXPECT_EQ(call->record().messages.front(), "hello");
  EXPECT_EQ(call->stream().RemoteAddress(), "ipv4:" + server_->address());
  info.With([](auto& value) {
    EXPECT_EQ(value->method, kExchange);
    EXPECT_EQ(value->client, "stream-test");
    EXPECT_TRUE(value->peer.starts_with("ipv4:127.0.0.1:")) << value->peer;
    EXPECT_FALSE(value->identity.has_value());
  });
  call->stream().HalfClose();
  const auto closed = call->WaitClosed();
  ASSERT_TRUE(closed);
  EXPECT_EQ(closed->code, 0);
  EXPECT_EQ(closed->cause, CloseCause::kFinished);
  EXPECT_EQ(call->record().read_ends, 1);
  EXPECT_TRUE(NoStreamIsLeft());
}

TEST_F(StreamTest, LargeMessagesArriveWhole) {
  ServeEcho();
  const auto call = Call(kExchange);
  std::string large(3 << 20, '\0');
  for (std::size_t i = 0; i < large.size(); ++i) large[i] = static_cast<char>(i * 31 % 251);
  call->stream().Write(large);
  call->stream().Read();
  ASSERT_TRUE(call->WaitMessages(1));
  EXPECT_TRUE(call->record().messages.front() == large);
  call->stream().Cancel("done");
  EXPECT_TRUE(call->WaitClosed());
}

TEST_F(StreamTest, AStatusCarriesCodeMessageDetailsAndPushback) {
  Serve([](const auto& stream) { stream->Finish({8, "too fast", "details", milliseconds(250)}); });
  grpc::ClientContext context;
  v1::PublishResponse response;
  const grpc::Status status = Stub()->Publish(&context, {}, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(status.error_message(), "too fast");
  EXPECT_EQ(status.error_details(), "details");
  const auto& trailers = context.GetServerTrailingMetadata();
  const auto pushback = trailers.find("grpc-retry-pushback-ms");
  ASSERT_NE(pushback, trailers.end());
  EXPECT_EQ(std::string(pushback->second.data(), pushback->second.size()), "250");
  EXPECT_TRUE(NoStreamIsLeft());
}

TEST_F(StreamTest, ACallNobodyTakesIsUnimplemented) {
  Serve([](const auto&) {});
  grpc::ClientContext context;
  v1::PublishResponse response;
  const grpc::Status status = Stub()->Publish(&context, {}, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_NE(status.error_message().find(kPublish), std::string::npos);
}

TEST_F(StreamTest, FinishWaitsForTheWriteBeforeIt) {
  Serve([](const auto& stream) {
    stream->Accept(std::make_shared<Recorder>(Recorder::Reading::kByHand));
    stream->Write("last words");
    stream->Finish({9, "over", {}, {}});
  });
  const auto call = Call(kExchange);
  call->stream().Write("x");
  call->stream().Read();
  const auto closed = call->WaitClosed();
  ASSERT_TRUE(closed);
  EXPECT_EQ(closed->code, 9);
  EXPECT_EQ(closed->message, "over");
  EXPECT_EQ(call->record().messages, std::vector<std::string>{"last words"});
}

TEST_F(StreamTest, HalfCloseWaitsForTheWriteBeforeIt) {
  const auto served = std::make_shared<Recorder>(Recorder::Reading::kAlways);
  ServeRecorder(served);
  const auto call = Call(kExchange);
  call->stream().Write("only");
  call->stream().HalfClose();
  ASSERT_TRUE(served->Wait([](const Record& record) { return record.read_ends == 1; }));
  EXPECT_EQ(served->record().messages, std::vector<std::string>{"only"});
  served->stream().Finish({});
  EXPECT_TRUE(call->WaitClosed());
}

TEST_F(StreamTest, ACancelledCallEndsOnBothSides) {
  const auto served = std::make_shared<Recorder>(Recorder::Reading::kAlways);
  ServeRecorder(served);
  const auto call = Call(kExchange);
  call->stream().Write("x");
  ASSERT_TRUE(served->WaitMessages(1));
  call->stream().Cancel("changed my mind");
  const auto ours = call->WaitClosed();
  const auto theirs = served->WaitClosed();
  ASSERT_TRUE(ours && theirs);
  EXPECT_EQ(ours->cause, CloseCause::kCancelled);
  EXPECT_EQ(ours->message, "changed my mind");
  EXPECT_EQ(theirs->cause, CloseCause::kBroken);
  EXPECT_TRUE(NoStreamIsLeft());
  EXPECT_EQ(call->record().closed.size(), 1u);
  EXPECT_EQ(served->record().closed.size(), 1u);
}

TEST_F(StreamTest, ACallCancelledByTheServerEndsOnBothSides) {
  const auto served = std::make_shared<Recorder>(Recorder::Reading::kAlways);
  ServeRecorder(served);
  const auto call = Call(kExchange);
  call->stream().Write("x");
  ASSERT_TRUE(served->WaitMessages(1));
  served->stream().Cancel("out");
  const auto ours = call->WaitClosed();
  const auto theirs = served->WaitClosed();
  ASSERT_TRUE(ours && theirs);
  EXPECT_NE(ours->code, 0);
  EXPECT_EQ(theirs->cause, CloseCause::kCancelled);
  EXPECT_EQ(theirs->message, "out");
}

TEST_F(StreamTest, TheEndIsNoticedWithoutAnyReadOrWrite) {
  const auto served = std::make_shared<Recorder>(Recorder::Reading::kByHand);
  ServeRecorder(served);
  const auto call = Call(kExchange, Recorder::Reading::kByHand);
  call->stream().Write("x");
  ASSERT_TRUE(served->WaitMessages(1));
  served->stream().Finish({});
  const auto closed = call->WaitClosed();
  ASSERT_TRUE(closed);
  EXPECT_EQ(closed->code, 0);
  EXPECT_TRUE(served->WaitClosed());
}

TEST_F(StreamTest, ACutConnectionEndsBothSidesWithoutAnyReadOrWrite) {
  const auto served = std::make_shared<Recorder>(Recorder::Reading::kByHand);
  ServeRecorder(served);
  const auto call = Call(kExchange, Recorder::Reading::kByHand);
  call->stream().Write("x");
  ASSERT_TRUE(served->WaitMessages(1));
  const auto connection = server_->acceptor().FindByPeer(served->stream().info().peer);
  ASSERT_TRUE(connection.has_value());
  ASSERT_TRUE(server_->acceptor().Cut(*connection));
  const auto ours = call->WaitClosed();
  const auto theirs = served->WaitClosed();
  ASSERT_TRUE(ours && theirs);
  EXPECT_EQ(ours->code, static_cast<int>(grpc::StatusCode::UNAVAILABLE));
  EXPECT_EQ(theirs->cause, CloseCause::kBroken);
}

TEST_F(StreamTest, AWriterWhoseReaderStallsIsCut) {
  const auto served = std::make_shared<Recorder>(Recorder::Reading::kByHand);
  ServeRecorder(served);
  const auto call = Call(kExchange, Recorder::Reading::kByHand, milliseconds(200));
  // Nobody reads: the window fills, and then a write stays.
  const std::string block(1 << 20, 'b');
  const auto started = std::chrono::steady_clock::now();
  std::optional<Closed> closed;
  for (int i = 0; !closed; ++i) {
    call->stream().Write(block);
    ASSERT_TRUE(call->Wait(
        [i](const Record& record) { return record.written > i || !record.closed.empty(); }));
    const Record record = call->record();
    if (!record.closed.empty()) closed = record.closed.front();
  }
  EXPECT_EQ(closed->cause, CloseCause::kStalled);
  EXPECT_GE(std::chrono::steady_clock::now() - started, milliseconds(200));
  EXPECT_TRUE(served->WaitClosed());
  EXPECT_TRUE(NoStreamIsLeft());
}

TEST_F(StreamTest, AServerWhoseReaderStallsCutsItEvenAtTheStatus) {
  const auto served = std::make_shared<Recorder>(Recorder::Reading::kByHand);
  ServeRecorder(served, milliseconds(200));
  grpc::ClientContext context;
  auto stream = Stub()->Exchange(&context);
  ASSERT_TRUE(stream->Write({}));
  ASSERT_TRUE(served->WaitMessages(1));
  const std::string block(2 << 20, 'b');
  for (int i = 0; served->record().closed.empty(); ++i) {
    served->stream().Write(block);
    ASSERT_TRUE(served->Wait(
        [i](const Record& record) { return record.written > i || !record.closed.empty(); }));
  }
  EXPECT_EQ(served->record().closed.front().cause, CloseCause::kStalled);
  EXPECT_TRUE(NoStreamIsLeft());
  context.TryCancel();
  stream->Finish();
}

TEST_F(StreamTest, ADeadlineHoldsForTheWriteUnderWayToo) {
  const auto served = std::make_shared<Recorder>(Recorder::Reading::kByHand);
  ServeRecorder(served, std::nullopt);
  const auto call = Call(kExchange, Recorder::Reading::kByHand);
  call->stream().Write("x");
  ASSERT_TRUE(served->WaitMessages(1));
  const std::string block(2 << 20, 'b');
  int written = 0;
  do {
    served->stream().Write(block);
    ++written;
  } while (served->Wait([&](const Record& record) { return record.written == written; },
                        milliseconds(300)));
  EXPECT_TRUE(served->record().closed.empty()) << "without one it may take its time";
  served->stream().SetWriteDeadline(milliseconds(100));
  const auto closed = served->WaitClosed();
  ASSERT_TRUE(closed);
  EXPECT_EQ(closed->cause, CloseCause::kStalled);
}

TEST_F(StreamTest, AStreamThatSomebodyKeepsHoldsUpNothing) {
  std::shared_ptr<Stream> kept;
  const auto served = std::make_shared<Recorder>(Recorder::Reading::kAlways);
  Serve([&](const auto& stream) {
    kept = stream;
    served->Attach(stream);
    stream->Accept(served);
    stream->Read();
  });
  const auto call = Call(kExchange);
  const std::shared_ptr<Stream> ours = call->stream().shared_from_this();
  call->stream().Write("x");
  ASSERT_TRUE(served->WaitMessages(1));
  server_->Stop();
  EXPECT_TRUE(call->WaitClosed());
  EXPECT_EQ(server_->rpc().stats().live, 0u);
  // What is asked of a stream that has ended is ignored.
  for (Stream* stream : {kept.get(), ours.get()}) {
    stream->Read();
    stream->Write("late");
    stream->Cancel("late");
  }
  kept->Finish({});
  ours->HalfClose();
}

TEST_F(StreamTest, ACallToNobodyFailsOnce) {
  ServeEcho();
  const std::string address = server_->address();
  server_->Stop();
  QueuePool pool("client");
  pool.AddClientQueues(1);
  const auto channel = grpc::CreateChannel("ipv4:" + address, grpc::InsecureChannelCredentials());
  const auto recorder = std::make_shared<Recorder>(Recorder::Reading::kAlways);
  recorder->Attach(Stream::Open(pool, pool.Next(), channel, kExchange, {}, recorder));
  recorder->stream().Write("anyone?");
  recorder->stream().Read();
  const auto closed = recorder->WaitClosed();
  ASSERT_TRUE(closed);
  EXPECT_EQ(closed->code, static_cast<int>(grpc::StatusCode::UNAVAILABLE));
  EXPECT_NE(closed->message.find("Connection refused"), std::string::npos) << closed->message;
  EXPECT_TRUE(pool.WaitUntilIdle(Queue::Clock::now() + kPatience));
  EXPECT_EQ(recorder->record().closed.size(), 1u);
  pool.Stop();
}

TEST_F(StreamTest, AStreamCancelledBeforeAnythingWasSentEnds) {
  ServeEcho();
  const auto call = Call(kExchange);
  call->stream().Cancel("never mind");
  const auto closed = call->WaitClosed();
  ASSERT_TRUE(closed);
  EXPECT_EQ(closed->cause, CloseCause::kCancelled);
  EXPECT_TRUE(NoStreamIsLeft());
}

TEST_F(StreamTest, CallsFromManyThreadsAtOnceAllEnd) {
  ServeEcho();
  constexpr int kThreads = 4, kCalls = 50;
  std::vector<std::thread> threads;
  std::atomic<int> echoed{0};
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kCalls; ++i) {
        const auto call = Call(kExchange);
        call->stream().Write("x");
        call->stream().Read();
        if ((i + t) % 3 == 0) {
          call->stream().Cancel("at any moment");
        } else if (call->WaitMessages(1)) {
          ++echoed;
          call->stream().HalfClose();
        }
        EXPECT_TRUE(call->WaitClosed());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GE(echoed, kThreads * kCalls / 2);
  EXPECT_TRUE(NoStreamIsLeft());
}

using StreamDeathTest = StreamTest;

TEST_F(StreamDeathTest, ASecondReadIsOurBug) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_DEATH(
      {
        QueuePool pool("client");
        pool.AddClientQueues(1);
        const auto channel =
            grpc::CreateChannel("ipv4:127.0.0.1:1", grpc::InsecureChannelCredentials());
        const auto recorder = std::make_shared<Recorder>(Recorder::Reading::kByHand);
        const auto stream = Stream::Open(pool, pool.Next(), channel, kExchange, {}, recorder);
        stream->Read();
        stream->Read();
      },
      "reading_");
}

}  // namespace
}  // namespace peermesh::link
