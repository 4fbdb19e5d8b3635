// One application stream: the part that Publish, Subscribe and Exchange share.
//
// Out: frames are protobuf messages of one type per stream, so frames that wait are simply appended
// to each other (concatenated messages merge), and whatever gathered during one write leaves with
// the next. The node hands over one Deliver at a time and gets its DeliverDone when that has left.
// In: one frame at a time; the next is asked for when the last is dealt with, so an application
// that outruns its peer is held back by its own stream.
//
// Bounds: one delivery (kFlushBytes and a message) and kMaxPendingBytes of answers; an application
// that reads no answers is not read from either. Callbacks come on the stream's queue, wishes on
// the turn's thread; a small lock keeps them apart and is never held while either is called.
#ifndef PEERMESH_SERVER_API_SESSION_H_
#define PEERMESH_SERVER_API_SESSION_H_

#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "mesh/node/effect.h"
#include "mesh/node/input.h"
#include "metrics/ledger/handle.h"
#include "server/link/stream.h"
#include "server/wire/pieces.h"

namespace peermesh::api {

class Applications;

// Answers waiting behind a write; past this the session is not read from. Guess: a thousand
// answers.
inline constexpr std::size_t kMaxPendingBytes = 64u << 10;

class Session : public link::StreamHandler, public std::enable_shared_from_this<Session> {
 public:
  Session(Applications& applications, std::shared_ptr<link::Stream> stream, SessionId id);

  SessionId id() const { return id_; }
  const std::shared_ptr<link::Stream>& stream() const { return stream_; }

  // Wishes of the node.
  void Deliver(std::vector<flow::Delivery> deliveries);
  virtual void Answered(const node::Answer& answer) = 0;
  virtual void Subscribed(const node::Subscribed& subscribed) = 0;
  // Ends the stream for this reason.
  void CloseFor(node::Refusal reason);
  // The peer is leaving: tells the application. Deliveries go on until Finish.
  virtual void GoAway(Duration grace) = 0;
  // Ends the stream in good order when all is written.
  virtual void Finish() { FinishAfter({}); }

  void OnWritten() override;
  void OnClosed(const link::Closed& closed) override;

 protected:
  // Sends a frame when it can.
  void Send(wire::Pieces frame) { Push(std::move(frame), false); }
  // True if few frames wait. Otherwise false, and OnRoom comes once when that has changed.
  bool HasRoomOrWait();
  // Ends the stream with this status once everything sent before is written.
  void FinishAfter(link::RpcStatus status);
  virtual void OnRoom() {}

  // Opens the session with the node, once.
  void Open();
  // A publish of it waits for its answer; or does not any more. With the lock held.
  void AwaitAnswerLocked();
  void AnswerCameLocked();

  Applications& applications_;
  const std::shared_ptr<link::Stream> stream_;
  const SessionId id_;
  std::mutex mutex_;

 private:
  void Push(wire::Pieces frame, bool delivery);
  void StartWrite(std::unique_lock<std::mutex>& lock);

  ledger::Handle booking_;  // while the node has the session
  bool opened_ = false, ended_ = false;
  bool writing_ = false, delivery_writing_ = false, delivery_pending_ = false,
       waiting_for_room_ = false;
  wire::Pieces pending_;
  std::optional<link::RpcStatus> finish_;
};

}  // namespace peermesh::api

#endif  // PEERMESH_SERVER_API_SESSION_H_
