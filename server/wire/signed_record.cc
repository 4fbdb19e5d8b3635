#include "server/wire/signed_record.h"

#include <algorithm>
#include <functional>

#include "mesh/base/check.h"
#include "mesh/identity/identity.h"
#include "mesh/identity/token.h"
#include "peermesh/link/v1/link.pb.h"
#include "server/wire/control.h"

namespace peermesh::wire {
namespace {

namespace pb = link::v1;

bool IsAddress(const std::string& text) {
  return text.size() <= kMaxAddressBytes && identity::IsHostPort(text);
}

// Addresses of a form this version cannot dial are left out, not held against the record.
bool FillRecord(const pb::PeerRecord& in, node::PeerRecord& out) {
  if (in.addresses_size() > static_cast<int>(kMaxAddressesPerPeer)) return false;
  if (in.software().size() > kMaxSoftwareBytes) return false;
  if (in.observers_size() > static_cast<int>(kMaxObservers)) return false;
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
  out.channels = in.channels();
  out.published = in.published();
  if (out.published > out.incarnation) return false;
  out.observers.assign(in.observers().begin(), in.observers().end());
  // In order and without repetition: they are looked up, and counted.
  return std::adjacent_find(out.observers.begin(), out.observers.end(), std::greater_equal<>()) ==
         out.observers.end();
}

}  // namespace

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

const std::string& RecordVerdict::spki() const {
  PM_CHECK(ok());
  return spki_;
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
  return {std::move(record), certificate->spki()};
}

std::string EncodeRecordBody(const node::PeerRecord& record) {
  pb::PeerRecord body;
  body.set_peer_id(record.id.ToBytes());
  body.set_incarnation(record.incarnation);
  for (const std::string& address : record.addresses) body.add_addresses(address);
  body.set_metrics_address(record.metrics_address);
  body.set_software(record.software);
  body.set_epoch(record.epoch);
  body.set_channels(record.channels);
  body.set_published(record.published);
  PM_CHECK(record.observers.size() <= kMaxObservers);
  body.mutable_observers()->Assign(record.observers.begin(), record.observers.end());
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
