// One link, from its first byte to its last fact: the handshake, the two streams, and the end.
// Internal to this folder.
//
// Phases:
//   kHello    control is open; the other side's hello is awaited
//   kJoin     hellos are exchanged; the data stream is awaited (accepting side) or its hello
//   (dialler) kUp       LinkUp was posted kLeaving  the other side closed a stream in good order:
//   what it sent before is still delivered, kLinger at most kClosing  the node asked for the end:
//   what it sent before still leaves, kLinger at most; what comes is dropped kDown     over;
//   DialFailed or LinkDown was posted, or nothing for an inbound link that never came up
//
// Callbacks of the two streams of an inbound link may come on two threads. `mutex_` guards the
// state and is never held while facts are posted or streams are called. Facts go through a queue of
// their own (Emit), so that they leave one at a time and in order whichever thread brings them; it
// holds one control frame, one data frame, two SendDone and an end at most, because each is asked
// for only when the one before was posted.
#ifndef PEERMESH_SERVER_LINK_PEER_LINK_H_
#define PEERMESH_SERVER_LINK_PEER_LINK_H_

#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "mesh/identity/identity.h"
#include "mesh/limits/gcra.h"
#include "mesh/node/effect.h"
#include "mesh/node/input.h"
#include "metrics/ledger/handle.h"
#include "server/link/link_context.h"
#include "server/link/stream.h"
#include "server/wire/control.h"
#include "server/wire/pieces.h"

namespace peermesh::link {

class PeerLink : public std::enable_shared_from_this<PeerLink> {
 public:
  PeerLink(std::shared_ptr<LinkContext> context, LinkId id, DialId dial, Queue& queue);
  ~PeerLink();

  // The two ways to begin, on the thread of the link's queue.
  void Dial(const node::Dial& dial);
  void AcceptControl(const std::shared_ptr<Stream>& stream);
  // A data stream that showed our token. What is wrong with it, if it may not join.
  std::optional<HandshakeFault> Join(const std::shared_ptr<Stream>& stream);

  // Gives up the handshake unless it is complete by then.
  void LimitHandshake(Duration limit);

  void Perform(node::SendControl send);
  void Perform(node::SendData send);
  void Perform(const node::ReadNext& read);
  void Close();
  void CutIfExpired(WallTime now);
  // Closes a link, gives up a handshake.
  void Stop();
  // Ends a link that does not close in time.
  void LingerOver();
  bool up() const;

  // What its streams say.
  void OnMessage(node::Lane lane, std::shared_ptr<const std::string> bytes);
  void OnReadEnd(node::Lane lane);
  void OnWritten(node::Lane lane);
  void OnStalled();
  void OnClosed(node::Lane lane, const Closed& closed);

 private:
  enum class Phase : std::uint8_t { kHello, kJoin, kUp, kLeaving, kClosing, kDown };
  struct Fact {
    node::Input input;
    std::uint64_t read_cost = 0;  // what to pay before the next control frame is read; 0: no read
  };
  struct LaneState {
    std::shared_ptr<Stream> stream;
    std::shared_ptr<grpc::Channel> channel;  // dialler only
    bool hello_written = false;
    bool sending = false;   // the node waits for SendDone
    bool reading = false;   // data: a grant is out
    bool finished = false;  // the other side sent its last message
    bool closed = false;
    bool in_order = false;  // closed with the status OK
  };

  bool inbound() const { return !dial_; }
  LaneState& At(node::Lane lane) { return lane == node::Lane::kControl ? control_ : data_; }
  std::shared_ptr<Stream> StreamOf(node::Lane lane);
  Phase phase() const;

  std::shared_ptr<Stream> OpenStream(node::Lane lane, const std::string& target,
                                     const std::optional<PeerId>& expected);
  wire::Hello OwnHello() const;
  void OnHello(const std::string& bytes);
  std::optional<HandshakeFault> Check(const wire::Hello& hello,
                                      const identity::Identity& remote) const;
  void OpenData(const std::string& token);
  void OnDataHello(const std::shared_ptr<const std::string>& bytes);
  void UpIfComplete();
  node::LinkUp MakeUpLocked() const;

  // Reads the next control frame, later if they come too fast.
  void ReadControl(std::uint64_t cost);
  bool handshaking() const { return phase_ == Phase::kHello || phase_ == Phase::kJoin; }  // locked
  void OnControlFrame(const std::string& bytes);
  void OnDataFrame(const std::shared_ptr<const std::string>& bytes);
  // Drops pieces that are not to be believed, from this one on, and passes the frame on.
  void CheckRelayed(std::shared_ptr<node::DataFrame> frame, std::size_t from);
  void OnHandshakeClosed(const Closed& closed);
  void Send(node::Lane lane, wire::Pieces pieces);
  void EndSending(const std::shared_ptr<Stream>& stream);
  void LeaveLocked();

  // Ends a handshake: the accepting side counts and answers `fault`, the dialler reports `failure`.
  void Fail(HandshakeFault fault, node::DialFailure failure);
  void Down(node::DownReason reason);
  void Emit(node::Input input, std::uint64_t read_cost = 0);
  void Enqueue(node::Input input, std::uint64_t read_cost);
  void PostFacts();
  void SetTimerLocked(Duration limit, void (PeerLink::*then)());
  void HandshakeOver();

  const std::shared_ptr<LinkContext> context_;
  const LinkId id_;
  const DialId dial_;  // {} when inbound
  Queue& queue_;
  std::optional<PeerId> expected_;
  ledger::Scope owner_;  // the peer, by name once it is known
  ledger::Scope scope_;  // the link; ends when its streams have let go of it

  mutable std::mutex mutex_;
  ledger::Handle booking_;  // on its way, then up
  Phase phase_ = Phase::kHello;
  LaneState control_, data_;
  bool joined_ = false;  // the data stream belongs to the link
  std::string token_;    // given out, not yet shown
  identity::Identity remote_;
  wire::Hello hello_;  // the other side's
  WallTime expires_{};
  Queue::TimerId timer_ = 0;

  limits::Gcra control_rate_;  // touched by whoever posted the last control frame

  std::mutex facts_mutex_;
  std::deque<Fact> facts_;
  bool posting_ = false;
  bool last_ = false;  // the last fact is posted or waits
};

// The handler of a stream that belongs to a link, or of a data stream that is about to show its
// token.
class LinkSide final : public StreamHandler {
 public:
  LinkSide(std::shared_ptr<LinkContext> context, node::Lane lane, std::shared_ptr<PeerLink> link);
  ~LinkSide() override;
  // A data stream that must show a token first.
  static void AcceptData(const std::shared_ptr<LinkContext>& context,
                         const std::shared_ptr<Stream>& stream);

  void OnMessage(std::shared_ptr<const std::string> bytes) override;
  void OnReadEnd() override;
  void OnWritten() override;
  void OnStalled() override;
  void OnClosed(const Closed& closed) override;

 private:
  void ShowToken(const std::shared_ptr<const std::string>& bytes);
  void Refuse(HandshakeFault fault);

  const std::shared_ptr<LinkContext> context_;
  const node::Lane lane_;
  std::shared_ptr<PeerLink> link_;
  std::shared_ptr<Stream> stream_;  // until it belongs to a link
};

// How a handshake that failed so is answered.
RpcStatus StatusOf(HandshakeFault fault);

}  // namespace peermesh::link

#endif  // PEERMESH_SERVER_LINK_PEER_LINK_H_
