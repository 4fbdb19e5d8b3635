#include "server/link/peer_link.h"

#include <algorithm>
#include <utility>

#include "mesh/base/check.h"
#include "server/link/dial_failure.h"
#include "server/link/kinds.h"
#include "server/tls/credentials.h"
#include "server/wire/data.h"
#include "server/wire/splice.h"

namespace peermesh::link {

using node::DialFailure;
using node::DownReason;
using node::Lane;

namespace {

ledger::Outcome OutcomeOf(DownReason reason) {
  switch (reason) {
    case DownReason::kClosedByPeer:
    case DownReason::kClosedByUs: return ledger::Outcome::kNormal;
    case DownReason::kStalled: return ledger::Outcome::kExpired;
    case DownReason::kTransport:
    case DownReason::kProtocol: break;
  }
  return ledger::Outcome::kError;
}

}  // namespace

PeerLink::PeerLink(std::shared_ptr<LinkContext> context, LinkId id, DialId dial, Queue& queue)
    : context_(std::move(context)),
      id_(id),
      dial_(dial),
      queue_(queue),
      owner_(ledger::Scope{}, ledger::ScopeType::kPeer, "unproven"),
      scope_(owner_, ledger::ScopeType::kConnection,
             "link " + std::to_string(id.value) + (dial ? ", dialled" : ", accepted")),
      booking_(dial ? kDial : kHandshake, scope_) {}

PeerLink::~PeerLink() { PM_CHECK(phase_ == Phase::kDown); }

PeerLink::Phase PeerLink::phase() const {
  const std::lock_guard lock(mutex_);
  return phase_;
}

bool PeerLink::up() const { return phase() >= Phase::kUp; }

std::shared_ptr<Stream> PeerLink::StreamOf(Lane lane) {
  const std::lock_guard lock(mutex_);
  return At(lane).stream;
}

// --- Wishes --------------------------------------------------------------------------------------

void PeerLink::Perform(node::SendControl send) {
  std::string bytes = wire::EncodeControl(send.frame);
  const auto* statements = std::get_if<node::Statements>(&send.frame);
  context_->Count([&](LinkStats& stats) {
    if (statements != nullptr) stats.statements_out += statements->statements.size();
    ++stats.control.frames_out;
    stats.control.bytes_out += bytes.size();
  });
  Send(Lane::kControl, std::move(bytes));
}

void PeerLink::Perform(node::SendData send) {
  wire::Pieces pieces = wire::EncodeData(send.frame);
  std::uint64_t relayed_bytes = 0;
  for (const node::Relayed& relayed : send.frame.relayed) {
    relayed_bytes += wire::RecordBytes(*relayed.piece->batch, relayed.piece->rows);
  }
  context_->Count([&](LinkStats& stats) {
    stats.relayed_out += send.frame.relayed.size();
    stats.relayed_bytes_out += relayed_bytes;
    ++stats.data.frames_out;
    stats.data.bytes_out += pieces.size();
  });
  Send(Lane::kData, std::move(pieces));
}

void PeerLink::Send(Lane lane, wire::Pieces pieces) {
  std::shared_ptr<Stream> stream;
  {
    const std::lock_guard lock(mutex_);
    if (phase_ != Phase::kUp && phase_ != Phase::kLeaving) return;
    PM_CHECK(!At(lane).sending);
    At(lane).sending = true;
    stream = At(lane).stream;
  }
  stream->Write(std::move(pieces));
}

void PeerLink::Perform(const node::ReadNext&) {
  std::shared_ptr<Stream> stream;
  {
    const std::lock_guard lock(mutex_);
    if (phase_ != Phase::kUp && phase_ != Phase::kLeaving) return;
    if (data_.finished || data_.closed) return;
    PM_CHECK(!data_.reading);
    data_.reading = true;
    stream = data_.stream;
  }
  stream->Read();
}

void PeerLink::Close() {
  std::shared_ptr<Stream> control, data;
  bool read_data = false;
  {
    const std::lock_guard lock(mutex_);
    if (phase_ != Phase::kUp && phase_ != Phase::kLeaving) return;
    phase_ = Phase::kClosing;
    SetTimerLocked(context_->config().linger, &PeerLink::LingerOver);
    control = control_.stream;
    data = data_.stream;
    // The dialler learns of the end by reading up to it; what comes before is dropped.
    read_data = !inbound() && !data_.reading && !data_.finished && !data_.closed;
    if (read_data) data_.reading = true;
  }
  EndSending(control);
  EndSending(data);
  if (read_data) data->Read();
}

void PeerLink::EndSending(const std::shared_ptr<Stream>& stream) {
  if (inbound()) {
    stream->Finish({});
  } else {
    stream->HalfClose();
  }
}

void PeerLink::CutIfExpired(WallTime now) {
  {
    const std::lock_guard lock(mutex_);
    if (handshaking() || phase_ == Phase::kDown || expires_ > now) return;
  }
  context_->Count([](LinkStats& stats) { ++stats.expired; });
  Down(DownReason::kTransport);
}

void PeerLink::Stop() {
  Fail(HandshakeFault::kStopping, DialFailure::kTransport);
  Close();
}

// --- Frames --------------------------------------------------------------------------------------

void PeerLink::OnMessage(Lane lane, std::shared_ptr<const std::string> bytes) {
  Phase phase;
  std::shared_ptr<Stream> stream;
  {
    const std::lock_guard lock(mutex_);
    phase = phase_;
    booking_.Touch();
    stream = At(lane).stream;
    if (lane == Lane::kData && phase != Phase::kClosing) data_.reading = false;
  }
  switch (phase) {
    case Phase::kHello: return OnHello(*bytes);
    case Phase::kJoin: return OnDataHello(bytes);
    case Phase::kUp:
    case Phase::kLeaving:
      return lane == Lane::kControl ? OnControlFrame(*bytes) : OnDataFrame(bytes);
    case Phase::kClosing: return stream->Read();
    case Phase::kDown: return;
  }
}

void PeerLink::OnControlFrame(const std::string& bytes) {
  context_->Count([&](LinkStats& stats) {
    ++stats.control.frames_in;
    stats.control.bytes_in += bytes.size();
  });
  auto received = wire::DecodeControl(bytes);
  if (!received.ok() || std::holds_alternative<wire::Hello>(*received)) {
    context_->Count([](LinkStats& stats) { ++stats.bad_frames; });
    return Down(DownReason::kProtocol);
  }
  if (std::holds_alternative<wire::UnknownKind>(*received)) {
    context_->Count([](LinkStats& stats) { ++stats.unknown_frames; });
    return ReadControl(1);
  }
  if (auto* records = std::get_if<wire::EncodedRecords>(&*received)) {
    auto [good, checked] = context_->Verify(std::move(records->records));
    good.news = records->news;
    return Emit(node::ControlIn{id_, std::move(good)}, 1 + kFramesPerRecord * checked);
  }
  if (auto* statements = std::get_if<wire::EncodedStatements>(&*received)) {
    auto [good, checked, forged] = context_->VerifyStatements(*statements);
    if (forged) return Down(DownReason::kProtocol);
    return Emit(node::ControlIn{id_, std::move(good)}, 1 + kFramesPerStatement * checked);
  }
  Emit(node::ControlIn{id_, std::move(std::get<node::ControlFrame>(*received))}, 1);
}

void PeerLink::ReadControl(std::uint64_t cost) {
  static const limits::Rate rate =
      limits::Rate::PerSecond(kControlFramesPerSecond, kControlFramesBurst);
  const Instant now = context_->config().now();
  const auto units = static_cast<std::int64_t>(std::min(cost, kControlFramesBurst));
  const auto until = control_rate_.TryTake(rate, units, now);
  if (!until) return StreamOf(Lane::kControl)->Read();
  context_->Count([](LinkStats& stats) { ++stats.control_delayed; });
  queue_.SetTimer(Queue::Clock::now() + (*until - now), [weak = weak_from_this(), cost] {
    if (const auto self = weak.lock()) self->ReadControl(cost);
  });
}

void PeerLink::OnDataFrame(const std::shared_ptr<const std::string>& bytes) {
  context_->Count([&](LinkStats& stats) {
    ++stats.data.frames_in;
    stats.data.bytes_in += bytes->size();
  });
  auto received = wire::DecodeData(bytes);
  if (!received.ok() || received->hello) {
    context_->Count([](LinkStats& stats) { ++stats.bad_frames; });
    return Down(DownReason::kProtocol);
  }
  if (received->frame.relayed.empty()) {
    return Emit(node::DataIn{id_, std::move(received->frame)});
  }
  CheckRelayed(std::make_shared<node::DataFrame>(std::move(received->frame)), 0);
}

void PeerLink::CheckRelayed(std::shared_ptr<node::DataFrame> frame, std::size_t from) {
  std::vector<node::Relayed>& relayed = frame->relayed;
  const std::size_t to = std::min(relayed.size(), from + kPiecesAtOnce);
  for (std::size_t i = from; i < to; ++i) {
    const auto refusal = context_->Verify(relayed[i]);
    if (refusal == SignedRefusal::kForged) return Down(DownReason::kProtocol);
    if (refusal) relayed[i].piece = nullptr;
  }
  if (to < relayed.size()) {
    // Nothing more is read until the node has had this frame. A queue that is stopping drops it.
    StreamOf(Lane::kData)->queue().Post([self = shared_from_this(), frame, to] {
      if (self->phase() != Phase::kDown) self->CheckRelayed(frame, to);
    });
    return;
  }
  std::erase_if(relayed, [](const node::Relayed& one) { return one.piece == nullptr; });
  Emit(node::DataIn{id_, std::move(*frame)});
}

void PeerLink::OnWritten(Lane lane) {
  bool hello = false;
  {
    const std::lock_guard lock(mutex_);
    if (phase_ == Phase::kClosing || phase_ == Phase::kDown) return;
    hello = handshaking();
    if (hello) At(lane).hello_written = true;
    At(lane).sending = false;
  }
  if (hello) return UpIfComplete();
  Emit(node::SendDone{id_, lane});
}

// --- The end -------------------------------------------------------------------------------------

void PeerLink::OnReadEnd(Lane lane) {
  std::shared_ptr<Stream> finish;
  {
    const std::lock_guard lock(mutex_);
    At(lane).finished = true;
    if (phase_ == Phase::kUp) LeaveLocked();
    if (inbound() && phase_ == Phase::kLeaving) finish = At(lane).stream;
  }
  if (finish != nullptr) return finish->Finish({});
  if (inbound()) Fail(HandshakeFault::kBroken, DialFailure::kTransport);
}

// Before the stream ends: its end may be overtaken by the other side's reaction to it.
void PeerLink::OnStalled() { Down(DownReason::kStalled); }

void PeerLink::LeaveLocked() {
  phase_ = Phase::kLeaving;
  SetTimerLocked(context_->config().linger, &PeerLink::LingerOver);
}

void PeerLink::OnClosed(Lane lane, const Closed& closed) {
  Phase phase;
  bool both = false, in_order = false;
  {
    const std::lock_guard lock(mutex_);
    At(lane).closed = true;
    At(lane).in_order = closed.code == 0;
    both = control_.closed && data_.closed;
    in_order = control_.in_order || data_.in_order;
    if (phase_ == Phase::kUp && in_order) LeaveLocked();
    phase = phase_;
  }
  switch (phase) {
    case Phase::kHello:
    case Phase::kJoin: return OnHandshakeClosed(closed);
    case Phase::kUp: return Down(DownReason::kTransport);
    case Phase::kLeaving:
      // A stream that broke was read to an end too, before it turned out that it broke.
      if (both || closed.code != 0)
        Down(in_order ? DownReason::kClosedByPeer : DownReason::kTransport);
      return;
    case Phase::kClosing:
      if (both) Down(DownReason::kClosedByUs);
      return;
    case Phase::kDown: return;
  }
}

void PeerLink::LingerOver() {
  Down(phase() == Phase::kLeaving ? DownReason::kClosedByPeer : DownReason::kClosedByUs);
}

void PeerLink::Down(DownReason reason) {
  std::shared_ptr<Stream> control, data;
  {
    const std::lock_guard lock(mutex_);
    if (handshaking() || phase_ == Phase::kDown) return;
    phase_ = Phase::kDown;
    booking_.End(OutcomeOf(reason));
    queue_.CancelTimer(timer_);
    control = control_.stream;
    data = data_.stream;
    control_.channel = data_.channel = nullptr;
  }
  context_->Count([&](LinkStats& stats) { ++stats.downs[static_cast<std::size_t>(reason)]; });
  Emit(node::LinkDown{id_, reason});
  control->Cancel("the link is down");
  data->Cancel("the link is down");
  context_->Remove(id_);
}

// --- Facts and timers ----------------------------------------------------------------------------

void PeerLink::Emit(node::Input input, std::uint64_t read_cost) {
  Enqueue(std::move(input), read_cost);
  PostFacts();
}

void PeerLink::Enqueue(node::Input input, std::uint64_t read_cost) {
  const std::lock_guard lock(facts_mutex_);
  if (last_) return;
  last_ = std::holds_alternative<node::LinkDown>(input) ||
          std::holds_alternative<node::DialFailed>(input);
  facts_.push_back({std::move(input), read_cost});
}

// Unless somebody else is at it, who then posts ours too.
void PeerLink::PostFacts() {
  {
    const std::lock_guard lock(facts_mutex_);
    if (posting_ || facts_.empty()) return;
    posting_ = true;
    context_->PostingBegan();
  }
  const auto self = shared_from_this();
  while (true) {
    Fact fact;
    {
      const std::lock_guard lock(facts_mutex_);
      if (facts_.empty()) {
        posting_ = false;
        break;
      }
      fact = std::move(facts_.front());
      facts_.pop_front();
    }
    context_->Post(std::move(fact.input));
    if (fact.read_cost > 0) ReadControl(fact.read_cost);
  }
  context_->PostingEnded();
}

void PeerLink::SetTimerLocked(Duration limit, void (PeerLink::*then)()) {
  queue_.CancelTimer(timer_);
  timer_ = queue_.SetTimer(Queue::Clock::now() + limit, [weak = weak_from_this(), then] {
    if (const auto self = weak.lock()) (self.get()->*then)();
  });
}

}  // namespace peermesh::link
