#include "server/api/session.h"

#include <utility>

#include "mesh/base/check.h"
#include "server/api/applications.h"
#include "server/api/kinds.h"
#include "server/link/kinds.h"
#include "server/wire/api.h"

namespace peermesh::api {

Session::Session(Applications& applications, std::shared_ptr<link::Stream> stream, SessionId id)
    : applications_(applications), stream_(std::move(stream)), id_(id) {
  PM_CHECK(stream_ != nullptr && id_);
}

void Session::Open() {
  {
    const std::lock_guard lock(mutex_);
    PM_CHECK(!opened_);
    opened_ = true;
    booking_ = ledger::Handle(kSession, stream_->scope());
  }
  applications_.Opened(shared_from_this());
}

void Session::AwaitAnswerLocked() {
  booking_.SetDeadline(ledger::CoarseNow() + link::ForLedger(link::kLongestAnswer));
}

void Session::AnswerCameLocked() { booking_.SetDeadline(ledger::Time{}); }

bool Session::HasRoomOrWait() {
  const std::lock_guard lock(mutex_);
  waiting_for_room_ = pending_.size() > kMaxPendingBytes;
  return !waiting_for_room_;
}

void Session::Push(wire::Pieces frame, bool delivery) {
  std::unique_lock lock(mutex_);
  if (ended_ || finish_) return;
  pending_.Append(std::move(frame));
  delivery_pending_ |= delivery;
  StartWrite(lock);
}

// Starts a write if none is outstanding; gives up the lock to do so.
void Session::StartWrite(std::unique_lock<std::mutex>& lock) {
  if (writing_ || ended_) return;
  if (pending_.empty()) {
    if (!finish_) return;
    ended_ = true;
    link::RpcStatus status = std::move(*finish_);
    lock.unlock();
    stream_->Finish(std::move(status));
    return;
  }
  writing_ = true;
  delivery_writing_ = std::exchange(delivery_pending_, false);
  wire::Pieces frame = std::exchange(pending_, {});
  lock.unlock();
  stream_->Write(std::move(frame));
}

void Session::OnWritten() {
  bool delivered = false, room = false;
  {
    std::unique_lock lock(mutex_);
    PM_CHECK(writing_);
    writing_ = false;
    delivered = std::exchange(delivery_writing_, false);
    // What waits leaves with the write that begins now.
    room = std::exchange(waiting_for_room_, false);
    StartWrite(lock);
  }
  if (delivered) applications_.Post(node::DeliverDone{id_});
  if (room) OnRoom();
}

void Session::Deliver(std::vector<flow::Delivery> deliveries) {
  Push(wire::EncodeDeliveries(deliveries, applications_.names()), true);
}

void Session::CloseFor(node::Refusal reason) { FinishAfter(applications_.StatusOf(reason)); }

void Session::FinishAfter(link::RpcStatus status) {
  // From here on a reader that takes its time would hold up the end.
  stream_->SetWriteDeadline(link::kWriteDeadline);
  std::unique_lock lock(mutex_);
  if (ended_ || finish_) return;
  finish_ = std::move(status);
  StartWrite(lock);
}

void Session::OnClosed(const link::Closed& closed) {
  bool opened = false;
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    opened = opened_;
    booking_.End(link::OutcomeOf(closed));
  }
  if (opened) applications_.Closed(id_);
}

}  // namespace peermesh::api
