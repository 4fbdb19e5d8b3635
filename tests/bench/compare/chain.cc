// The yardstick: what gRPC alone carries in the shape of two peers.
//
//   publisher -(unix socket)-> first -(mutual TLS)-> last -(unix socket)-> subscriber
//
//   chain last  --target SOCKET --identity DIRECTORY             prints `ready PORT`
//   chain first --target SOCKET --target localhost:PORT --identity DIRECTORY
//   chain sub|pub --target SOCKET --batch MESSAGES-IN-A-FRAME ...             as in load.h
//
// The forwarders pass every frame on as the ByteBuffer it came in: nothing is parsed, checked,
// numbered or matched; there are no peers, no subscriptions, no limits and no answers. Publisher
// and subscriber use the typed messages of the public API. All is callback API; a stream is read on
// only while fewer than kQueue frames wait for the next one, so that back-pressure reaches the
// publisher through HTTP/2. What PeerMesh needs beyond this is its own.
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <condition_variable>
#include <deque>
#include <fstream>
#include <mutex>
#include <sstream>
#include <utility>

#include "peermesh/v1/messaging.grpc.pb.h"
#include "server/process/memory.h"
#include "server/tls/process.h"
#include "tests/bench/compare/load.h"

namespace peermesh::bench {
namespace {

using grpc::ByteBuffer;
using Service = v1::MessagingService;
using Request = v1::ExchangeRequest;
using Response = v1::ExchangeResponse;

constexpr std::size_t kQueue = 16;  // frames; as fast as 64 here, and less to hold
constexpr char kMethod[] = "/peermesh.v1.MessagingService/Exchange";
constexpr char kSubscriber[] = "subscriber";  // metadata of a stream that wants to receive
constexpr std::chrono::seconds kConnect(10);

// --- Forwarding ---

class Source {
 public:
  virtual ~Source() = default;
  virtual void ReadOn() = 0;
};

// Writes what is pushed, in order. Any thread.
class Sink {
 public:
  virtual ~Sink() = default;

  // Takes the frame out of `frame`. False: full; `from` is told when to read on.
  bool Push(ByteBuffer& frame, Source& from) {
    const std::lock_guard lock(mutex_);
    if (writing_) {
      queue_.emplace_back().Swap(&frame);
    } else {
      writing_ = true;
      current_.Swap(&frame);
      Write(&current_);
    }
    if (queue_.size() < kQueue) return true;
    waiting_ = &from;
    return false;
  }

 protected:
  virtual void Write(const ByteBuffer* frame) = 0;

  void Written() {
    Source* go = nullptr;
    {
      const std::lock_guard lock(mutex_);
      current_.Clear();
      writing_ = !queue_.empty();
      if (writing_) {
        current_.Swap(&queue_.front());
        queue_.pop_front();
        Write(&current_);
      }
      if (queue_.size() <= kQueue / 2) go = std::exchange(waiting_, nullptr);
    }
    if (go != nullptr) go->ReadOn();
  }

 private:
  std::mutex mutex_;
  std::deque<ByteBuffer> queue_;
  ByteBuffer current_;
  bool writing_ = false;
  Source* waiting_ = nullptr;
};

// Where a forwarder's frames go: its link, or its subscriber.
class Exit {
 public:
  void Open(Sink* sink) {
    const std::lock_guard lock(mutex_);
    sink_ = sink;
  }
  void Close(Sink* sink) {
    const std::lock_guard lock(mutex_);
    if (sink_ == sink) sink_ = nullptr;
  }
  bool Push(ByteBuffer& frame, Source& from) {
    const std::lock_guard lock(mutex_);
    if (sink_ == nullptr) Fail("a frame has nowhere to go");
    return sink_->Push(frame, from);
  }

 private:
  std::mutex mutex_;
  Sink* sink_ = nullptr;
};

class Incoming final : public grpc::ServerBidiReactor<ByteBuffer, ByteBuffer>, public Source {
 public:
  explicit Incoming(Exit& exit) : exit_(exit) { StartRead(&frame_); }
  void ReadOn() override { StartRead(&frame_); }

 private:
  void OnReadDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::OK);
    ByteBuffer frame;
    frame.Swap(&frame_);
    if (exit_.Push(frame, *this)) StartRead(&frame_);
  }
  void OnDone() override { delete this; }

  Exit& exit_;
  ByteBuffer frame_;
};

class Outgoing final : public grpc::ServerBidiReactor<ByteBuffer, ByteBuffer>, public Sink {
 public:
  explicit Outgoing(Exit& exit) : exit_(exit) {
    exit_.Open(this);
    StartSendInitialMetadata();  // tells the subscriber that it is one
    StartRead(&nothing_);
  }

 private:
  void Write(const ByteBuffer* frame) override { StartWrite(frame); }
  void OnWriteDone(bool ok) override {
    if (ok) Written();
  }
  void OnReadDone(bool) override {
    exit_.Close(this);
    Finish(grpc::Status::OK);
  }
  void OnDone() override { delete this; }

  Exit& exit_;
  ByteBuffer nothing_;
};

class Link final : public grpc::ClientBidiReactor<ByteBuffer, ByteBuffer>, public Sink {
 public:
  explicit Link(const std::shared_ptr<grpc::Channel>& channel) : stub_(channel) {
    stub_.PrepareBidiStreamingCall(&context_, kMethod, {}, this);
    AddHold();  // writes come from other streams
    StartCall();
  }

 private:
  void Write(const ByteBuffer* frame) override { StartWrite(frame); }
  void OnWriteDone(bool ok) override {
    if (ok) Written();
  }

  grpc::TemplatedGenericStub<ByteBuffer, ByteBuffer> stub_;
  grpc::ClientContext context_;
};

class Forwarding final : public Service::WithRawCallbackMethod_Exchange<Service::Service> {
 public:
  explicit Forwarding(Exit& exit) : exit_(exit) {}

 private:
  grpc::ServerBidiReactor<ByteBuffer, ByteBuffer>* Exchange(
      grpc::CallbackServerContext* context) override {
    if (context->client_metadata().count(kSubscriber) != 0) return new Outgoing(exit_);
    return new Incoming(exit_);
  }

  Exit& exit_;
};

std::string Read(const std::string& path) {
  std::ifstream file(path);
  if (!file) Fail(path + " cannot be read");
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// Both forwarders; `last` has no link but a port.
void Forward(const Options& options) {
  const std::string ca = Read(options.identity + "/ca.pem"),
                    key = Read(options.identity + "/key.pem"),
                    certificate = Read(options.identity + "/cert.pem");
  Exit exit;
  Forwarding service(exit);
  grpc::ServerBuilder builder;
  builder.AddListeningPort("unix:" + options.targets[0], grpc::InsecureServerCredentials());
  std::unique_ptr<Link> link;
  int port = 0;
  if (options.role == "last") {
    grpc::SslServerCredentialsOptions tls(
        GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
    tls.pem_root_certs = ca;
    tls.pem_key_cert_pairs.push_back({key, certificate});
    builder.AddListeningPort("127.0.0.1:0", grpc::SslServerCredentials(tls), &port);
  } else {
    const auto channel =
        grpc::CreateChannel(options.targets.at(1), grpc::SslCredentials({ca, key, certificate}));
    if (!channel->WaitForConnected(std::chrono::system_clock::now() + kConnect)) {
      Fail("the first forwarder cannot reach the last");
    }
    link = std::make_unique<Link>(channel);
    exit.Open(link.get());
  }
  builder.RegisterService(&service);
  const auto server = builder.BuildAndStart();
  if (server == nullptr) Fail("the forwarder cannot listen");
  std::printf("ready %d\n", port);
  std::fflush(stdout);
  AwaitEnd();
  std::_Exit(0);  // streams of the other forwarder may still be open
}

// --- The ends ---

std::shared_ptr<grpc::Channel> Dial(const Options& options) {
  auto channel =
      grpc::CreateChannel("unix:" + options.targets[0], grpc::InsecureChannelCredentials());
  if (!channel->WaitForConnected(std::chrono::system_clock::now() + kConnect)) {
    Fail("nobody listens on " + options.targets[0]);
  }
  return channel;
}

class Ended {
 public:
  void Set() {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    changed_.notify_all();
  }
  void Wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return ended_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool ended_ = false;
};

class Publisher final : public grpc::ClientBidiReactor<Request, Response> {
 public:
  Publisher(Service::Stub& stub, const Options& options) : left_(options.all()) {
    const std::string payload = MakePayload(0, options.bytes);
    for (int i = 0; i < options.batch; ++i) {
      auto& message = *frame_.add_messages();
      message.set_subject(SubjectOf(0, 1));
      message.set_payload(payload);
    }
    stub.async()->Exchange(&context_, this);
    Next();
    StartCall();
  }
  void Wait() { ended_.Wait(); }

 private:
  void Next() {
    auto& messages = *frame_.mutable_messages();
    while (static_cast<std::uint64_t>(messages.size()) > left_) messages.RemoveLast();
    if (left_ == 0) return StartWritesDone();
    for (auto& message : messages) Number(*message.mutable_payload(), next_++);
    left_ -= static_cast<std::uint64_t>(messages.size());
    StartWrite(&frame_);
  }
  void OnWriteDone(bool ok) override {
    if (!ok) Fail("a forwarder closed the publisher's stream");
    Next();
  }
  void OnDone(const grpc::Status&) override { ended_.Set(); }

  grpc::ClientContext context_;
  Request frame_;
  std::uint64_t left_, next_ = 0;
  Ended ended_;
};

class Subscriber final : public grpc::ClientBidiReactor<Request, Response> {
 public:
  Subscriber(Service::Stub& stub, Arrivals& arrivals) : arrivals_(arrivals) {
    context_.AddMetadata(kSubscriber, "1");
    stub.async()->Exchange(&context_, this);
    StartRead(&frame_);
    StartCall();
  }
  void WaitOpen() { open_.Wait(); }
  void Close() {
    context_.TryCancel();
    ended_.Wait();
  }

 private:
  void OnReadInitialMetadataDone(bool ok) override {
    if (!ok) Fail("a forwarder refused the subscriber");
    open_.Set();
  }
  void OnReadDone(bool ok) override {
    if (!ok) return;
    for (const auto& message : frame_.messages()) arrivals_.Take(0, message.payload());
    StartRead(&frame_);
  }
  void OnDone(const grpc::Status&) override { ended_.Set(); }

  Arrivals& arrivals_;
  grpc::ClientContext context_;
  Response frame_;
  Ended open_, ended_;
};

void Publish(const Options& options) {
  const auto stub = Service::NewStub(Dial(options));
  Ready();
  const double cpu = CpuSeconds();
  Publisher publisher(*stub, options);
  publisher.Wait();
  Report().Add("role", "pub").Add("cpu_s", CpuSeconds() - cpu).Print();
  AwaitEnd();
}

void Subscribe(const Options& options) {
  Arrivals arrivals(options);
  const auto stub = Service::NewStub(Dial(options));
  Subscriber subscriber(*stub, arrivals);
  subscriber.WaitOpen();
  Ready();
  const double cpu = CpuSeconds();
  arrivals.Await();
  arrivals.Result().Add("cpu_s", CpuSeconds() - cpu).Print();
  AwaitEnd();
  subscriber.Close();
}

}  // namespace
}  // namespace peermesh::bench

int main(int argc, char** argv) {
  using namespace peermesh::bench;
  peermesh::TuneAllocator();
  if (const auto status = peermesh::tls::InitProcess(peermesh::tls::Signals::kLeave);
      !status.ok()) {
    Fail(status.ToString());
  }
  const Options options = ParseOptions(argc, argv);
  if (options.role == "pub") {
    Publish(options);
  } else if (options.role == "sub") {
    Subscribe(options);
  } else {
    Forward(options);
  }
  return 0;
}
