// Control frames between peers: bytes to plain data and back, and the signed descriptions of peers.
//
// Control frames are small, rare and bounded (kMaxControlFrameBytes), so protobuf's own parser does
// here. What it yields is checked before the node sees it: lengths, patterns, ids, ranges.
// ControlRequest and ControlResponse look the same on the wire, so there is one pair. Kinds and
// fields of a later version are skipped.
//
// Thread-safe.
#ifndef PEERMESH_SERVER_WIRE_CONTROL_H_
#define PEERMESH_SERVER_WIRE_CONTROL_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "mesh/base/limits.h"
#include "mesh/base/time.h"
#include "mesh/identity/certificate.h"
#include "mesh/node/frame.h"
#include "server/wire/data.h"
#include "server/wire/result.h"
#include "server/wire/rules.h"

namespace peermesh::wire {

inline constexpr std::uint32_t kProtocolVersion = 1;
// "1.12.0-rc1+0123456789abcdef"; what a table can show.
inline constexpr std::size_t kMaxSoftwareBytes = 64;
// Bounds the checks of signatures one frame can ask for: 0.4 ms each.
inline constexpr std::size_t kMaxRecordsPerFrame = 128;

// Opens a link; goes no further than server/link.
struct Hello {
  std::string mesh_id;
  std::uint32_t version_min = kProtocolVersion;
  std::uint32_t version_max = kProtocolVersion;
  std::uint64_t features = 0;
  std::uint64_t epoch = 0;
  std::string software;
  std::string link_token;  // kLinkTokenBytes in the accepting side's hello, else empty
  std::uint32_t max_data_frame_bytes = kMaxDataFrameBytes;
  // In the dialler's hello: node::LinkUp::dial_count of the other side.
  std::uint64_t dial_count = 0;

  friend bool operator==(const Hello&, const Hello&) = default;
};

// Records as they came: each is to be passed to DecodeSignedRecord, and then on to the node.
struct EncodedRecords {
  std::vector<std::string> records;
};
// A kind that this version does not know: to be counted.
struct UnknownKind {};

using ReceivedControl = std::variant<Hello, node::ControlFrame, EncodedRecords, UnknownKind>;
Result<ReceivedControl, WireError> DecodeControl(std::string_view bytes);

// The frame must fit kMaxControlFrameBytes: the node sees to that for all its frames.
std::string EncodeControl(const node::ControlFrame& frame);
std::string EncodeHello(const Hello& hello);

// --- Signed records ------------------------------------------------------------------------------

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
  RecordVerdict(node::PeerRecord record) : value_(std::move(record)) {}  // NOLINT: implicit
  RecordVerdict(RecordRefusal refusal) : value_(refusal) {}              // NOLINT: implicit
  bool ok() const { return std::holds_alternative<node::PeerRecord>(value_); }
  // Only if ok() / only if not.
  const node::PeerRecord& record() const;
  node::PeerRecord& record();
  RecordRefusal refusal() const;

 private:
  std::variant<node::PeerRecord, RecordRefusal> value_;
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

#endif  // PEERMESH_SERVER_WIRE_CONTROL_H_
