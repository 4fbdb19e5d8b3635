// Data frames between peers: bytes to runs and pieces and back.
//
// Decoding walks everything by hand, messages included (records.h), and allocates rows and items
// only; the messages stay where they arrived. Encoding computes the exact size first and then
// splices: neighbouring messages of one buffer are one copy. DataRequest and DataResponse look the
// same on the wire, so there is one pair.
//
// A hostile peer gains at most 7 bytes of memory for each byte it sends (rows and items of messages
// of 5 bytes), for the life of one frame. Unknown fields are skipped, at most kMaxUnknownBytes of
// them. The signatures of pieces are not checked here (server/link does). Thread-safe.
#ifndef PEERMESH_SERVER_WIRE_DATA_H_
#define PEERMESH_SERVER_WIRE_DATA_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "mesh/base/limits.h"
#include "mesh/node/frame.h"
#include "server/wire/pieces.h"
#include "server/wire/result.h"
#include "server/wire/rules.h"

namespace peermesh::wire {

// A flush holds at most this many runs even if all are empty, and runs are what a turn is long in.
inline constexpr std::size_t kMaxFrameBatches = 8192;
static_assert(kFlushBytes / kRowOverheadBytes <= kMaxFrameBatches,
              "each run counts kRowOverheadBytes");
// Nobody counts that far: so one more can always be added.
inline constexpr std::uint64_t kMaxSequence = std::numeric_limits<std::uint64_t>::max() / 2;
// Adds `by` to a number; false past the bound, and then nothing is added.
inline bool AdvanceNumber(std::uint64_t& number, std::uint64_t by) {
  if (by > kMaxSequence || number > kMaxSequence - by) return false;
  number += by;
  return true;
}
// What counts of the links a piece says to have come over. A tree of thousands is some ten deep.
inline constexpr std::uint32_t kMaxHops = 255;
// Random bytes that join a data stream to its control stream.
inline constexpr std::size_t kLinkTokenBytes = 16;

struct ReceivedData {
  // Set in the first frame each way: the link token, empty from the accepting side.
  std::optional<std::string> hello;
  node::DataFrame frame;
};

Result<ReceivedData, WireError> DecodeData(std::shared_ptr<const std::string> bytes);

Pieces EncodeData(const node::DataFrame& frame);
std::string EncodeDataHello(std::string_view link_token);

}  // namespace peermesh::wire

#endif  // PEERMESH_SERVER_WIRE_DATA_H_
