// One RPC, seen from either end: raw messages in, raw messages out.
//
// One class serves every method. A unary call is a stream that reads one message and replies; a
// server stream reads one and writes many. Nobody above this folder sees a gRPC type.
//
// Rules, kept by the state machine whatever the caller does and whenever the network fails:
//   - One read and one write are outstanding at most (a second one would abort the process). Asking
//   for a second
//     is the caller's bug and stops the process here, with a name.
//   - Exactly one Finish on every path: without it a server never shuts down.
//   - The object lives until its last tag is back, whoever still holds it.
//   - Every write has a deadline: a reader that stalls is cut, unless the caller switched it off
//   because its reader may
//     be slow. The last one, which carries the status, always has one.
//   - A read may complete before the write that provoked it: nobody may assume an order between the
//   two.
//
// All methods may be called from any thread and never call the handler; callbacks come on the
// thread of the stream's queue, one at a time. What is asked of a stream that has ended is ignored,
// because its end may be on the way.
//
// Bounds: what one message may hold is set where server and channel are made; one message each way
// is in memory.
#ifndef PEERMESH_SERVER_LINK_STREAM_H_
#define PEERMESH_SERVER_LINK_STREAM_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "mesh/base/time.h"
#include "mesh/identity/certificate.h"
#include "mesh/identity/identity.h"
#include "metrics/ledger/handle.h"
#include "metrics/ledger/scope.h"
#include "server/link/calls.h"
#include "server/link/queue.h"
#include "server/wire/errors.h"
#include "server/wire/pieces.h"

namespace grpc {
class Channel;
}  // namespace grpc

namespace peermesh::link {

// Long enough for 4 MiB on a bad line and a few lost packets; what takes longer is as good as dead.
// Guess.
inline constexpr Duration kWriteDeadline = std::chrono::seconds(10);

// What is known of a call before its first message.
struct CallInfo {
  std::string method;  // "/peermesh.v1.MessagingService/Publish"
  std::string peer;    // "ipv4:127.0.0.1:4711", "unix:"; on the calling side what it was told
  std::optional<identity::Identity> identity;  // from TLS; none on unix sockets
  std::string
      client;  // metadata `peermesh-client`: a label, never a right; at most kMaxClientLabelBytes
  std::string library;  // "grpc-python/1.51.1": first word of `user-agent`, bounded likewise
};
inline constexpr std::size_t kMaxClientLabelBytes = 64;  // what a table can show

// How a call is answered; code 0 is OK.
using RpcStatus = wire::RpcError;

enum class CloseCause : std::uint8_t {
  kFinished,   // ended by a status, ours or theirs
  kBroken,     // cancelled by the other side, or the connection broke
  kCancelled,  // by our Cancel
  kStalled,    // a write did not finish in time
};

struct Closed {
  CloseCause cause = CloseCause::kFinished;
  int code = 0;         // the status; on the serving side the one we sent, or CANCELLED
  std::string message;  // its text, or the reason of a Cancel
};

// For the ledger.
ledger::Outcome OutcomeOf(const Closed& closed);

class StreamHandler {
 public:
  virtual ~StreamHandler() = default;
  // Answers one Read.
  virtual void OnMessage(std::shared_ptr<const std::string> bytes) = 0;
  // Answers one Read: no more messages will come. On the serving side the caller half-closed and
  // waits for our status; on the calling side OnClosed follows.
  virtual void OnReadEnd() {}
  // The previous Write left the process: one more is allowed. Not a sign of delivery.
  virtual void OnWritten() {}
  // A write did not finish in time: the call is being cancelled, and OnClosed says so too.
  virtual void OnStalled() {}
  // Last callback, exactly once. The stream lets go of the handler afterwards.
  virtual void OnClosed(const Closed& closed) = 0;
};

class Stream : public std::enable_shared_from_this<Stream> {
 public:
  struct OpenOptions {
    std::string peer;                      // CallInfo::peer, for the table
    const ledger::Scope* owner = nullptr;  // whose it is; null: the process's
    std::vector<std::pair<std::string, std::string>> metadata;
    std::optional<Duration> write_deadline = kWriteDeadline;
  };
  // Calls a method. Nothing is sent before the first Write or HalfClose.
  static std::shared_ptr<Stream> Open(QueuePool& pool, Queue& queue,
                                      const std::shared_ptr<grpc::Channel>& channel,
                                      const std::string& method, OpenOptions options,
                                      std::shared_ptr<StreamHandler> handler);
  virtual ~Stream();

  const CallInfo& info() const { return info_; }
  Queue& queue() const { return queue_; }
  bool server() const { return server_; }
  // Who is at the other end. On the calling side only once a message or the end has come.
  virtual absl::StatusOr<identity::Identity> RemoteIdentity() const = 0;
  // The certificate that says so; likewise.
  virtual absl::StatusOr<identity::Certificate> RemoteCertificate() const = 0;
  // Where the connection leads, as a gRPC target. On the calling side as above.
  virtual std::string RemoteAddress() const = 0;

  // Serving side: takes the call. Once, before `on_call` returns; a call that is neither accepted
  // nor finished there is answered UNIMPLEMENTED.
  void Accept(std::shared_ptr<StreamHandler> handler);
  // For the write under way and those to come; none: the reader may take its time.
  void SetWriteDeadline(std::optional<Duration> deadline);

  // Asks for one message.
  void Read();
  // Sends one message.
  void Write(wire::Pieces pieces);
  // Calling side: nothing more will be written. After a Write that is still outstanding.
  void HalfClose();
  // Serving side: ends the call. After a Write that is still outstanding.
  void Finish(RpcStatus status);
  // Serving side: one message and the status OK, together. Only where no Write is outstanding.
  void Reply(std::string bytes);
  // Ends the call at once. After this and after Finish and Reply only OnClosed follows (or what was
  // on its way).
  void Cancel(std::string why);

  // When stopping: ends the connection of a call of ours that was cancelled and does not come back.
  // Connections of callers are net::Acceptor's to cut.
  void CutIfCancelled();

  StreamRow Row() const;
  // Where what is made on behalf of the call is booked. For whoever takes the call and within
  // callbacks: it ends after the last one.
  const ledger::Scope& scope() const { return scope_; }

 protected:
  enum class Op : std::uint8_t { kRead, kWrite, kFinish, kDone };
  struct OpTag final : Tag {
    Stream* stream = nullptr;
    Op op = Op::kRead;
    void Run(bool ok) override { stream->Complete(op, ok); }
  };

  Stream(QueuePool& pool, Queue& queue, bool server);

  // The operations themselves, called without the lock. Each returns its tag exactly once.
  virtual void StartRead() = 0;
  virtual void StartWrite(wire::Pieces pieces) = 0;
  virtual void StartHalfClose() = 0;  // with the tag of a write
  virtual void StartFinish(const RpcStatus& status, std::optional<std::string> reply) = 0;
  virtual void TryCancel() = 0;
  // The message of the read that just completed.
  virtual std::shared_ptr<const std::string> TakeMessage() = 0;
  // When all tags are back: how the call ended, unless it was cancelled here.
  virtual Closed Ending() const = 0;
  // After the last callback: gives back what gRPC holds, so that a stream somebody keeps pins no
  // connection.
  virtual void Drop(const Closed& closed) = 0;

  // Once.
  void Book(ledger::Kind kind, ledger::Scope scope, ledger::Site birth = ledger::Site::Here());
  // The stream is live; one operation has been started (kDone, kFinish) that returns at its end.
  void Begin(std::shared_ptr<StreamHandler> handler);
  bool taken() const { return handler_ != nullptr; }
  void* TagOf(Op op) { return Starting(&tags_[static_cast<int>(op)]); }

  CallInfo info_;

 private:
  struct Todo;
  void Complete(Op op, bool ok);
  void Release();
  Todo NextLocked();
  void Perform(Todo todo);
  void DueLocked(std::optional<Duration> limit);
  void CheckDeadline();
  void CancelFor(CloseCause cause, std::string why);

  QueuePool& pool_;
  Queue& queue_;
  const bool server_;
  Queue::Clock::time_point begun_{};
  CallCount count_;  // set before the first operation
  OpTag tags_[4];
  std::shared_ptr<StreamHandler> handler_;  // set before the first operation, reset after the last

  mutable std::mutex mutex_;  // never held while the handler or gRPC is called
  ledger::Scope scope_;
  ledger::Handle booking_;
  int outstanding_ = 0;  // tags
  bool reading_ = false, no_more_reads_ = false;
  bool writing_ = false, no_more_writes_ = false;
  bool half_close_ = false, half_closing_ = false;  // asked for, begun
  std::optional<RpcStatus> status_;                 // asked for; begun when no write is outstanding
  std::optional<std::string> reply_;
  bool finishing_ = false;               // begun
  bool replying_ = false;                // with a message
  std::optional<CloseCause> cancelled_;  // by us
  std::string cancel_reason_;
  std::optional<Duration> write_deadline_ = kWriteDeadline;
  std::optional<Queue::Clock::time_point> write_due_;
  std::optional<Queue::Clock::time_point> timer_at_;
  Queue::TimerId timer_ = 0;
};

}  // namespace peermesh::link

#endif  // PEERMESH_SERVER_LINK_STREAM_H_
