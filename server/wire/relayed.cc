#include "server/wire/relayed.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

#include "mesh/base/check.h"
#include "mesh/routing/subject.h"
#include "server/wire/data.h"
#include "server/wire/reader.h"
#include "server/wire/records.h"
#include "server/wire/statement.h"

namespace peermesh::wire {
namespace {

// peermesh.link.v1.RelayedBatch.
enum RelayedField : std::uint32_t {
  kOrigin = 1,
  kEpoch = 2,
  kChannel = 3,
  kAfter = 4,
  kFirstSequence = 5,
  kPublishTime = 6,
  kSignature = 7,
  kHops = 8,
};

void AppendNumber(std::string& out, std::uint64_t number, int bytes) {
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) {
    out.push_back(static_cast<char>(number >> shift & 0xff));
  }
}

// Everything but the records is there.
Rule CheckPiece(const broadcast::Piece& piece, std::size_t count) {
  if (piece.stream.epoch == 0) return Rule::kValue;
  if (piece.signature.empty() || piece.signature.size() > kMaxSignatureBytes) return Rule::kValue;
  std::uint64_t next = piece.first;
  if (count == 0 || piece.after == 0 || piece.first < piece.after || !AdvanceNumber(next, count)) {
    return Rule::kSequence;
  }
  return Rule::kNone;
}

}  // namespace

std::string PieceHead(std::string_view mesh_id, const broadcast::Piece& piece) {
  std::string head;
  head.reserve(mesh_id.size() + sizeof(piece.stream.origin.bytes) + 40);
  head += mesh_id;
  head.append(piece.stream.origin.bytes.begin(), piece.stream.origin.bytes.end());
  AppendNumber(head, piece.stream.epoch, 8);
  AppendNumber(head, piece.stream.channel, 4);
  AppendNumber(head, piece.after, 8);
  AppendNumber(head, piece.first, 8);
  AppendNumber(head, piece.rows.size(), 4);
  AppendNumber(head, static_cast<std::uint64_t>(piece.publish_time_us), 8);
  return head;
}

std::string PieceInput(std::string_view mesh_id, const broadcast::Piece& piece) {
  std::string input = PieceHead(mesh_id, piece);
  input.reserve(input.size() + RecordBytes(*piece.batch, piece.rows));
  VisitRecords(*piece.batch, piece.rows, [&](std::string_view stretch) { input += stretch; });
  return input;
}

WireError DecodeRelayed(const std::shared_ptr<const std::string>& buffer, std::string_view body,
                        node::Relayed& out) {
  Reader reader(body);
  broadcast::Piece piece;
  piece.after = piece.first = 0;
  std::string_view origin;
  RecordCollector records(buffer);
  while (reader.Next()) {
    switch (reader.number()) {
      case kOrigin: origin = reader.Bytes(); break;
      case kEpoch: piece.stream.epoch = reader.Varint(); break;
      case kChannel:
        piece.stream.channel = static_cast<std::uint32_t>(reader.Varint(kChannels - 1));
        break;
      case kAfter: piece.after = reader.Varint(); break;
      case kFirstSequence: piece.first = reader.Varint(); break;
      case kPublishTime: piece.publish_time_us = static_cast<std::int64_t>(reader.Varint()); break;
      case kSignature: piece.signature = reader.Bytes(); break;
      case kHops:
        out.hops = static_cast<std::uint32_t>(std::min<std::uint64_t>(
            reader.Varint(std::numeric_limits<std::uint32_t>::max()), kMaxHops));
        break;
      case kMessagesField: {
        const std::string_view message = reader.Bytes();
        if (reader.rule() != Rule::kNone) break;
        const Rule rule = records.Add(reader.whole(), message);
        if (rule != Rule::kNone) return {rule, records.count()};
        break;
      }
      default: reader.Skip();
    }
  }
  if (reader.rule() != Rule::kNone) return {reader.rule()};
  const auto id = PeerId::FromBytes(origin);
  if (!id) return {Rule::kPeerId};
  piece.stream.origin = *id;
  const Rule rule = CheckPiece(piece, records.count());
  if (rule != Rule::kNone) return {rule};
  for (std::size_t i = 0; i < records.count(); ++i) {
    const std::string_view subject = records.subject(i);
    if (i > 0 && subject == records.subject(i - 1)) continue;
    if (routing::ChannelOf(subject) != piece.stream.channel) return {Rule::kChannel, i};
  }
  piece.rows.resize(records.count());
  std::iota(piece.rows.begin(), piece.rows.end(), 0u);
  piece.batch = records.Take();
  PM_CHECK(piece.IsWellFormed());
  out.piece = std::make_shared<const broadcast::Piece>(std::move(piece));
  return {};
}

std::size_t RelayedSize(const node::Relayed& relayed) {
  PM_CHECK(relayed.piece != nullptr && relayed.piece->IsWellFormed());
  const broadcast::Piece& piece = *relayed.piece;
  return BytesFieldSize(piece.stream.origin.bytes.size()) + VarintFieldSize(piece.stream.epoch) +
         VarintFieldSize(piece.stream.channel) + VarintFieldSize(piece.after) +
         VarintFieldSize(piece.first) +
         VarintFieldSize(static_cast<std::uint64_t>(piece.publish_time_us)) +
         BytesFieldSize(piece.signature.size()) + VarintFieldSize(relayed.hops) +
         RecordBytes(*piece.batch, piece.rows);
}

void AppendRelayed(Pieces& out, std::uint32_t number, const node::Relayed& relayed,
                   std::size_t size) {
  const broadcast::Piece& piece = *relayed.piece;
  Writer writer(out.tail());
  writer.Header(number, size);
  writer.BytesField(kOrigin, piece.stream.origin.ToBytes());
  writer.VarintField(kEpoch, piece.stream.epoch);
  writer.VarintField(kChannel, piece.stream.channel);
  writer.VarintField(kAfter, piece.after);
  writer.VarintField(kFirstSequence, piece.first);
  writer.VarintField(kPublishTime, static_cast<std::uint64_t>(piece.publish_time_us));
  writer.BytesField(kSignature, piece.signature);
  writer.VarintField(kHops, relayed.hops);
  AppendRecords(out, *piece.batch, piece.rows);
}

}  // namespace peermesh::wire
