// Data frames between peers: what is let through is well-formed, is what protobuf sees, and comes
// back the same when it is spliced into a frame again, whole or in part.
#include "server/wire/data.h"

#include <algorithm>

#include "mesh/base/check.h"
#include "mesh/routing/subject.h"
#include "peermesh/link/v1/link.pb.h"
#include "server/wire/relayed.h"
#include "tests/fuzz/batches.h"
#include "tests/fuzz/fuzz.h"

namespace peermesh::fuzz {
namespace {

using flow::Item;
using flow::Run;
using node::DataFrame;

void CheckRun(const Run& run, const link::v1::Batch& seen) {
  PM_CHECK(run.IsWellFormed());
  PM_CHECK(run.next <= std::uint64_t{1} << 63);
  PM_CHECK(run.channel == seen.channel() && run.first == seen.first_sequence());
  PM_CHECK(run.lost == seen.lost() && run.mark == seen.mark() && run.behind == seen.behind());
  PM_CHECK((run.lost == 0) == (run.lost_reason == LossReason::kNone));
  PM_CHECK(run.publish_time_us == seen.publish_time_us());
  PM_CHECK((run.batch == nullptr) == run.items.empty());
  if (run.batch == nullptr) {
    PM_CHECK(seen.messages().empty());
    return;
  }
  CheckBatch(*run.batch, seen.messages());
  PM_CHECK(run.items.size() == run.batch->rows.size());
  for (std::size_t i = 0; i < run.items.size(); ++i) {
    PM_CHECK(run.items[i].row == i);
    PM_CHECK(routing::ChannelOf(run.batch->subject(run.batch->rows[i])) == run.channel);
  }
}

void CheckRelayed(const node::Relayed& relayed, const link::v1::RelayedBatch& seen) {
  const broadcast::Piece& piece = *relayed.piece;
  PM_CHECK(piece.IsWellFormed() && piece.next() <= wire::kMaxSequence);
  PM_CHECK(piece.stream.origin.ToBytes() == seen.origin() && piece.stream.epoch == seen.epoch());
  PM_CHECK(piece.stream.channel == seen.channel() && piece.after == seen.after());
  PM_CHECK(piece.first == seen.first_sequence() && piece.signature == seen.signature());
  PM_CHECK(piece.publish_time_us == seen.publish_time_us());
  PM_CHECK(relayed.hops == std::min(seen.hops(), wire::kMaxHops));
  CheckBatch(*piece.batch, seen.messages());
  PM_CHECK(piece.rows.size() == piece.batch->rows.size());
  for (std::size_t i = 0; i < piece.rows.size(); ++i) {
    PM_CHECK(piece.rows[i] == i);
    PM_CHECK(routing::ChannelOf(piece.batch->subject(piece.batch->rows[i])) ==
             piece.stream.channel);
  }
}

// The same piece, to everybody who checks its signature.
void CheckSame(const node::Relayed& a, const node::Relayed& b) {
  PM_CHECK(a.hops == b.hops && a.piece->signature == b.piece->signature);
  PM_CHECK(wire::PieceInput("mesh", *a.piece) == wire::PieceInput("mesh", *b.piece));
}

void CheckSame(const Run& a, const Run& b) {
  PM_CHECK(a.channel == b.channel && a.first == b.first && a.next == b.next && a.lost == b.lost);
  PM_CHECK(a.lost_reason == b.lost_reason && a.mark == b.mark);
  PM_CHECK(a.behind == b.behind);
  PM_CHECK(a.publish_time_us == b.publish_time_us && a.items.size() == b.items.size());
  for (std::size_t i = 0; i < a.items.size(); ++i) {
    PM_CHECK(a.items[i].sequence == b.items[i].sequence);
    const Row& from = a.batch->rows[a.items[i].row];
    const Row& to = b.batch->rows[b.items[i].row];
    PM_CHECK(a.batch->record(from) == b.batch->record(to));
    PM_CHECK(a.batch->subject(from) == b.batch->subject(to));
  }
}

void TryRoundTrip(const DataFrame& frame) {
  auto bytes = std::make_shared<const std::string>(wire::EncodeData(frame).Flat());
  const auto again = wire::DecodeData(bytes);
  PM_CHECK(again.ok() && !again->hello && again->frame.end == frame.end);
  PM_CHECK(again->frame.runs.size() == frame.runs.size());
  for (std::size_t i = 0; i < frame.runs.size(); ++i) {
    CheckSame(frame.runs[i], again->frame.runs[i]);
  }
  PM_CHECK(again->frame.relayed.size() == frame.relayed.size());
  for (std::size_t i = 0; i < frame.relayed.size(); ++i) {
    CheckSame(frame.relayed[i], again->frame.relayed[i]);
  }
  PM_CHECK(wire::EncodeData(again->frame).Flat() == *bytes);
}

// As for a receiver that wants only some of the messages.
DataFrame Thinned(DataFrame frame, std::size_t keep) {
  for (Run& run : frame.runs) {
    std::vector<Item> kept;
    for (std::size_t i = 0; i < run.items.size(); ++i) {
      if ((i + keep) % 3 != 0) kept.push_back(run.items[i]);
    }
    run.items = std::move(kept);
    if (run.items.empty()) run.batch = nullptr;
  }
  return frame;
}

}  // namespace

void Try(std::string_view input) {
  const auto received = wire::DecodeData(std::make_shared<const std::string>(input));
  if (!received.ok()) {
    PM_CHECK(received.error().rule != wire::Rule::kNone);
    PM_CHECK(*wire::Describe(received.error().rule).what != '\0');
    return;
  }
  PM_CHECK(input.size() <= kMaxDataFrameBytes);
  if (received->hello) {
    PM_CHECK(received->hello->empty() || received->hello->size() == wire::kLinkTokenBytes);
    const auto bytes = std::make_shared<const std::string>(wire::EncodeDataHello(*received->hello));
    const auto hello = wire::DecodeData(bytes);
    PM_CHECK(hello.ok() && hello->hello == received->hello && hello->frame.runs.empty());
  }
  link::v1::DataRequest seen;
  PM_CHECK(seen.ParseFromArray(input.data(), static_cast<int>(input.size())));
  const DataFrame& frame = received->frame;
  PM_CHECK(frame.end == seen.frame().end());
  PM_CHECK(frame.runs.size() + frame.relayed.size() <= wire::kMaxFrameBatches);
  PM_CHECK(static_cast<int>(frame.relayed.size()) == seen.frame().relayed_size());
  for (std::size_t i = 0; i < frame.relayed.size(); ++i) {
    CheckRelayed(frame.relayed[i], seen.frame().relayed(static_cast<int>(i)));
  }
  PM_CHECK(static_cast<int>(frame.runs.size()) == seen.frame().batches_size());
  for (std::size_t i = 0; i < frame.runs.size(); ++i) {
    CheckRun(frame.runs[i], seen.frame().batches(static_cast<int>(i)));
  }
  TryRoundTrip(frame);
  TryRoundTrip(Thinned(frame, input.size()));
}

}  // namespace peermesh::fuzz
