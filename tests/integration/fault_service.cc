// FaultService at every door of peermeshd_faults: leaks on demand. See faults.h and
// fault.proto.
//
// The server is given one more service when it is started; nothing else of the daemon
// differs.
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>
#include <grpcpp/support/server_callback.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <mutex>
#include <thread>
#include <utility>

#include "faults.h"
#include "peermesh/test/v1/fault.grpc.pb.h"
#include "server/link/rpc_server.h"
#include "server/tls/channel.h"

namespace peermesh::faults {
namespace {

constexpr const char* kPeerServer = "pm-rpc";
constexpr std::uint32_t kMostAtOnce = 100;

void Set(google::protobuf::Duration* out, ledger::Duration duration) {
  out->set_seconds(duration.count() / 1000);
  out->set_nanos(static_cast<std::int32_t>(duration.count() % 1000) * 1'000'000);
}

// test::v1::Fault has the same order, after FAULT_UNSPECIFIED.
Fault FaultOf(test::v1::Fault fault) { return static_cast<Fault>(fault - 1); }
test::v1::Fault ToProto(Fault fault) {
  return static_cast<test::v1::Fault>(static_cast<int>(fault) + 1);
}

// What was leaked, where LeakSanitizer finds it: this is about leaks that it cannot see.
struct Kept {
  std::mutex mutex;
  std::vector<int> sockets;
  std::vector<std::shared_ptr<grpc::Channel>> channels;
};
Kept& Leaked() {
  static auto* const kept = new Kept;
  return *kept;
}

bool LeakSocket() {
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const std::lock_guard lock(Leaked().mutex);
  Leaked().sockets.push_back(socket);
  return socket >= 0;
}

bool LeakThread() {
  std::thread([] {
    for (;;) ::pause();
  }).detach();
  return true;
}

// As code does that makes a channel for every call: nothing is shared between them.
bool LeakChannel(const std::string& target) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  auto channel = tls::MakeChannel(target, grpc::InsecureChannelCredentials(), arguments);
  const bool connected =
      channel->WaitForConnected(std::chrono::system_clock::now() + std::chrono::seconds(2));
  const std::lock_guard lock(Leaked().mutex);
  Leaked().channels.push_back(std::move(channel));
  return connected;
}

class Service final : public test::v1::FaultService::CallbackService {
  using Reactor = grpc::ServerUnaryReactor;
  using Context = grpc::CallbackServerContext;

  Reactor* Arm(Context* context, const test::v1::ArmRequest* request,
               test::v1::ArmResponse*) override {
    const bool known = request->fault() >= test::v1::FAULT_FORGET &&
                       request->fault() <= test::v1::FAULT_UNUSED && !request->kind().empty();
    if (known) faults::Arm(FaultOf(request->fault()), request->kind());
    return Answer(context, known);
  }

  Reactor* List(Context* context, const test::v1::ListRequest*,
                test::v1::ListResponse* response) override {
    const ledger::Ledger& books = ledger::Ledger::Process();
    for (std::uint8_t i = 0; i < books.kinds(); ++i) {
      const ledger::KindSpec& spec = books.spec(ledger::Kind{i});
      auto* const kind = response->add_kinds();
      kind->set_name(spec.name);
      kind->set_contract(ToString(spec.contract));
      if (spec.limit != ledger::Duration{}) Set(kind->mutable_limit(), spec.limit);
    }
    for (const Armed& one : All()) {
      auto* const armed = response->add_armed();
      armed->set_fault(ToProto(one.fault));
      armed->set_kind(one.kind);
      if (one.struck) Set(armed->mutable_struck(), books.now() - *one.struck);
    }
    return Answer(context, true);
  }

  Reactor* Leak(Context* context, const test::v1::LeakRequest* request,
                test::v1::LeakResponse*) override {
    bool done = request->count() <= kMostAtOnce;
    for (std::uint32_t i = 0; done && i < request->count(); ++i) {
      switch (request->outside()) {
        case test::v1::OUTSIDE_SOCKET: done = LeakSocket(); break;
        case test::v1::OUTSIDE_THREAD: done = LeakThread(); break;
        case test::v1::OUTSIDE_CHANNEL: done = LeakChannel(request->target()); break;
        default: done = false;
      }
    }
    return Answer(context, done);
  }

  Reactor* Hang(Context*, const test::v1::HangRequest*, test::v1::HangResponse*) override {
    class Never final : public Reactor {
      void OnDone() override {}
    };
    static auto* const all = new std::vector<Never*>;
    static std::mutex mutex;
    const std::lock_guard lock(mutex);
    return all->emplace_back(new Never);
  }

  static Reactor* Answer(Context* context, bool done) {
    Reactor* const reactor = context->DefaultReactor();
    reactor->Finish(done ? grpc::Status::OK
                         : grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "no such fault"));
    return reactor;
  }
};

}  // namespace

// Under the linker's names.
using Started = absl::StatusOr<std::unique_ptr<link::RpcServer>>;
Started RealStart(link::RpcServerOptions options) __asm__("__real_" PM_RPC_START);
Started Start(link::RpcServerOptions options) __asm__("__wrap_" PM_RPC_START);

Started Start(link::RpcServerOptions options) {
  static auto* const service = new Service;
  if (options.name == kPeerServer) options.services.push_back(service);
  return RealStart(std::move(options));
}

}  // namespace peermesh::faults
