// The serving side of Stream. Internal to this folder.
#ifndef PEERMESH_SERVER_LINK_SERVER_STREAM_H_
#define PEERMESH_SERVER_LINK_SERVER_STREAM_H_

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/server_context.h>

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "server/link/stream.h"

namespace peermesh::link {

class ServerStream final : public Stream {
 public:
  using OnEnd = std::function<void(const CallInfo& info, const Closed& closed)>;

  ServerStream(QueuePool& pool, Queue& queue) : Stream(pool, queue, true) {}

  // Waits for a call; `tag` comes back when there is one, or with false when the server stops.
  void Request(grpc::AsyncGenericService& service, grpc::ServerCompletionQueue& queue, Tag* tag);
  // The call is here: what kind of credentials its connection has, in gRPC's words.
  std::string Security() const;
  // The call begins, and `on_end` will be called when it ends. UNAUTHENTICATED if it came over TLS
  // and its certificate does not say who it is.
  absl::Status Arrive(bool tls, OnEnd on_end);
  // In a scope of its own, below that of its connection.
  void BookAs(ledger::Kind kind, ledger::Scope scope) { Book(kind, std::move(scope)); }
  // Answers UNIMPLEMENTED if nobody accepted or finished it.
  void RefuseUnlessTaken();

  absl::StatusOr<identity::Identity> RemoteIdentity() const override;
  absl::StatusOr<identity::Certificate> RemoteCertificate() const override;
  std::string RemoteAddress() const override { return info_.peer; }

 private:
  void StartRead() override;
  void StartWrite(wire::Pieces pieces) override;
  void StartHalfClose() override;
  void StartFinish(const RpcStatus& status, std::optional<std::string> reply) override;
  void TryCancel() override;
  std::shared_ptr<const std::string> TakeMessage() override;
  Closed Ending() const override;
  void Drop(const Closed& closed) override;

  // One object, so that both go at once; the context must outlive the call.
  struct Call {
    grpc::GenericServerContext context;
    grpc::GenericServerAsyncReaderWriter stream{&context};
    grpc::ByteBuffer incoming;
  };
  std::mutex drop_mutex_;  // TryCancel may come from any thread and at any time
  std::unique_ptr<Call> call_ = std::make_unique<Call>();
  Closed sent_;
  OnEnd on_end_;  // set before the first operation
};

}  // namespace peermesh::link

#endif  // PEERMESH_SERVER_LINK_SERVER_STREAM_H_
