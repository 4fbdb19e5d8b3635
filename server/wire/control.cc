#include "server/wire/control.h"

#include <algorithm>
#include <utility>

#include "mesh/base/check.h"
#include "mesh/identity/identity.h"
#include "mesh/identity/token.h"
#include "mesh/routing/subject.h"
#include "peermesh/link/v1/link.pb.h"

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
  out = node::ControlFrame(heartbeat);
  return Rule::kNone;
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

Rule From(const pb::PeerRecords& in, ReceivedControl& out) {
  if (in.records_size() > static_cast<int>(kMaxRecordsPerFrame)) return Rule::kValue;
  EncodedRecords records;
  for (const pb::SignedPeerRecord& record : in.records()) {
    records.records.push_back(record.SerializeAsString());
  }
  out = std::move(records);
  return Rule::kNone;
}

Rule From(const pb::PeerStates& in, ReceivedControl& out) {
  node::PeerStates states;
  states.beliefs.reserve(static_cast<std::size_t>(in.beliefs_size()));
  for (const pb::PeerBelief& belief : in.beliefs()) {
    const auto id = PeerId::FromBytes(belief.peer_id());
    if (!id) return Rule::kPeerId;
    states.beliefs.push_back({*id, belief.incarnation(), belief.linked(), belief.left()});
  }
  out = node::ControlFrame(std::move(states));
  return Rule::kNone;
}

Rule From(const pb::Goodbye& in, ReceivedControl& out) {
  // A reason of a later version closes the link in order all the same.
  const bool known =
      in.reason() >= pb::GOODBYE_REASON_LEAVING && in.reason() <= pb::GOODBYE_REASON_MISBEHAVED;
  node::Goodbye goodbye;
  goodbye.reason =
      known ? static_cast<node::GoodbyeReason>(in.reason()) : node::GoodbyeReason::kDuplicate;
  out = node::ControlFrame(goodbye);
  return Rule::kNone;
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
    case pb::ControlFrame::kPeerRecords: return From(in.peer_records(), out);
    case pb::ControlFrame::kPeerStates: return From(in.peer_states(), out);
    case pb::ControlFrame::kGoodbye: return From(in.goodbye(), out);
    case pb::ControlFrame::kLinkReady:
      out = node::ControlFrame(node::LinkReady{});
      return Rule::kNone;
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

void To(const node::PeerRecords& in, pb::ControlFrame& out) {
  pb::PeerRecords& records = *out.mutable_peer_records();
  for (const node::PeerRecord& record : in.records) {
    PM_CHECK(records.add_records()->ParseFromString(record.encoded));
  }
}

void To(const node::PeerStates& in, pb::ControlFrame& out) {
  pb::PeerStates& states = *out.mutable_peer_states();
  for (const node::PeerBelief& belief : in.beliefs) {
    pb::PeerBelief& entry = *states.add_beliefs();
    entry.set_peer_id(belief.id.ToBytes());
    entry.set_incarnation(belief.incarnation);
    entry.set_linked(belief.linked);
    entry.set_left(belief.left);
  }
}

void To(const node::Goodbye& in, pb::ControlFrame& out) {
  out.mutable_goodbye()->set_reason(static_cast<pb::GoodbyeReason>(in.reason));
}

void To(const node::LinkReady&, pb::ControlFrame& out) { out.mutable_link_ready(); }

std::string Finish(const pb::ControlRequest& request) {
  std::string bytes = request.SerializeAsString();
  PM_CHECK(bytes.size() <= kMaxControlFrameBytes);
  return bytes;
}

bool IsAddress(const std::string& text) {
  return text.size() <= kMaxAddressBytes && identity::IsHostPort(text);
}

// --- Records -------------------------------------------------------------------------------------

// Addresses of a form this version cannot dial are left out, not held against the record.
bool FillRecord(const pb::PeerRecord& in, node::PeerRecord& out) {
  if (in.addresses_size() > static_cast<int>(kMaxAddressesPerPeer)) return false;
  if (in.software().size() > kMaxSoftwareBytes) return false;
  const auto id = PeerId::FromBytes(in.peer_id());
  if (!id) return false;
  out.id = *id;
  out.incarnation = in.incarnation();
  for (const std::string& address : in.addresses()) {
    if (IsAddress(address)) out.addresses.push_back(address);
  }
  if (IsAddress(in.metrics_address())) out.metrics_address = in.metrics_address();
  out.software = in.software();
  out.epoch = in.epoch();
  return true;
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

const char* ToString(RecordRefusal refusal) {
  switch (refusal) {
    case RecordRefusal::kMalformed: return "malformed";
    case RecordRefusal::kCertificate: return "certificate";
    case RecordRefusal::kSignature: return "signature";
    case RecordRefusal::kWrongPeer: return "wrong_peer";
  }
  return "unknown";
}

const node::PeerRecord& RecordVerdict::record() const {
  PM_CHECK(ok());
  return *std::get_if<node::PeerRecord>(&value_);
}

node::PeerRecord& RecordVerdict::record() {
  PM_CHECK(ok());
  return *std::get_if<node::PeerRecord>(&value_);
}

RecordRefusal RecordVerdict::refusal() const {
  PM_CHECK(!ok());
  return *std::get_if<RecordRefusal>(&value_);
}

RecordVerdict DecodeSignedRecord(std::string_view encoded, const identity::TrustBundle& bundle,
                                 WallTime now) {
  if (encoded.size() > kMaxSignedRecordBytes) return RecordRefusal::kMalformed;
  pb::SignedPeerRecord envelope;
  pb::PeerRecord body;
  if (!envelope.ParseFromArray(encoded.data(), static_cast<int>(encoded.size())) ||
      envelope.record().size() > kMaxRecordBytes || !body.ParseFromString(envelope.record())) {
    return RecordRefusal::kMalformed;
  }
  node::PeerRecord record;
  if (!FillRecord(body, record)) return RecordRefusal::kMalformed;
  const auto certificate = identity::Certificate::Parse(envelope.certificate());
  if (!certificate) return RecordRefusal::kCertificate;
  const identity::Verdict verdict =
      identity::Verify(*certificate, bundle, now, identity::VerifyOptions{});
  if (!verdict.ok()) return RecordRefusal::kCertificate;
  if (verdict.identity().id != record.id) return RecordRefusal::kWrongPeer;
  if (!certificate->VerifySignature(kRecordDomain, envelope.record(), envelope.signature())) {
    return RecordRefusal::kSignature;
  }
  record.name = verdict.identity().name;
  record.certificate_expiry = verdict.identity().not_after;
  record.encoded = encoded;
  return record;
}

std::string EncodeRecordBody(const node::PeerRecord& record) {
  pb::PeerRecord body;
  body.set_peer_id(record.id.ToBytes());
  body.set_incarnation(record.incarnation);
  for (const std::string& address : record.addresses) body.add_addresses(address);
  body.set_metrics_address(record.metrics_address);
  body.set_software(record.software);
  body.set_epoch(record.epoch);
  return body.SerializeAsString();
}

std::string EncodeSignedRecord(std::string_view body, std::string_view signature,
                               std::string_view certificate) {
  pb::SignedPeerRecord envelope;
  envelope.set_record(body.data(), body.size());
  envelope.set_signature(signature.data(), signature.size());
  envelope.set_certificate(certificate.data(), certificate.size());
  return envelope.SerializeAsString();
}

}  // namespace peermesh::wire
