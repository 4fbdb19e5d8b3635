// The calling side of Stream.
//
// The status is waited for from the start, so that the end of a call is noticed even while nobody
// reads. The first write carries the initial metadata (corked), because gRPC's stream reuses the
// same operation for both.
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>

#include "server/link/bytes.h"
#include "server/link/kinds.h"
#include "server/link/stream.h"
#include "server/tls/credentials.h"

namespace peermesh::link {
namespace {

class ClientStream final : public Stream {
 public:
  ClientStream(QueuePool& pool, Queue& queue) : Stream(pool, queue, false) {}

  void Start(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
             const OpenOptions& options, std::shared_ptr<StreamHandler> handler) {
    info_.method = method;
    info_.peer = options.peer;
    const ledger::Scope process;
    const ledger::Scope& owner = options.owner == nullptr ? process : *options.owner;
    Book(kClientStream, ledger::Scope(owner, ledger::ScopeType::kStream, method));
    SetWriteDeadline(options.write_deadline);
    for (const auto& [key, value] : options.metadata) context_->AddMetadata(key, value);
    context_->set_initial_metadata_corked(true);
    Begin(std::move(handler));
    call_ = grpc::GenericStub(channel).PrepareCall(context_.get(), method, queue().completions());
    call_->StartCall(nullptr);
    call_->Finish(&status_, TagOf(Op::kFinish));
  }

  absl::StatusOr<identity::Identity> RemoteIdentity() const override {
    const auto context = context_->auth_context();
    if (context == nullptr) return absl::UnauthenticatedError("the connection was never made");
    return tls::RemoteIdentity(*context);
  }

  absl::StatusOr<identity::Certificate> RemoteCertificate() const override {
    const auto context = context_->auth_context();
    if (context == nullptr) return absl::UnauthenticatedError("the connection was never made");
    return tls::RemoteCertificate(*context);
  }

  std::string RemoteAddress() const override {
    const std::lock_guard lock(drop_mutex_);
    return context_ == nullptr ? "" : context_->peer();
  }

 private:
  void StartRead() override { call_->Read(&incoming_, TagOf(Op::kRead)); }
  void StartWrite(wire::Pieces pieces) override {
    call_->Write(ToBuffer(std::move(pieces)), TagOf(Op::kWrite));
  }
  void StartHalfClose() override { call_->WritesDone(TagOf(Op::kWrite)); }
  void StartFinish(const RpcStatus&, std::optional<std::string>) override {}
  void TryCancel() override {
    const std::lock_guard lock(drop_mutex_);
    if (context_ != nullptr) context_->TryCancel();
  }
  std::shared_ptr<const std::string> TakeMessage() override {
    auto message = ToString(incoming_);
    incoming_.Clear();
    return message;
  }
  Closed Ending() const override {
    return {CloseCause::kFinished, static_cast<int>(status_.error_code()), status_.error_message()};
  }

  void Drop(const Closed&) override {
    const std::lock_guard lock(drop_mutex_);
    call_.reset();
    context_.reset();
  }

  mutable std::mutex drop_mutex_;  // TryCancel may come from any thread and at any time
  std::unique_ptr<grpc::ClientContext> context_ = std::make_unique<grpc::ClientContext>();
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call_;
  grpc::ByteBuffer incoming_;
  grpc::Status status_;
};

}  // namespace

std::shared_ptr<Stream> Stream::Open(QueuePool& pool, Queue& queue,
                                     const std::shared_ptr<grpc::Channel>& channel,
                                     const std::string& method, OpenOptions options,
                                     std::shared_ptr<StreamHandler> handler) {
  auto stream = std::make_shared<ClientStream>(pool, queue);
  stream->Start(channel, method, options, std::move(handler));
  return stream;
}

}  // namespace peermesh::link
