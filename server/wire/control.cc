#include "server/wire/control.h"

#include <algorithm>
#include <utility>

#include "mesh/base/check.h"
#include "mesh/identity/identity.h"
#include "mesh/identity/token.h"
#include "mesh/routing/subject.h"
#include "peermesh/link/v1/link.pb.h"
#include "server/wire/frames.h"

namespace peermesh::wire {
namespace {

namespace pb = link::v1;

// --- From protobuf: each returns the rule it breaks ----------------------------------------------

Rule From(const pb::Hello& in, ReceivedControl& out) {
  if (!in.mesh_id().empty() && !identity::IsMeshId(in.mesh_id())) return Rule::kValue;
  if (in.software().size() > kMaxSoftwareBytes) return Rule::kValue;
  if (!in.link_token().empty() && in.link_token().size() != kLinkTokenBytes) return Rule::kToken;
  if (in.version_min() > in.version_max()) return Rule::kValue;
  if (in.epoch() == 0) return Rule::kValue;  // nobody numbers under it; the node relies on that
  Hello hello;
  hello.mesh_id = in.mesh_id();
  hello.version_min = in.version_min();
  hello.version_max = in.version_max();
  hello.features = in.features();
  hello.epoch = in.epoch();
  hello.software = in.software();
  hello.link_token = in.link_token();
  hello.max_data_frame_bytes = in.max_data_frame_bytes();
  hello.dial_count = in.dial_count();
  out = std::move(hello);
  return Rule::kNone;
}

Rule From(const pb::Heartbeat& in, ReceivedControl& out) {
  // Only differences of times are formed from it; a bound keeps them far from overflow.
  constexpr std::uint64_t kMaxDelayUs = 3'600'000'000;
  node::Heartbeat heartbeat;
  heartbeat.number = in.number();
  heartbeat.echo = in.echo();
  heartbeat.echo_delay =
      Duration(static_cast<std::int64_t>(std::min(in.echo_delay_us(), kMaxDelayUs)));
  heartbeat.interest_generation = in.interest_generation();
  heartbeat.interest_hash = in.interest_hash();
  heartbeat.asks = in.asks();
  heartbeat.table_hash = in.table_hash();
  const Rule rule = FromIHave(in.have(), heartbeat.have);
  out = node::ControlFrame(std::move(heartbeat));
  return rule;
}

template <class Entries>
Rule FromInterest(const Entries& in, std::vector<node::Interest>& out) {
  constexpr auto kMaxBlockMs =
      std::chrono::duration_cast<std::chrono::milliseconds>(kMaxBlockTimeout).count();
  out.reserve(static_cast<std::size_t>(in.size()));
  for (const pb::Interest& entry : in) {
    if (!IsValidPattern(entry.pattern())) return Rule::kPattern;
    out.push_back({entry.pattern(), std::min<std::uint32_t>(entry.block_ms(), kMaxBlockMs)});
  }
  return Rule::kNone;
}

Rule From(const pb::InterestSnapshot& in, ReceivedControl& out) {
  node::InterestSnapshot snapshot;
  snapshot.generation = in.generation();
  snapshot.first = in.first();
  snapshot.last = in.last();
  const Rule rule = FromInterest(in.entries(), snapshot.entries);
  out = node::ControlFrame(std::move(snapshot));
  return rule;
}

Rule From(const pb::InterestDelta& in, ReceivedControl& out) {
  node::InterestDelta delta;
  delta.generation = in.generation();
  const Rule rule = FromInterest(in.add(), delta.add);
  if (rule != Rule::kNone) return rule;
  delta.remove.reserve(static_cast<std::size_t>(in.remove_size()));
  for (const std::string& pattern : in.remove()) {
    if (!IsValidPattern(pattern)) return Rule::kPattern;
    delta.remove.push_back(pattern);
  }
  out = node::ControlFrame(std::move(delta));
  return Rule::kNone;
}

Rule From(const pb::Goodbye& in, ReceivedControl& out) {
  // A reason of a later version closes the link in order all the same.
  const bool known =
      in.reason() >= pb::GOODBYE_REASON_LEAVING && in.reason() <= pb::GOODBYE_REASON_LOST;
  node::Goodbye goodbye;
  goodbye.reason =
      known ? static_cast<node::GoodbyeReason>(in.reason()) : node::GoodbyeReason::kDuplicate;
  out = node::ControlFrame(std::move(goodbye));
  return Rule::kNone;
}

template <class Message>
Rule Wrap(Rule (*from)(const pb::ControlFrame&, Message&), const pb::ControlFrame& in,
          ReceivedControl& out) {
  Message message;
  const Rule rule = from(in, message);
  out = node::ControlFrame(std::move(message));
  return rule;
}

Rule From(const pb::ControlFrame& in, ReceivedControl& out) {
  switch (in.kind_case()) {
    case pb::ControlFrame::kHello: return From(in.hello(), out);
    case pb::ControlFrame::kHeartbeat: return From(in.heartbeat(), out);
    case pb::ControlFrame::kInterestSnapshot: return From(in.interest_snapshot(), out);
    case pb::ControlFrame::kInterestDelta: return From(in.interest_delta(), out);
    case pb::ControlFrame::kInterestAck:
      out = node::ControlFrame(node::InterestAck{in.interest_ack().generation()});
      return Rule::kNone;
    case pb::ControlFrame::kInterestRequest:
      out = node::ControlFrame(node::InterestRequest{});
      return Rule::kNone;
    case pb::ControlFrame::kPeerRecords:
    case pb::ControlFrame::kPeerStates:
    case pb::ControlFrame::kStatements:
    case pb::ControlFrame::kTableHashes:
    case pb::ControlFrame::kTableRows:
    case pb::ControlFrame::kRecordsWanted: return FromTable(in, out);
    case pb::ControlFrame::kGoodbye: return From(in.goodbye(), out);
    case pb::ControlFrame::kLinkReady:
      out = node::ControlFrame(node::LinkReady{});
      return Rule::kNone;
    case pb::ControlFrame::kJoin:
    case pb::ControlFrame::kForwardJoin:
    case pb::ControlFrame::kNeighbor:
    case pb::ControlFrame::kNeighborReply:
    case pb::ControlFrame::kDisconnect:
    case pb::ControlFrame::kShuffle:
    case pb::ControlFrame::kShuffleReply: return Wrap(FromOverlay, in, out);
    case pb::ControlFrame::kIHave:
    case pb::ControlFrame::kGraft:
    case pb::ControlFrame::kPrune:
    case pb::ControlFrame::kPositions: return Wrap(FromBroadcast, in, out);
    case pb::ControlFrame::KIND_NOT_SET: break;
  }
  out = UnknownKind{};
  return Rule::kNone;
}

// --- To protobuf ---------------------------------------------------------------------------------

void To(const node::Heartbeat& in, pb::ControlFrame& out) {
  pb::Heartbeat& heartbeat = *out.mutable_heartbeat();
  heartbeat.set_number(in.number);
  heartbeat.set_echo(in.echo);
  heartbeat.set_echo_delay_us(
      static_cast<std::uint64_t>(std::max<std::int64_t>(in.echo_delay.count(), 0)));
  heartbeat.set_interest_generation(in.interest_generation);
  heartbeat.set_interest_hash(in.interest_hash);
  heartbeat.set_asks(in.asks);
  heartbeat.set_table_hash(in.table_hash);
  if (!in.have.ranges.empty()) ToIHave(in.have, *heartbeat.mutable_have());
}

void To(const node::Interest& in, pb::Interest& out) {
  out.set_pattern(in.pattern);
  out.set_block_ms(in.block_ms);
}

void To(const node::InterestSnapshot& in, pb::ControlFrame& out) {
  pb::InterestSnapshot& snapshot = *out.mutable_interest_snapshot();
  snapshot.set_generation(in.generation);
  snapshot.set_first(in.first);
  snapshot.set_last(in.last);
  for (const node::Interest& entry : in.entries) To(entry, *snapshot.add_entries());
}

void To(const node::InterestDelta& in, pb::ControlFrame& out) {
  pb::InterestDelta& delta = *out.mutable_interest_delta();
  delta.set_generation(in.generation);
  for (const node::Interest& entry : in.add) To(entry, *delta.add_add());
  for (const std::string& pattern : in.remove) delta.add_remove(pattern);
}

void To(const node::InterestAck& in, pb::ControlFrame& out) {
  out.mutable_interest_ack()->set_generation(in.generation);
}

void To(const node::InterestRequest&, pb::ControlFrame& out) { out.mutable_interest_request(); }

void To(const node::Goodbye& in, pb::ControlFrame& out) {
  out.mutable_goodbye()->set_reason(static_cast<pb::GoodbyeReason>(in.reason));
}

void To(const node::LinkReady&, pb::ControlFrame& out) { out.mutable_link_ready(); }

std::string Finish(const pb::ControlRequest& request) {
  std::string bytes = request.SerializeAsString();
  PM_CHECK(bytes.size() <= kMaxControlFrameBytes);
  return bytes;
}

}  // namespace

Result<ReceivedControl, WireError> DecodeControl(std::string_view bytes) {
  if (bytes.size() > kMaxControlFrameBytes) return WireError{Rule::kFrameTooLarge};
  pb::ControlRequest request;
  if (!request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    return WireError{Rule::kTruncated};
  ReceivedControl received = UnknownKind{};
  const Rule rule = From(request.frame(), received);
  if (rule != Rule::kNone) return WireError{rule};
  return received;
}

std::string EncodeControl(const node::ControlFrame& frame) {
  pb::ControlRequest request;
  std::visit([&](const auto& kind) { To(kind, *request.mutable_frame()); }, frame);
  return Finish(request);
}

std::string EncodeHello(const Hello& hello) {
  pb::ControlRequest request;
  pb::Hello& out = *request.mutable_frame()->mutable_hello();
  out.set_mesh_id(hello.mesh_id);
  out.set_version_min(hello.version_min);
  out.set_version_max(hello.version_max);
  out.set_features(hello.features);
  out.set_epoch(hello.epoch);
  out.set_software(hello.software);
  out.set_link_token(hello.link_token);
  out.set_max_data_frame_bytes(hello.max_data_frame_bytes);
  out.set_dial_count(hello.dial_count);
  return Finish(request);
}

}  // namespace peermesh::wire
