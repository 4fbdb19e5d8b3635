// What an application publishes and receives.
//
// Plain structs that own their bytes: a frame's strings are moved, not copied, between them and the
// wire. What the mesh knows about a message (`Received`: origin, numbers, time) is verified by the
// peer, never claimed by the sender.
#ifndef PEERMESH_CLIENT_MESSAGE_H_
#define PEERMESH_CLIENT_MESSAGE_H_

#include <bit>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "mesh/base/id.h"
#include "mesh/base/loss.h"
#include "mesh/base/time.h"

namespace peermesh::v1 {
class Message;
class PublishResponse;
}  // namespace peermesh::v1

namespace peermesh::client {

struct Header {
  std::string key;
  std::string value;
};

struct Message {
  std::string subject;
  std::string payload;
  std::string reply_to;  // subject for an answer; empty: none expected
  std::vector<Header> headers;
  std::string content_type;
};

// A run of numbers on one channel.
struct NumberRange {
  std::uint32_t channel = 0;
  std::uint64_t first = 0;
  std::uint64_t last = 0;
};

// What the peer accepted. OK means: validated, numbered, queued for every interested peer it is
// linked to.
struct Receipt {
  std::vector<NumberRange> numbers;    // given to the batch, by channel in order of first use
  std::uint32_t interested_peers = 0;  // peers, this one included, with a matching subscription
  std::vector<std::string> unreachable_peers;  // ids of live peers that may miss it; at most 16
};

// Who a run of messages came from.
struct Origin {
  PeerId id;
  std::string name;
  std::uint64_t epoch = 0;  // start of its numbering; larger after every restart
};

struct Received {
  Message message;
  std::shared_ptr<const Origin> origin;  // shared by the messages of a run
  std::uint32_t channel = 0;
  std::uint64_t sequence = 0;                           // counts per (origin, epoch, channel)
  WallTime published;                                   // by the origin's clock
  absl::InlinedVector<std::uint32_t, 4> subscriptions;  // ids that matched
};

// Messages numbered `from` to `to` that may have matched will not arrive.
struct Gap {
  PeerId origin;
  std::uint64_t epoch = 0;
  std::uint32_t channel = 0;
  std::uint64_t from = 0;
  std::uint64_t to = 0;
  LossReason reason = LossReason::kNone;
};

// The session is open. `again`: it was open before, subscriptions were made anew, and whatever was
// published in between is lost without a Gap.
struct Connected {
  std::string peer_id;
  std::string peer_name;
  std::string mesh_id;
  bool again = false;
};

// These subscriptions are in force.
struct Subscribed {
  std::vector<std::uint32_t> ids;
  std::vector<std::string>
      unconfirmed_peers;  // ids; what they publish in the first moments may be missed
};

// The peer will close the stream after `grace`; the session reconnects by itself.
struct GoingAway {
  std::string reason;
  Duration grace{};
};

// The stream broke; the session tries again.
struct Disconnected {
  absl::Status why;
};

using Event = std::variant<Received, Gap, Connected, Subscribed, GoingAway, Disconnected>;

// INVALID_PATTERN unless `text` can be subscribed to: a subject in which a token may be *, and the
// last one >.
absl::Status CheckPattern(std::string_view text);

// Refuses what the peer would refuse, before it spoils the batch it travels in.
absl::Status Check(const Message& message);

// Bytes of an encoded field with a tag of one byte; empty ones are not written.
inline std::size_t FieldBytes(std::size_t length) {
  const std::size_t varint = (static_cast<std::size_t>(std::bit_width(length | 1)) + 6) / 7;
  return length == 0 ? 0 : 1 + varint + length;
}

// Bytes of the encoded message: what the limit of 1 MiB counts.
std::size_t WireBytes(const Message& message);

void ToProto(Message message, v1::Message& out);
Receipt FromProto(const v1::PublishResponse& response);

}  // namespace peermesh::client

#endif  // PEERMESH_CLIENT_MESSAGE_H_
