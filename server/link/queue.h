// Completion queues with a thread each: where every stream of the process lives.
//
// Rules and why:
//   - A stream belongs to one queue for life and all its callbacks come on that queue's thread, one
//   at a time, so
//     nobody needs locks for what only callbacks touch.
//   - Callbacks never block: one that does stops every stream of the queue.
//   - Timers fire on the queue's thread too, kept in our own map and served by the deadline of the
//   wait: an alarm of
//     gRPC for each write would cost more than the write.
//   - A queue is stopped only when no stream is left on it: gRPC aborts the process if an operation
//   starts on a queue
//     that is shut down.
//
// Bounds: posted functions and timers belong to streams and links, which are bounded (limits.h:
// kMaxLinks, kMaxSessions).
//
// Thread-safe.
#ifndef PEERMESH_SERVER_LINK_QUEUE_H_
#define PEERMESH_SERVER_LINK_QUEUE_H_

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "metrics/ledger/site.h"

namespace grpc {
class CompletionQueue;
}  // namespace grpc

namespace peermesh::link {

class Stream;

// Something that waits for an operation of a queue. Run is called exactly once for each operation
// started with it.
class Tag {
 public:
  virtual void Run(bool ok) = 0;

 protected:
  ~Tag() = default;
};

// ThreadSanitizer cannot see that starting an operation comes before its tag: gRPC is not built for
// it.
#if defined(__SANITIZE_THREAD__)
extern "C" void __tsan_acquire(void* address);
extern "C" void __tsan_release(void* address);
inline void* Starting(Tag* tag) {
  __tsan_release(tag);
  return tag;
}
inline void Returned(Tag* tag) { __tsan_acquire(tag); }
#else
inline void* Starting(Tag* tag) { return tag; }
inline void Returned(Tag*) {}
#endif

class Queue {
 public:
  using Clock = std::chrono::steady_clock;
  using Function = std::function<void()>;
  using TimerId = std::uint64_t;  // 0: none

  Queue(std::string name, std::unique_ptr<grpc::CompletionQueue> completions);
  ~Queue();
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  // Runs `function` on the queue's thread, soon and in order. False, and it is dropped, once the
  // queue is stopped.
  bool Post(Function function);
  // Runs `function` on the queue's thread at `when` or a little later, unless cancelled.
  // Booked in the ledger with the place that asks for it.
  TimerId SetTimer(Clock::time_point when, Function function,
                   ledger::Site birth = ledger::Site::Here());
  // A timer that fires at this moment may still run. 0 and timers that are gone are ignored.
  void CancelTimer(TimerId timer);

  grpc::CompletionQueue* completions() const { return completions_.get(); }
  const std::string& name() const { return name_; }

 private:
  friend class QueuePool;
  struct State;
  void Run();
  // No operation may be started any more; joins the thread when all that were have come back.
  void Stop();

  const std::string name_;
  const std::unique_ptr<grpc::CompletionQueue> completions_;
  const std::unique_ptr<State> state_;
};

// How long cancelled calls may take to come back when stopping; they need a millisecond.
inline constexpr std::chrono::milliseconds kCancelPatience{250};

// One row of the table of live streams.
struct StreamRow {
  std::string method;
  std::string peer;
  std::string state;  // what it waits for, for people
  std::chrono::milliseconds age{};
  bool server = false;
};

// The queues that belong together, and the streams on them. One pool for each server; links dialled
// out share it.
class QueuePool {
 public:
  // Threads are called `name`-0, `name`-1 and so on; at most 13 bytes, so that the kernel shows all
  // of it.
  explicit QueuePool(std::string name);
  // Stop() must have been called if a queue was added.
  ~QueuePool();
  QueuePool(const QueuePool&) = delete;
  QueuePool& operator=(const QueuePool&) = delete;

  // Takes a queue and starts its thread. Before the first stream.
  Queue& Add(std::unique_ptr<grpc::CompletionQueue> completions);
  // Adds `count` queues that only clients use.
  void AddClientQueues(int count);
  // The next one in turn. There must be one.
  Queue& Next();
  const std::vector<std::unique_ptr<Queue>>& queues() const { return queues_; }

  // Streams that have not given back their last tag.
  std::size_t live_streams() const;
  std::vector<StreamRow> Table() const;
  // Cancels every live stream.
  void CancelAll(const std::string& why);
  // When stopping: ends the connections of those cancelled calls of ours that do not come back.
  void CutCancelled();
  // Waits until no stream is live. With a deadline: false if it passes first.
  void WaitUntilIdle() const;
  bool WaitUntilIdle(Queue::Clock::time_point deadline) const;
  // Stops the queues and joins. No stream may be live and no server may use them any more.
  void Stop();

 private:
  friend class Stream;
  std::vector<std::shared_ptr<Stream>> Live() const;
  void Enter(std::shared_ptr<Stream> stream);  // keeps it alive until Leave
  void Leave(Stream* stream);

  const std::string name_;
  std::vector<std::unique_ptr<Queue>> queues_;
  std::atomic<std::size_t> turn_{0};

  mutable std::mutex mutex_;
  mutable std::condition_variable idle_;
  std::unordered_map<Stream*, std::shared_ptr<Stream>> streams_;
};

// Text for a log: one line for each stream, oldest first.
std::string ToText(const std::vector<StreamRow>& table);

}  // namespace peermesh::link

#endif  // PEERMESH_SERVER_LINK_QUEUE_H_
