// Batches that go from peer to peer: bytes to pieces and back, and what their signature covers.
//
// A piece is decoded as strictly as any batch, because its records are forwarded as they came. What
// is signed is not the frame but the fields of a piece in fixed width and then its records, so that
// one piece has one signing input whatever frame it travels in. The number of links it has come
// over is not signed and never trusted.
//
// The signing input, after kPieceDomain and a zero byte; numbers big-endian:
//
//   mesh id (16 bytes), origin (32), epoch (8), channel (4), after (8), first (8), count of records
//   (4), publish time in unix microseconds (8), then each record: tag, length and message
//
// An attacker with a valid certificate can sign what it likes as itself. It can drop and delay what
// it relays; it cannot alter or invent anything of another peer, nor bring it into another mesh.
// Thread-safe.
#ifndef PEERMESH_SERVER_WIRE_RELAYED_H_
#define PEERMESH_SERVER_WIRE_RELAYED_H_

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "mesh/broadcast/piece.h"
#include "mesh/node/frame.h"
#include "server/wire/pieces.h"
#include "server/wire/rules.h"
#include "server/wire/splice.h"

namespace peermesh::wire {

// What pieces are signed under; see identity::Certificate::VerifySignature.
inline constexpr std::string_view kPieceDomain = "peermesh/batch/v1";

// The signing input up to the records. `mesh_id` as in certificates.
std::string PieceHead(std::string_view mesh_id, const broadcast::Piece& piece);
// All of it. Copies the records: for signing, once for each piece.
std::string PieceInput(std::string_view mesh_id, const broadcast::Piece& piece);
// The same, stretch by stretch and without a copy.
template <class Visitor>
void VisitPieceInput(std::string_view mesh_id, const broadcast::Piece& piece, Visitor visit) {
  visit(std::string_view(PieceHead(mesh_id, piece)));
  VisitRecords(*piece.batch, piece.rows, visit);
}

// --- Within this folder --------------------------------------------------------------------------

// Reads the content of one RelayedBatch.
WireError DecodeRelayed(const std::shared_ptr<const std::string>& buffer, std::string_view body,
                        node::Relayed& out);
// Bytes of the content of one.
std::size_t RelayedSize(const node::Relayed& relayed);
// Appends one whole, as field `number`; `size` is its RelayedSize.
void AppendRelayed(Pieces& out, std::uint32_t number, const node::Relayed& relayed,
                   std::size_t size);

}  // namespace peermesh::wire

#endif  // PEERMESH_SERVER_WIRE_RELAYED_H_
