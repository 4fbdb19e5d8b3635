// Frames that a peer sends to an application, as the C++ client reads them: against protobuf's
// parser, and however the network cut them.
#include <google/protobuf/util/message_differencer.h>

#include <vector>

#include "client/frames.h"
#include "client/message.h"
#include "mesh/base/check.h"
#include "peermesh/v1/messaging.pb.h"
#include "tests/client/in_pieces.h"
#include "tests/fuzz/fuzz.h"

namespace peermesh::fuzz {
namespace {

using google::protobuf::util::MessageDifferencer;

struct Read {
  bool ok = false;
  v1::ExchangeResponse rest;
  std::vector<client::Event> events;
};

Read ReadAll(std::string_view bytes, std::size_t piece) {
  Read read;
  const auto arrived = client::Arrived::Parse(client::InPieces(bytes, piece));
  if (!arrived.ok()) return read;
  read.rest = arrived->rest();
  PM_CHECK(read.rest.messages().empty());
  read.ok = arrived->TakeEvents(read.events).ok();
  PM_CHECK(read.ok || read.events.empty());
  return read;
}

// The messages among the events, in protobuf's terms.
std::vector<v1::Message> MessagesOf(const std::vector<client::Event>& events) {
  std::vector<v1::Message> messages;
  for (const client::Event& event : events) {
    if (const auto* received = std::get_if<client::Received>(&event))
      client::ToProto(received->message, messages.emplace_back());
  }
  return messages;
}

}  // namespace

void Try(std::string_view input) {
  Parts parts(input);
  const std::size_t piece = std::size_t{1} + parts.Byte();
  const std::string_view bytes = parts.Rest();
  const Read whole = ReadAll(bytes, bytes.size() + 1);
  const Read cut = ReadAll(bytes, piece);
  PM_CHECK(whole.ok == cut.ok && whole.events.size() == cut.events.size());
  PM_CHECK(MessageDifferencer::Equals(whole.rest, cut.rest));
  if (!whole.ok) return;
  const std::vector<v1::Message> messages = MessagesOf(whole.events);
  PM_CHECK(whole.events.size() ==
           messages.size() + static_cast<std::size_t>(whole.rest.gaps_size()));
  // Protobuf refuses text that is not UTF-8. That is the peer's business; here it is bytes.
  v1::ExchangeResponse frame;
  if (!frame.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return;
  PM_CHECK(static_cast<std::size_t>(frame.messages_size()) == messages.size());
  for (std::size_t i = 0; i < messages.size(); ++i) {
    v1::Message& expected = *frame.mutable_messages(static_cast<int>(i));
    expected.DiscardUnknownFields();
    PM_CHECK(MessageDifferencer::Equals(expected, messages[i]));
  }
}

}  // namespace peermesh::fuzz
