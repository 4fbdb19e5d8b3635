// Control frames between peers: bytes to plain data and back, and the signed descriptions of peers.
//
// Control frames are small, rare and bounded (kMaxControlFrameBytes), so protobuf's own parser does
// here. What it yields is checked before the node sees it: lengths, patterns, ids, ranges.
// ControlRequest and ControlResponse look the same on the wire, so there is one pair. Kinds and
// fields of a later version are skipped.
//
// Records and statements are only cut out here: whoever receives them has their signatures checked
// (server/link) before the node sees any.
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
// Likewise, 0.05 to 0.15 ms each. At 160 bytes each no frame holds so many.
inline constexpr std::size_t kMaxStatementsPerFrame = 512;
// Rows of a table and ids of records wanted: 46 bytes each, so that they fit kMaxControlFrameBytes.
inline constexpr std::size_t kMaxTableRowsPerFrame = 1024;
static_assert(kMaxTableRowsPerFrame * 48 + node::kTableParts <= kMaxControlFrameBytes);
// Ranges of broadcast messages: 72 bytes each at most.
inline constexpr std::size_t kMaxRangesPerFrame = 512;
static_assert(kMaxRangesPerFrame * 72 <= kMaxControlFrameBytes);
// Observers one peer names: no more than it can have links.
inline constexpr std::size_t kMaxObservers = kMaxLinks;

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
  bool news = false;
};
// Statements as they came: each is to be passed to DecodeStatement (statement.h).
struct EncodedStatements {
  std::vector<std::string> statements;
  bool past = false;
};
// A kind that this version does not know: to be counted.
struct UnknownKind {};

using ReceivedControl =
    std::variant<Hello, node::ControlFrame, EncodedRecords, EncodedStatements, UnknownKind>;
Result<ReceivedControl, WireError> DecodeControl(std::string_view bytes);

// The frame must fit kMaxControlFrameBytes: the node sees to that for all its frames.
std::string EncodeControl(const node::ControlFrame& frame);
std::string EncodeHello(const Hello& hello);

}  // namespace peermesh::wire

#endif  // PEERMESH_SERVER_WIRE_CONTROL_H_
