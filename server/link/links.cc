#include "server/link/links.h"

#include <utility>

#include "mesh/base/check.h"
#include "server/link/link_context.h"
#include "server/link/peer_link.h"
#include "server/tls/credentials.h"

namespace peermesh::link {

const char* ToString(HandshakeFault fault) {
  switch (fault) {
    case HandshakeFault::kNotAHello: return "not_a_hello";
    case HandshakeFault::kWrongMesh: return "wrong_mesh";
    case HandshakeFault::kWrongVersion: return "wrong_version";
    case HandshakeFault::kWrongToken: return "wrong_token";
    case HandshakeFault::kWrongPeer: return "wrong_peer";
    case HandshakeFault::kWrongRole: return "wrong_role";
    case HandshakeFault::kSelf: return "self";
    case HandshakeFault::kFull: return "full";
    case HandshakeFault::kHalfOpen: return "half_open";
    case HandshakeFault::kBroken: return "broken";
    case HandshakeFault::kStopping: return "stopping";
  }
  return "unknown";
}

const char* ToString(node::DialFailure failure) {
  switch (failure) {
    case node::DialFailure::kRefused: return "refused";
    case node::DialFailure::kUnreachable: return "unreachable";
    case node::DialFailure::kTimeout: return "timeout";
    case node::DialFailure::kRejected: return "rejected";
    case node::DialFailure::kWrongPeer: return "wrong_peer";
    case node::DialFailure::kSelf: return "self";
    case node::DialFailure::kTransport: return "transport";
  }
  return "unknown";
}

const char* ToString(node::DownReason reason) {
  switch (reason) {
    case node::DownReason::kClosedByPeer: return "closed_by_peer";
    case node::DownReason::kTransport: return "transport";
    case node::DownReason::kClosedByUs: return "closed_by_us";
    case node::DownReason::kProtocol: return "protocol";
    case node::DownReason::kStalled: return "stalled";
  }
  return "unknown";
}

struct Links::Impl {
  std::shared_ptr<LinkContext> context;

  // What speaks against taking the call, before its first message.
  std::optional<HandshakeFault> Objection(const CallInfo& info) const {
    if (context->stopping()) return HandshakeFault::kStopping;
    if (!info.identity || info.identity->role != identity::Role::kPeer) {
      return HandshakeFault::kWrongRole;
    }
    if (info.identity->mesh_id != context->credentials().bundle().mesh_id()) {
      return HandshakeFault::kWrongMesh;
    }
    if (info.identity->id == context->self()) return HandshakeFault::kSelf;
    return std::nullopt;
  }

  void Refuse(const std::shared_ptr<Stream>& stream, HandshakeFault fault) {
    context->Count([&](LinkStats& stats) { ++stats.faults[static_cast<std::size_t>(fault)]; });
    stream->Finish(StatusOf(fault));
  }
};

Links::Links(LinksConfig config, tls::Credentials& credentials, QueuePool& pool, Post post)
    : impl_(std::make_shared<Impl>()) {
  impl_->context =
      std::make_shared<LinkContext>(std::move(config), credentials, pool, std::move(post));
}

Links::~Links() { Shutdown(kLinger); }

bool Links::Serves(std::string_view method) {
  return method == kControlMethod || method == kDataMethod;
}

void Links::Serve(const std::shared_ptr<Stream>& stream) {
  const CallInfo& info = stream->info();
  PM_CHECK(Serves(info.method));
  if (const auto fault = impl_->Objection(info)) return impl_->Refuse(stream, *fault);
  const auto& context = impl_->context;
  if (info.method == kDataMethod) return LinkSide::AcceptData(context, stream);
  const auto link = context->Add(info.identity->id, stream->queue(), DialId{}, context);
  if (link == nullptr) {
    return impl_->Refuse(stream,
                         context->stopping() ? HandshakeFault::kStopping : HandshakeFault::kFull);
  }
  link->LimitHandshake(context->config().handshake_limit);
  link->AcceptControl(stream);
}

void Links::Perform(node::Dial dial) {
  PM_CHECK(dial.dial);
  const auto& context = impl_->context;
  Queue& queue = context->pool().Next();
  const auto link = context->Add(std::nullopt, queue, dial.dial, context);
  if (link == nullptr) return;  // stopping
  link->LimitHandshake(context->config().dial_limit);
  // On the queue's thread: making a channel takes longer than a turn should.
  PM_CHECK(queue.Post([link, dial = std::move(dial)] { link->Dial(dial); }));
}

void Links::Perform(node::SendControl send) {
  if (const auto link = impl_->context->Find(send.link)) link->Perform(std::move(send));
}

void Links::Perform(node::SendData send) {
  if (const auto link = impl_->context->Find(send.link)) link->Perform(std::move(send));
}

void Links::Perform(node::ReadNext read) {
  if (const auto link = impl_->context->Find(read.link)) link->Perform(read);
}

void Links::Perform(node::Close close) {
  if (const auto link = impl_->context->Find(close.link)) link->Close();
}

std::optional<membership::RecordRef> Links::Verify(const std::string& encoded) {
  auto verified = impl_->context->Verify({encoded});
  if (verified.good.records.empty()) return std::nullopt;
  return std::move(verified.good.records.front());
}

broadcast::PieceRef Links::Sign(broadcast::Piece piece) {
  return impl_->context->Sign(std::move(piece));
}

membership::StatementRef Links::Sign(membership::Statement statement) {
  return impl_->context->Sign(std::move(statement));
}

void Links::CutExpired(WallTime now) {
  for (const auto& link : impl_->context->All()) link->CutIfExpired(now);
}

void Links::Shutdown(Duration limit) {
  const auto& context = impl_->context;
  context->BeginStopping();
  for (const auto& stream : context->Awaited()) stream->Finish(StatusOf(HandshakeFault::kStopping));
  for (const auto& link : context->All()) link->Stop();
  if (context->WaitUntilIdle(Queue::Clock::now() + limit)) return;
  for (const auto& stream : context->Awaited()) stream->Cancel("stopping");
  for (const auto& link : context->All()) link->LingerOver();
  if (context->WaitUntilIdle(Queue::Clock::now() + kCancelPatience)) return;
  context->pool().CutCancelled();
  // What is left now waits for a queue's thread that is stuck, which is the server's watchdog's to
  // tell.
  context->WaitUntilIdle(Queue::Clock::now() + kLinger);
}

LinkStats Links::stats() const { return impl_->context->stats(); }
LinkCensus Links::Census() const { return impl_->context->Census(); }

}  // namespace peermesh::link
