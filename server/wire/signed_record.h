// Signed descriptions of peers: bytes to plain data and back.
//
// A record says of a peer what the peer itself signed; name and expiry come from the certificate
// that the CA issued. An attacker with a valid certificate can describe itself as it likes, within
// the bounds below, and nobody else.
//
// Thread-safe.
#ifndef PEERMESH_SERVER_WIRE_SIGNED_RECORD_H_
#define PEERMESH_SERVER_WIRE_SIGNED_RECORD_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "mesh/base/limits.h"
#include "mesh/base/time.h"
#include "mesh/identity/certificate.h"
#include "mesh/node/frame.h"

namespace peermesh::wire {

// What records are signed under; see identity::Certificate::VerifySignature.
inline constexpr std::string_view kRecordDomain = "peermesh/peer-record/v1";
// Record, certificate, signature and their tags.
inline constexpr std::size_t kMaxSignedRecordBytes = kMaxRecordBytes + kMaxCertificateBytes + 256;

// Why a record was not believed.
enum class RecordRefusal : std::uint8_t {
  kMalformed,    // not a record, too large, or a field out of range
  kCertificate,  // its certificate is not believed
  kSignature,    // not signed by the key of its certificate
  kWrongPeer,    // about another peer than its certificate
};
// lower_snake, as in metric labels: "wrong_peer".
const char* ToString(RecordRefusal refusal);

class RecordVerdict {
 public:
  RecordVerdict(node::PeerRecord record, std::string spki)
      : value_(std::move(record)), spki_(std::move(spki)) {}
  RecordVerdict(RecordRefusal refusal) : value_(refusal) {}  // NOLINT: implicit
  bool ok() const { return std::holds_alternative<node::PeerRecord>(value_); }
  // Only if ok() / only if not.
  const node::PeerRecord& record() const;
  node::PeerRecord& record();
  const std::string& spki() const;  // the key of its certificate, DER
  RecordRefusal refusal() const;

 private:
  std::variant<node::PeerRecord, RecordRefusal> value_;
  std::string spki_;
};

// `encoded` is a serialised SignedPeerRecord. Verifies certificate and signature: about 0.4 ms.
RecordVerdict DecodeSignedRecord(std::string_view encoded, const identity::TrustBundle& bundle,
                                 WallTime now);

// A serialised PeerRecord: what is to be signed under kRecordDomain. Name and expiry are the
// certificate's.
std::string EncodeRecordBody(const node::PeerRecord& record);
// A serialised SignedPeerRecord; `certificate` in DER.
std::string EncodeSignedRecord(std::string_view body, std::string_view signature,
                               std::string_view certificate);

}  // namespace peermesh::wire

#endif  // PEERMESH_SERVER_WIRE_SIGNED_RECORD_H_
