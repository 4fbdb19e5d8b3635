// One bidirectional call that is made again when it breaks. Internal to client/.
//
// Rules, and why:
//  * A completion queue and a thread of its own for every stream: gRPC's callback API naps up to
//    100 ms when idle, and a handler that blocks should hold back nobody but itself.
//  * One read and one write outstanding at most; a second one aborts the process. Both are started
//    under `mutex_`, by whichever thread has the reason, and complete on the stream's thread.
//  * Finish exactly once per attempt, and only when neither the start nor a read is outstanding
//    (each of them may be the one that takes the initial metadata).
//  * A first attempt fails fast and, without an answer, is the last: a mistake is reported at once.
//    Later ones wait for the connection, because a channel makes none unless a call waits for it;
//    gRPC's back-off of up to ten seconds is reset before each, and one that takes long is given
//    up.
//
// A derived class calls Start() when it is complete and Stop() first thing in its destructor.
#ifndef PEERMESH_CLIENT_STREAM_H_
#define PEERMESH_CLIENT_STREAM_H_

#include <grpcpp/alarm.h>
#include <grpcpp/grpcpp.h>

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "client/attempt.h"
#include "client/backoff.h"
#include "client/errors.h"
#include "client/kinds.h"
#include "mesh/base/check.h"
#include "metrics/ledger/thread.h"

namespace peermesh::client {

template <class Request, class Response>
class Stream {
 public:
  using Call = std::unique_ptr<grpc::ClientAsyncReaderWriter<Request, Response>>;

  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // Ends the stream as soon as its thread gets to it; any thread, also the stream's own.
  void Cancel() {
    std::lock_guard lock(mutex_);
    CancelLocked();
  }

 protected:
  Stream(std::shared_ptr<grpc::Channel> channel, std::string label, bool reconnect)
      : channel_(std::move(channel)),
        label_(std::move(label)),
        reconnect_(reconnect),
        scope_(ledger::Scope{}, ledger::ScopeType::kStream, label_) {}
  virtual ~Stream() { PM_CHECK(!thread_.joinable()); }

  // Makes the call object without starting it.
  virtual Call Prepare(grpc::ClientContext& context, grpc::CompletionQueue& queue) = 0;
  // A new attempt has begun; lock held.
  virtual void OpenedLocked() = 0;
  // Gives the next frame to write; lock held.
  virtual bool TakeWriteLocked(Request& out) = 0;
  // Whether there is room for another frame; lock held.
  virtual bool WantReadLocked() const = 0;
  // One frame; no lock. An error ends the stream with it.
  virtual absl::Status Handle(Response& frame) = 0;
  struct Ending {
    absl::Status status;
    bool answered = false;  // at least one frame was read
    bool final = false;     // there will be no other attempt
  };
  // The attempt is over; no lock.
  virtual void Closed(const Ending& ending) = 0;

  void Start() {
    thread_ = ledger::Thread("pm-client", kThread, scope_, [this] { Run(); });
  }
  void Stop() {
    PM_CHECK(!OnOwnThread());  // a handler must not destroy the stream that calls it
    Cancel();
    thread_.Join();
  }
  bool OnOwnThread() const { return std::this_thread::get_id() == own_thread_; }

  void CancelLocked() {
    stopping_ = true;
    if (context_) context_->TryCancel();
    FinishIfIdleLocked();
    changed_.notify_all();
  }

  // Starts whatever can be started. To be called after anything that TakeWriteLocked or
  // WantReadLocked looks at.
  void PumpLocked() {
    if (!open_ || failed_ || stopping_) return;
    const bool can_write = !writing_ && !write_failed_;
    if (can_write && TakeWriteLocked(out_)) {
      writing_ = true;
      ++outstanding_;
      call_->Write(out_, Tag(Operation::kWrite));
    } else if (can_write && half_close_ && !half_closed_) {
      writing_ = half_closed_ = true;
      ++outstanding_;
      call_->WritesDone(Tag(Operation::kWrite));
    }
    if (!reading_ && WantReadLocked()) {
      reading_ = true;
      ++outstanding_;
      call_->Read(&in_, Tag(Operation::kRead));
    }
  }

  // As PumpLocked, on the stream's thread: what is to be written meanwhile goes with it. At once
  // while that thread is in a handler, which may be waiting for whoever calls.
  void PumpSoonLocked() {
    if (handling_) return PumpLocked();
    if (waking_ || !open_ || failed_ || stopping_) return;
    waking_ = true;
    ++outstanding_;
    alarm_->Set(queue_, gpr_inf_past(GPR_CLOCK_MONOTONIC), Tag(Operation::kWake));
  }

  // No more writes after those that TakeWriteLocked still has; the end is then final.
  void HalfCloseLocked() {
    half_close_ = true;
    PumpLocked();
  }

  bool StoppingLocked() const { return stopping_; }
  bool OpenLocked() const { return open_; }

  mutable std::mutex mutex_;
  std::condition_variable changed_;  // for everything under mutex_

 private:
  void Run() {
    own_thread_ = std::this_thread::get_id();
    Backoff backoff;
    for (bool first = true;; first = false) {
      bool answered = false;
      const absl::Status status = Attempt(first, answered);
      if (answered) backoff.Reset();
      bool final;
      {
        std::lock_guard lock(mutex_);
        final =
            stopping_ || half_close_ || !reconnect_ || (first && !answered) || !IsTransient(status);
      }
      Closed({status, answered, final});
      if (final) return;
      const Duration wait = backoff.Next(RetryAfter(status).value_or(Duration::zero()));
      {
        std::unique_lock lock(mutex_);
        changed_.wait_for(lock, wait, [this] { return stopping_; });
      }
      grpc::experimental::ChannelResetConnectionBackoff(channel_.get());
    }
  }

  absl::Status Attempt(bool first, bool& answered) {
    ledger::Handle booking(kStream, scope_);
    grpc::CompletionQueue queue;
    grpc::Status result;
    absl::Status verdict;
    {
      std::lock_guard lock(mutex_);
      if (stopping_) return absl::CancelledError("The stream was closed.");
      context_ = std::make_unique<grpc::ClientContext>();
      context_->AddMetadata("peermesh-client", label_);
      context_->set_wait_for_ready(!first);
      call_ = Prepare(*context_, queue);
      queue_ = &queue;
      alarm_.emplace();
      result_ = &result;
      open_ = failed_ = reading_ = writing_ = false;
      write_failed_ = half_closed_ = finishing_ = false;
      starting_ = true;
      outstanding_ = 1;
      call_->StartCall(Tag(Operation::kStart));
    }
    for (Progress progress = Progress::kStarting; progress != Progress::kOver;) {
      void* tag = nullptr;
      bool ok = false;
      if (queue.AsyncNext(&tag, &ok, Patience(progress)) == grpc::CompletionQueue::TIMEOUT) {
        std::lock_guard lock(mutex_);
        context_->TryCancel();
        progress = Progress::kRunning;
        continue;
      }
      if (tag == Tag(Operation::kRead) && ok) {
        answered = true;
        verdict = HandleFrame();
      }
      progress = Complete(tag, ok, verdict.ok());
    }
    std::lock_guard lock(mutex_);
    open_ = false;
    call_.reset();
    context_.reset();
    alarm_.reset();
    queue.Shutdown();
    void* tag = nullptr;
    bool ok = false;
    PM_CHECK(!queue.Next(&tag, &ok));
    if (!verdict.ok() || !result.ok()) booking.End(ledger::Outcome::kError);
    return verdict.ok() ? FromGrpc(result) : verdict;
  }

  absl::Status HandleFrame() {
    {
      std::lock_guard lock(mutex_);
      handling_ = true;
      if (waking_) PumpLocked();  // the wake-up would wait for the handler
    }
    absl::Status verdict = Handle(in_);
    std::lock_guard lock(mutex_);
    handling_ = false;
    return verdict;
  }

  // Books one completion.
  Progress Complete(void* tag, bool ok, bool sound) {
    std::lock_guard lock(mutex_);
    --outstanding_;
    if (tag == Tag(Operation::kStart)) {
      starting_ = false;
      failed_ = !ok;
      if (ok) {
        open_ = true;
        OpenedLocked();
      }
    } else if (tag == Tag(Operation::kRead)) {
      reading_ = false;
      if (!ok || !sound) failed_ = true;
      if (!sound) context_->TryCancel();
    } else if (tag == Tag(Operation::kWrite)) {
      writing_ = false;
      // Not the end yet: frames that arrived before the stream broke are still to be read.
      if (!ok) write_failed_ = true;
    } else if (tag == Tag(Operation::kWake)) {
      waking_ = false;
    }
    PumpLocked();
    FinishIfIdleLocked();
    if (!finishing_) return Progress::kRunning;
    return outstanding_ == 0 ? Progress::kOver : Progress::kFinishing;
  }

  void FinishIfIdleLocked() {
    if (!call_ || finishing_ || starting_ || reading_ || !(failed_ || stopping_)) return;
    finishing_ = true;
    ++outstanding_;
    call_->Finish(result_, Tag(Operation::kFinish));
  }

  // Constant after construction.
  const std::shared_ptr<grpc::Channel> channel_;
  const std::string label_;
  const bool reconnect_;
  const ledger::Scope scope_;
  ledger::Thread thread_;
  std::atomic<std::thread::id> own_thread_;

  // Under mutex_.
  std::unique_ptr<grpc::ClientContext> context_;
  Call call_;
  grpc::Status* result_ = nullptr;
  grpc::CompletionQueue* queue_ = nullptr;  // of the attempt
  // Likewise. lint:allow(raw-timer): always due, it wakes the thread
  std::optional<grpc::Alarm> alarm_;
  bool waking_ = false;  // it is set
  Request out_;
  Response in_;  // the stream's thread alone while no read is outstanding
  int outstanding_ = 0;
  bool starting_ = false;
  bool handling_ = false;  // the thread is in Handle
  bool open_ = false;
  bool reading_ = false;
  bool writing_ = false;
  bool write_failed_ = false;
  bool half_close_ = false;
  bool half_closed_ = false;
  bool failed_ = false;
  bool finishing_ = false;
  bool stopping_ = false;
};

}  // namespace peermesh::client

#endif  // PEERMESH_CLIENT_STREAM_H_
