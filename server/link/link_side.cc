// The handlers of a link's streams, and what is said to those whose handshake fails.
#include <fmt/format.h>

#include "mesh/base/check.h"
#include "server/link/peer_link.h"
#include "server/wire/data.h"

namespace peermesh::link {

RpcStatus StatusOf(HandshakeFault fault) {
  wire::Code code = wire::Code::kFailedPrecondition;
  if (fault == HandshakeFault::kWrongRole) code = wire::Code::kPermissionDenied;
  if (fault == HandshakeFault::kFull) code = wire::Code::kResourceExhausted;
  if (fault == HandshakeFault::kStopping) code = wire::Code::kUnavailable;
  RpcStatus status;
  status.code = static_cast<int>(code);
  status.message = fmt::format("link refused: {}", ToString(fault));
  return status;
}

LinkSide::LinkSide(std::shared_ptr<LinkContext> context, node::Lane lane,
                   std::shared_ptr<PeerLink> link)
    : context_(std::move(context)), lane_(lane), link_(std::move(link)) {
  context_->StreamBegan();
}

LinkSide::~LinkSide() { context_->StreamEnded(); }

void LinkSide::AcceptData(const std::shared_ptr<LinkContext>& context,
                          const std::shared_ptr<Stream>& stream) {
  const auto side = std::make_shared<LinkSide>(context, node::Lane::kData, nullptr);
  side->stream_ = stream;
  context->Awaits(stream);
  stream->Accept(side);
  stream->SetWriteDeadline(context->config().write_limit);
  stream->Read();
  // Runs on the thread of the side's callbacks.
  stream->queue().SetTimer(Queue::Clock::now() + context->config().handshake_limit,
                           [weak = std::weak_ptr<LinkSide>(side)] {
                             const auto self = weak.lock();
                             if (self != nullptr && self->stream_ != nullptr) {
                               self->Refuse(HandshakeFault::kHalfOpen);
                             }
                           });
}

void LinkSide::OnMessage(std::shared_ptr<const std::string> bytes) {
  if (link_ != nullptr) return link_->OnMessage(lane_, std::move(bytes));
  if (stream_ != nullptr) ShowToken(bytes);
}

void LinkSide::ShowToken(const std::shared_ptr<const std::string>& bytes) {
  const auto received = wire::DecodeData(bytes);
  if (!received.ok() || !received->hello || !received->frame.runs.empty() ||
      !received->frame.relayed.empty() || received->frame.end) {
    return Refuse(HandshakeFault::kNotAHello);
  }
  const auto link = context_->TakeToken(*received->hello);
  if (link == nullptr) return Refuse(HandshakeFault::kWrongToken);
  link_ = link;  // callbacks may come as soon as it has joined
  if (const auto fault = link->Join(stream_)) {
    link_ = nullptr;
    return Refuse(*fault);
  }
  context_->Arrived(stream_.get());
  stream_ = nullptr;
}

void LinkSide::Refuse(HandshakeFault fault) {
  context_->Count([&](LinkStats& stats) { ++stats.faults[static_cast<std::size_t>(fault)]; });
  context_->Arrived(stream_.get());
  std::exchange(stream_, nullptr)->Finish(StatusOf(fault));
}

void LinkSide::OnReadEnd() {
  if (link_ != nullptr) return link_->OnReadEnd(lane_);
  if (stream_ != nullptr) Refuse(HandshakeFault::kBroken);
}

void LinkSide::OnWritten() {
  if (link_ != nullptr) link_->OnWritten(lane_);
}

void LinkSide::OnStalled() {
  if (link_ != nullptr) link_->OnStalled();
}

void LinkSide::OnClosed(const Closed& closed) {
  if (link_ != nullptr) return std::exchange(link_, nullptr)->OnClosed(lane_, closed);
  if (stream_ != nullptr) Refuse(HandshakeFault::kBroken);
}

}  // namespace peermesh::link
