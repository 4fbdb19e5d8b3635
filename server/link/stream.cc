#include "server/link/stream.h"

#include <fmt/format.h>

#include "mesh/base/check.h"
#include "server/link/cut.h"
#include "server/link/kinds.h"

namespace peermesh::link {
namespace {

constexpr int kCancelledCode = 1;  // grpc::StatusCode::CANCELLED

}  // namespace

ledger::Outcome OutcomeOf(const Closed& closed) {
  switch (closed.cause) {
    case CloseCause::kFinished:
      return closed.code == 0 ? ledger::Outcome::kNormal : ledger::Outcome::kError;
    case CloseCause::kStalled: return ledger::Outcome::kExpired;
    case CloseCause::kBroken:
    case CloseCause::kCancelled: break;
  }
  return ledger::Outcome::kCancelled;
}

// What the state asks for, to be done without the lock.
struct Stream::Todo {
  bool cancel = false;
  bool half_close = false;
  std::optional<RpcStatus> finish;
  std::optional<std::string> reply;
};

Stream::Stream(QueuePool& pool, Queue& queue, bool server)
    : pool_(pool), queue_(queue), server_(server) {
  for (const Op op : {Op::kRead, Op::kWrite, Op::kFinish, Op::kDone}) {
    tags_[static_cast<int>(op)].stream = this;
    tags_[static_cast<int>(op)].op = op;
  }
}

Stream::~Stream() { PM_CHECK(outstanding_ == 0); }

void Stream::Book(ledger::Kind kind, ledger::Scope scope, ledger::Site birth) {
  const std::lock_guard lock(mutex_);
  scope_ = std::move(scope);
  booking_ = ledger::Handle(kind, scope_, birth);
}

void Stream::Begin(std::shared_ptr<StreamHandler> handler) {
  handler_ = std::move(handler);
  outstanding_ = 1;
  begun_ = Queue::Clock::now();
  count_ = CallCount(server_ ? CallBook::Served() : CallBook::Made(), info_.method);
  pool_.Enter(shared_from_this());
}

void Stream::Accept(std::shared_ptr<StreamHandler> handler) {
  PM_CHECK(server_ && handler_ == nullptr && handler != nullptr);
  handler_ = std::move(handler);
}

void Stream::SetWriteDeadline(std::optional<Duration> deadline) {
  const std::lock_guard lock(mutex_);
  write_deadline_ = deadline;
  if (!writing_ || half_closing_) return;
  write_due_.reset();
  DueLocked(deadline);
}

void Stream::Read() {
  {
    const std::lock_guard lock(mutex_);
    if (no_more_reads_ || cancelled_ || status_) return;
    PM_CHECK(!reading_);
    reading_ = true;
    ++outstanding_;
  }
  StartRead();
}

void Stream::Write(wire::Pieces pieces) {
  {
    const std::lock_guard lock(mutex_);
    if (no_more_writes_ || cancelled_ || status_ || half_close_) return;
    PM_CHECK(!writing_);
    writing_ = true;
    ++outstanding_;
    DueLocked(write_deadline_);
  }
  StartWrite(std::move(pieces));
}

void Stream::HalfClose() {
  PM_CHECK(!server_);
  Todo todo;
  {
    const std::lock_guard lock(mutex_);
    if (no_more_writes_ || cancelled_ || half_close_) return;
    half_close_ = true;
    todo = NextLocked();
  }
  Perform(std::move(todo));
}

void Stream::Finish(RpcStatus status) {
  PM_CHECK(server_);
  Todo todo;
  {
    const std::lock_guard lock(mutex_);
    if (status_ || finishing_) return;
    status_ = std::move(status);
    todo = NextLocked();
  }
  Perform(std::move(todo));
}

void Stream::Reply(std::string bytes) {
  PM_CHECK(server_);
  Todo todo;
  {
    const std::lock_guard lock(mutex_);
    if (status_ || finishing_) return;
    PM_CHECK(!writing_);
    status_.emplace();
    reply_ = std::move(bytes);
    todo = NextLocked();
  }
  Perform(std::move(todo));
}

void Stream::Cancel(std::string why) { CancelFor(CloseCause::kCancelled, std::move(why)); }

void Stream::CancelFor(CloseCause cause, std::string why) {
  Todo todo;
  {
    const std::lock_guard lock(mutex_);
    if (cancelled_ || outstanding_ == 0) return;
    cancelled_ = cause;
    cancel_reason_ = std::move(why);
    booking_.End(OutcomeOf({.cause = cause}));
    booking_ = ledger::Handle(kCancelledCall, scope_);  // from now on it has to come back
    todo = NextLocked();
    todo.cancel = true;
  }
  Perform(std::move(todo));
}

// What can begin now. The caller holds the lock and performs it afterwards.
Stream::Todo Stream::NextLocked() {
  Todo todo;
  if (writing_) return todo;
  if (server_) {
    if (finishing_ || !(status_ || cancelled_ || no_more_writes_)) return todo;
    finishing_ = true;
    ++outstanding_;
    DueLocked(kWriteDeadline);
    todo.finish = status_.value_or(RpcStatus{kCancelledCode, cancel_reason_, {}, {}});
    todo.reply = std::exchange(reply_, std::nullopt);
    replying_ = todo.reply.has_value();
  } else if (half_close_ && !half_closing_ && !no_more_writes_) {
    half_closing_ = writing_ = true;
    ++outstanding_;
    DueLocked(kWriteDeadline);
    todo.half_close = true;
  }
  return todo;
}

void Stream::Perform(Todo todo) {
  if (todo.cancel) TryCancel();
  if (todo.half_close) StartHalfClose();
  if (todo.finish) StartFinish(*todo.finish, std::move(todo.reply));
}

void Stream::Complete(Op op, bool ok) {
  const std::shared_ptr<const std::string> message =
      op == Op::kRead && ok ? TakeMessage() : nullptr;
  Todo todo;
  bool tell = false;
  {
    const std::lock_guard lock(mutex_);
    switch (op) {
      case Op::kRead:
        reading_ = false;
        if (!ok) no_more_reads_ = true;
        if (ok) count_.Received();
        tell = true;
        break;
      case Op::kWrite:
        writing_ = false;
        write_due_.reset();
        if (!ok) no_more_writes_ = true;
        tell = ok && !half_closing_;
        if (tell) count_.Sent();
        break;
      case Op::kFinish:
        write_due_.reset();
        if (ok && replying_) count_.Sent();
        no_more_reads_ = no_more_writes_ = true;
        break;
      case Op::kDone: no_more_reads_ = no_more_writes_ = true; break;
    }
    tell = tell && !status_ && !cancelled_ && handler_ != nullptr;
    todo = NextLocked();
  }
  Perform(std::move(todo));
  if (tell && op == Op::kWrite) handler_->OnWritten();
  if (tell && op == Op::kRead && ok) handler_->OnMessage(message);
  if (tell && op == Op::kRead && !ok) handler_->OnReadEnd();
  Release();
}

void Stream::Release() {
  Closed closed;
  {
    const std::lock_guard lock(mutex_);
    if (--outstanding_ > 0) return;
    queue_.CancelTimer(timer_);
    if (cancelled_) closed = Closed{*cancelled_, kCancelledCode, cancel_reason_};
  }
  if (closed.code == 0) closed = Ending();
  count_.End(closed.code);
  if (handler_ != nullptr) std::exchange(handler_, nullptr)->OnClosed(closed);
  Drop(closed);
  {
    const std::lock_guard lock(mutex_);
    booking_.End(OutcomeOf(closed));
    scope_.End();
  }
  pool_.Leave(this);
}

void Stream::DueLocked(std::optional<Duration> limit) {
  if (!limit) return;
  write_due_ = Queue::Clock::now() + *limit;
  // One timer serves many writes: it looks again when it fires.
  if (timer_at_ && *timer_at_ <= *write_due_) return;
  queue_.CancelTimer(timer_);
  timer_at_ = write_due_;
  timer_ = queue_.SetTimer(*timer_at_, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->CheckDeadline();
  });
}

void Stream::CheckDeadline() {
  {
    const std::lock_guard lock(mutex_);
    timer_at_.reset();
    timer_ = 0;
    if (!write_due_) return;
    const Queue::Clock::time_point now = Queue::Clock::now();
    if (now < *write_due_) {
      DueLocked(std::chrono::duration_cast<Duration>(*write_due_ - now));
      return;
    }
  }
  CancelFor(CloseCause::kStalled, "a write did not finish in time");
  // On the queue's thread, so this cannot be later than OnClosed.
  if (handler_ != nullptr) handler_->OnStalled();
}

void Stream::CutIfCancelled() {
  {
    const std::lock_guard lock(mutex_);
    if (server_ || !cancelled_) return;
  }
  CutConnectionsTo(RemoteAddress());
}

StreamRow Stream::Row() const {
  const std::lock_guard lock(mutex_);
  std::string state =
      fmt::format("{}{}{}{}{}", reading_ ? "reading " : "", writing_ ? "writing " : "",
                  finishing_ ? "finishing " : "", no_more_reads_ ? "read to the end " : "",
                  cancelled_ ? "cancelled " : "");
  if (state.empty()) state = "idle ";
  state.pop_back();
  const auto age = Queue::Clock::now() - begun_;
  return {info_.method, info_.peer, std::move(state),
          std::chrono::duration_cast<std::chrono::milliseconds>(age), server_};
}

}  // namespace peermesh::link
