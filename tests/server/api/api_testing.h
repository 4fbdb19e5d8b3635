// A service behind a server of its own, called over loopback with raw frames. The tests are the
// node: they see what it is told and say what it would.
#ifndef PEERMESH_TESTS_SERVER_API_API_TESTING_H_
#define PEERMESH_TESTS_SERVER_API_API_TESTING_H_

#include <grpcpp/create_channel.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "tests/server/link/handlers.h"
#include "tests/server/link/harness.h"

namespace peermesh::api {

using link::Eventually;
using link::Recorder;
using link::Stream;

// An id that ends with this number.
inline PeerId IdOf(std::uint32_t number) {
  PeerId id;
  for (std::size_t i = 0; i < 4; ++i) {
    id.bytes[31 - i] = static_cast<std::uint8_t>(number >> (8 * i));
  }
  return id;
}

class ApiTest : public testing::Test {
 protected:
  // Must be called first; `take` gets every call.
  void Serve(std::function<void(const std::shared_ptr<Stream>&)> take) {
    link::RpcServerOptions options;
    options.name = "test";
    options.doors[0].on_call = std::move(take);
    server_ = std::make_unique<link::TestServer>(std::move(options));
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    channel_ = grpc::CreateCustomChannel("ipv4:" + server_->address(),
                                         grpc::InsecureChannelCredentials(), arguments);
  }
  // A call that reads on by itself.
  std::shared_ptr<Recorder> Call(const std::string& method) {
    const auto recorder = std::make_shared<Recorder>(Recorder::Reading::kAlways);
    link::QueuePool& pool = server_->rpc().pool();
    recorder->Attach(Stream::Open(pool, pool.Next(), channel_, method, {}, recorder));
    recorder->stream().Read();
    return recorder;
  }
  // Sends one frame and waits until it has left.
  template <class Message>
  static void Say(Recorder& call, const Message& message) {
    const int before = call.record().written;
    call.stream().Write(message.SerializeAsString());
    ASSERT_TRUE(call.WaitWritten(before + 1));
  }
  // All that came so far, as one message.
  template <class Message>
  static Message Heard(Recorder& call) {
    std::string bytes;
    for (const std::string& frame : call.record().messages) bytes += frame;
    Message message;
    EXPECT_TRUE(message.ParseFromString(bytes));
    return message;
  }

  std::unique_ptr<link::TestServer> server_;
  std::shared_ptr<grpc::Channel> channel_;
};

}  // namespace peermesh::api

#endif  // PEERMESH_TESTS_SERVER_API_API_TESTING_H_
