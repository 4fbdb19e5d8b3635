// The handshake of a link: from the first stream to LinkUp or DialFailed.
#include <algorithm>
#include <utility>

#include "mesh/base/check.h"
#include "server/link/dial_failure.h"
#include "server/link/kinds.h"
#include "server/link/peer_link.h"
#include "server/tls/credentials.h"
#include "server/wire/data.h"

namespace peermesh::link {

using node::DialFailure;
using node::Lane;

void PeerLink::Dial(const node::Dial& dial) {
  expected_ = dial.expected;
  owner_.Describe("at " + dial.address);
  const auto target = TargetOf(dial.address);
  if (!target) return Fail(HandshakeFault::kBroken, DialFailure::kUnreachable);
  const auto control = OpenStream(Lane::kControl, *target, dial.expected);
  control->Write(wire::EncodeHello(OwnHello()));
  control->Read();
}

void PeerLink::AcceptControl(const std::shared_ptr<Stream>& stream) {
  owner_.Describe(OwnerLabel(*stream->info().identity));
  {
    const std::lock_guard lock(mutex_);
    control_.stream = stream;
  }
  stream->Accept(std::make_shared<LinkSide>(context_, Lane::kControl, shared_from_this()));
  stream->SetWriteDeadline(context_->config().write_limit);
  stream->Read();
}

void PeerLink::LimitHandshake(Duration limit) {
  const std::lock_guard lock(mutex_);
  SetTimerLocked(limit, &PeerLink::HandshakeOver);
}

void PeerLink::HandshakeOver() { Fail(HandshakeFault::kHalfOpen, DialFailure::kTimeout); }

// On a connection of its own, which ends with the link.
std::shared_ptr<Stream> PeerLink::OpenStream(Lane lane, const std::string& target,
                                             const std::optional<PeerId>& expected) {
  const std::shared_ptr<grpc::Channel> channel =
      context_->credentials().Dial(target, {.expected = expected});
  context_->ChannelMade();
  Stream::OpenOptions options;
  options.peer = target;
  options.owner = &scope_;
  options.write_deadline = context_->config().write_limit;
  const auto stream = Stream::Open(
      context_->pool(), queue_, channel, lane == Lane::kControl ? kControlMethod : kDataMethod,
      std::move(options), std::make_shared<LinkSide>(context_, lane, shared_from_this()));
  // Counted for as long as it is held here.
  const auto booking = std::make_shared<ledger::Handle>(ledger::Handle(kChannel, scope_));
  std::shared_ptr<grpc::Channel> counted(channel.get(),
                                         [channel, booking, context = context_](grpc::Channel*) {
                                           booking->End();
                                           context->ChannelGone();
                                         });
  bool late = false;
  {
    const std::lock_guard lock(mutex_);
    At(lane).stream = stream;
    late = phase_ == Phase::kDown;
    if (!late) At(lane).channel = std::move(counted);
  }
  if (late) stream->Cancel("the handshake was given up");
  return stream;
}

wire::Hello PeerLink::OwnHello() const {
  wire::Hello hello;
  hello.mesh_id = context_->credentials().bundle().mesh_id();
  hello.epoch = context_->config().epoch;
  hello.software = context_->config().software.substr(0, wire::kMaxSoftwareBytes);
  if (!inbound()) hello.dial_count = dial_.value;
  return hello;
}

std::optional<HandshakeFault> PeerLink::Check(const wire::Hello& hello,
                                              const identity::Identity& remote) const {
  if (remote.role != identity::Role::kPeer) return HandshakeFault::kWrongRole;
  if (remote.id == context_->self()) return HandshakeFault::kSelf;
  if (expected_ && remote.id != *expected_) return HandshakeFault::kWrongPeer;
  if (hello.mesh_id != context_->credentials().bundle().mesh_id()) {
    return HandshakeFault::kWrongMesh;
  }
  if (hello.version_min > wire::kProtocolVersion || hello.version_max < wire::kProtocolVersion) {
    return HandshakeFault::kWrongVersion;
  }
  // Who speaks version 1 takes its frames.
  if (hello.max_data_frame_bytes < kMaxDataFrameBytes) return HandshakeFault::kWrongVersion;
  if (hello.link_token.empty() != inbound()) return HandshakeFault::kWrongToken;
  return std::nullopt;
}

void PeerLink::OnHello(const std::string& bytes) {
  const auto control = StreamOf(Lane::kControl);
  const auto received = wire::DecodeControl(bytes);
  const auto* hello = received.ok() ? std::get_if<wire::Hello>(&*received) : nullptr;
  if (hello == nullptr) return Fail(HandshakeFault::kNotAHello, DialFailure::kRejected);
  const auto remote = control->RemoteIdentity();
  if (!remote.ok()) return Fail(HandshakeFault::kWrongRole, DialFailure::kRejected);
  if (const auto fault = Check(*hello, *remote)) {
    const bool self = *fault == HandshakeFault::kSelf, other = *fault == HandshakeFault::kWrongPeer;
    return Fail(*fault, self    ? DialFailure::kSelf
                        : other ? DialFailure::kWrongPeer
                                : DialFailure::kRejected);
  }
  owner_.Describe(OwnerLabel(*remote));
  // What it signs may come before its record does.
  if (const auto certificate = control->RemoteCertificate(); certificate.ok()) {
    context_->signatures().Learn(remote->id, certificate->spki(), remote->not_after);
  }
  const std::string token = inbound() ? context_->NewToken(shared_from_this()) : hello->link_token;
  {
    const std::lock_guard lock(mutex_);
    if (phase_ == Phase::kHello) {
      phase_ = Phase::kJoin;
      hello_ = *hello;
      remote_ = *remote;
      expires_ = std::min(remote->not_after, context_->credentials().self().not_after);
      if (inbound()) token_ = token;
    }
  }
  if (phase() != Phase::kJoin) return context_->DropToken(token);
  if (!inbound()) return OpenData(token);
  wire::Hello answer = OwnHello();
  answer.link_token = token;
  control->Write(wire::EncodeHello(answer));
}

// To the very address control reached, because a name may lead to many peers.
void PeerLink::OpenData(const std::string& token) {
  const auto data = OpenStream(Lane::kData, StreamOf(Lane::kControl)->RemoteAddress(), remote_.id);
  data->Write(wire::EncodeDataHello(token));
  data->Read();
}

std::optional<HandshakeFault> PeerLink::Join(const std::shared_ptr<Stream>& stream) {
  bool stranger = false;
  {
    const std::lock_guard lock(mutex_);
    if (phase_ != Phase::kJoin) return HandshakeFault::kWrongToken;
    stranger = stream->info().identity->id != remote_.id;
    if (!stranger) {
      data_.stream = stream;
      joined_ = true;
    }
  }
  if (stranger) {
    // The token is used up, so the handshake cannot be completed any more.
    Fail(HandshakeFault::kBroken, DialFailure::kTransport);
    return HandshakeFault::kWrongPeer;
  }
  stream->Write(wire::EncodeDataHello(""));
  return std::nullopt;
}

void PeerLink::OnDataHello(const std::shared_ptr<const std::string>& bytes) {
  const auto received = wire::DecodeData(bytes);
  if (!received.ok() || !received->hello || !received->hello->empty() ||
      !received->frame.runs.empty() || !received->frame.relayed.empty() || received->frame.end) {
    return Fail(HandshakeFault::kNotAHello, DialFailure::kRejected);
  }
  {
    const std::lock_guard lock(mutex_);
    joined_ = true;
  }
  UpIfComplete();
}

void PeerLink::UpIfComplete() {
  {
    const std::lock_guard lock(mutex_);
    // A hello may be answered before we are told that it was written.
    if (phase_ != Phase::kJoin || !joined_ || !control_.hello_written || !data_.hello_written) {
      return;
    }
    if (control_.closed || data_.closed) return;  // whoever was told so gives up the handshake
    phase_ = Phase::kUp;
    booking_ = ledger::Handle(kLink, scope_);
    queue_.CancelTimer(timer_);
    Enqueue(MakeUpLocked(), 1);  // before anybody can find the link up and end it
  }
  context_->Count([&](LinkStats& stats) { ++(inbound() ? stats.up_inbound : stats.up_outbound); });
  PostFacts();
}

node::LinkUp PeerLink::MakeUpLocked() const {
  const LinksConfig& config = context_->config();
  node::LinkUp up;
  up.link = id_;
  up.peer = remote_.id;
  up.dial = dial_;
  up.dial_count = inbound() ? hello_.dial_count : dial_.value;
  up.direction = inbound() ? node::Direction::kInbound : node::Direction::kOutbound;
  up.name = remote_.name;
  up.epoch = hello_.epoch;
  up.software = hello_.software;
  up.certificate_expiry = remote_.not_after;
  up.expires = config.now() + std::chrono::duration_cast<Duration>(expires_ - config.wall());
  return up;
}

void PeerLink::OnHandshakeClosed(const Closed& closed) {
  if (inbound()) return Fail(HandshakeFault::kBroken, DialFailure::kTransport);
  DialFailure failure = DialFailureOf(closed.code, closed.message);
  const auto remote = StreamOf(Lane::kControl)->RemoteIdentity();
  if (remote.ok() && remote->id == context_->self()) failure = DialFailure::kSelf;
  Fail(HandshakeFault::kBroken, failure);
}

void PeerLink::Fail(HandshakeFault fault, DialFailure failure) {
  std::shared_ptr<Stream> streams[2];
  {
    const std::lock_guard lock(mutex_);
    if (!handshaking()) return;
    phase_ = Phase::kDown;
    booking_.End(failure == DialFailure::kTimeout || fault == HandshakeFault::kHalfOpen
                     ? ledger::Outcome::kExpired
                     : ledger::Outcome::kError);
    queue_.CancelTimer(timer_);
    streams[0] = control_.stream;
    streams[1] = data_.stream;
    control_.channel = data_.channel = nullptr;
  }
  context_->DropToken(token_);
  context_->Count([&](LinkStats& stats) {
    if (inbound()) {
      ++stats.faults[static_cast<std::size_t>(fault)];
    } else {
      ++stats.dials_failed[static_cast<std::size_t>(failure)];
    }
  });
  for (const auto& stream : streams) {
    if (stream == nullptr) continue;
    if (inbound()) {
      stream->Finish(StatusOf(fault));
    } else {
      stream->Cancel("the handshake failed");
    }
  }
  if (!inbound()) Emit(node::DialFailed{dial_, failure});
  context_->Remove(id_);
}

}  // namespace peermesh::link
