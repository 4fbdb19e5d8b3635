#include "server/link/server_stream.h"

#include <grpc/grpc_security_constants.h>
#include <grpcpp/completion_queue.h>

#include "mesh/base/check.h"
#include "server/link/bytes.h"
#include "server/tls/credentials.h"

namespace peermesh::link {

void ServerStream::Request(grpc::AsyncGenericService& service, grpc::ServerCompletionQueue& queue,
                           Tag* tag) {
  call_->context.AsyncNotifyWhenDone(TagOf(Op::kDone));  // comes only for calls that arrive
  Call& call = *call_;
  service.RequestCall(&call.context, &call.stream, &queue, &queue, Starting(tag));
}

std::string ServerStream::Security() const {
  const auto values =
      call_->context.auth_context()->FindPropertyValues(GRPC_TRANSPORT_SECURITY_TYPE_PROPERTY_NAME);
  return values.empty() ? "" : std::string(values.front().data(), values.front().size());
}

absl::Status ServerStream::Arrive(bool tls, OnEnd on_end) {
  on_end_ = std::move(on_end);
  info_.method = call_->context.method();
  info_.peer = call_->context.peer();
  const auto& metadata = call_->context.client_metadata();
  if (const auto label = metadata.find("peermesh-client"); label != metadata.end()) {
    info_.client.assign(label->second.data(), std::min(label->second.size(), kMaxClientLabelBytes));
  }
  if (const auto agent = metadata.find("user-agent"); agent != metadata.end()) {
    const std::string_view text(agent->second.data(), agent->second.size());
    info_.library = text.substr(0, std::min(text.find(' '), kMaxClientLabelBytes));
  }
  Begin(nullptr);
  if (!tls) return absl::OkStatus();
  absl::StatusOr<identity::Identity> identity = RemoteIdentity();
  if (!identity.ok()) return identity.status();
  info_.identity = *std::move(identity);
  return absl::OkStatus();
}

void ServerStream::RefuseUnlessTaken() {
  if (taken()) return;
  Finish(wire::UnknownMethod(info_.method));
}

absl::StatusOr<identity::Identity> ServerStream::RemoteIdentity() const {
  if (info_.identity) return *info_.identity;
  return tls::RemoteIdentity(*call_->context.auth_context());
}

absl::StatusOr<identity::Certificate> ServerStream::RemoteCertificate() const {
  return tls::RemoteCertificate(*call_->context.auth_context());
}

void ServerStream::StartRead() { call_->stream.Read(&call_->incoming, TagOf(Op::kRead)); }

void ServerStream::StartWrite(wire::Pieces pieces) {
  call_->stream.Write(ToBuffer(std::move(pieces)), TagOf(Op::kWrite));
}

void ServerStream::StartHalfClose() { PM_CHECK(!"a server finishes"); }

void ServerStream::StartFinish(const RpcStatus& status, std::optional<std::string> reply) {
  sent_ = {CloseCause::kFinished, status.code, status.message};
  if (status.retry_pushback) {
    call_->context.AddTrailingMetadata("grpc-retry-pushback-ms",
                                       std::to_string(status.retry_pushback->count()));
  }
  const grpc::Status last(static_cast<grpc::StatusCode>(status.code), status.message,
                          status.details);
  if (reply) {
    call_->stream.WriteAndFinish(ToBuffer(*std::move(reply)), {}, last, TagOf(Op::kFinish));
  } else {
    call_->stream.Finish(last, TagOf(Op::kFinish));
  }
}

void ServerStream::TryCancel() {
  const std::lock_guard lock(drop_mutex_);
  if (call_ != nullptr) call_->context.TryCancel();
}

std::shared_ptr<const std::string> ServerStream::TakeMessage() {
  auto message = ToString(call_->incoming);
  call_->incoming.Clear();
  return message;
}

Closed ServerStream::Ending() const {
  if (!call_->context.IsCancelled()) return sent_;
  return {CloseCause::kBroken, static_cast<int>(grpc::StatusCode::CANCELLED),
          "cancelled by the other side, or its connection broke"};
}

void ServerStream::Drop(const Closed& closed) {
  std::unique_ptr<Call> call;  // goes outside the lock
  {
    const std::lock_guard lock(drop_mutex_);
    call = std::move(call_);
  }
  on_end_(info_, closed);
}

}  // namespace peermesh::link
