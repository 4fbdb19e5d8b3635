// A session: publishing and subscribing on one stream at full speed, reconnecting by itself.
//
// Publishing pipelines. `Publish` queues and returns; messages queued while a write is under way
// travel together; the peer's answers come back through `on_published` and `Flush`. More than
// `window_bytes` without an answer make `Publish` wait until a quarter of them is answered, which
// is how a slow mesh slows its publishers down. When the stream breaks, what was not yet written is
// written after the reconnect; what was written but not answered is reported as CONNECTION_LOST,
// because it may or may not have been accepted, and is not sent twice.
//
// Receiving has two forms. Without `on_events`, call `Next` from one thread; frames wait in a
// bounded queue, and when it is full the stream is not read, so the peer's back-pressure applies.
// With `on_events`, the handler runs on the session's own thread, once for every frame: it saves a
// thread hop, and blocking in it holds back this session alone. A handler may publish and
// subscribe; there `Publish` refuses with WINDOW_FULL instead of waiting. It must not call Next,
// Flush, Close or destroy the session. Answers to publishes arrive on the same stream: who
// subscribes without a handler has to keep calling Next while it publishes.
//
// All methods may be called from any thread.
#ifndef PEERMESH_CLIENT_SESSION_H_
#define PEERMESH_CLIENT_SESSION_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/message.h"
#include "mesh/base/limits.h"
#include "mesh/base/loss.h"
#include "mesh/base/time.h"

namespace grpc {
class Channel;
}

namespace peermesh::client {

// What one answered batch came to.
struct Published {
  std::uint64_t id = 0;        // as Publish returned it
  std::uint32_t messages = 0;  // accepted or refused together
  absl::StatusOr<Receipt> receipt;
};

// Unanswered bytes before Publish waits: twice the largest publish, so that one is on its way while
// the next is built. Guess.
inline constexpr std::size_t kDefaultWindowBytes = 2 * kMaxPublishBytes;

struct SessionOptions {
  std::vector<std::string> subjects;  // subscriptions to begin with; their ids are 1, 2, ...
  OnOverflow on_overflow = OnOverflow::kGap;
  Duration block_timeout{};  // with kBlock; zero: the peer's default
  bool reconnect = true;
  std::size_t window_bytes = kDefaultWindowBytes;
  std::function<void(std::span<Event>)> on_events;
  std::function<void(const Published&)> on_published;  // on the session's thread
  // On the session's thread, the last call: how the session ended, as Next would say.
  std::function<void(const absl::Status&)> on_end;
};

class Session {
 public:
  // Closes at once: what is queued is dropped. Close() first to end in good order.
  ~Session();

  // Queues messages for every matching subscription in the mesh or, with a target (name, id, or
  // unique prefix of an id), for those on that peer. Returns the number of the last batch they
  // travel in. Errors, which queue nothing: INVALID_SUBJECT, MALFORMED_MESSAGE, MESSAGE_TOO_LARGE,
  // WINDOW_FULL, and how the session ended.
  absl::StatusOr<std::uint64_t> Publish(std::vector<Message> messages,
                                        std::string_view target = {});
  absl::StatusOr<std::uint64_t> Publish(std::string subject, std::string payload);

  // Waits until everything published before is answered. The first refusal since the last Flush, if
  // any; DEADLINE_EXCEEDED if answers are still missing.
  absl::Status Flush(Duration timeout);

  // Adds a subscription and returns its id; a Subscribed event confirms it.
  absl::StatusOr<std::uint32_t> Subscribe(std::string subject);
  void Unsubscribe(std::uint32_t id);

  // The next event; nullopt after `timeout`. An error is how the session ended, after the last
  // event.
  absl::StatusOr<std::optional<Event>> Next(Duration timeout);

  // Flushes, half-closes and waits for the end. What Flush says, or DEADLINE_EXCEEDED. Publish
  // refuses from now on.
  absl::Status Close(Duration timeout);

  // Ends the session from any thread; waiting calls return CANCELLED.
  void Cancel();

 private:
  friend class Client;
  class Impl;
  explicit Session(std::unique_ptr<Impl> impl);
  // Waits until the session is open and its first subscriptions are in force.
  static absl::StatusOr<std::unique_ptr<Session>> Open(std::shared_ptr<grpc::Channel> channel,
                                                       std::string label, SessionOptions options,
                                                       Duration timeout);

  std::unique_ptr<Impl> impl_;
};

}  // namespace peermesh::client

#endif  // PEERMESH_CLIENT_SESSION_H_
