#include "server/wire/data.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "mesh/base/check.h"
#include "mesh/routing/subject.h"
#include "server/wire/reader.h"
#include "server/wire/records.h"
#include "server/wire/relayed.h"
#include "server/wire/splice.h"

namespace peermesh::wire {
namespace {

// peermesh.link.v1: DataRequest and DataResponse, DataFrame, DataHello, Batch.
enum RequestField : std::uint32_t { kFrame = 1 };
enum FrameField : std::uint32_t { kHello = 1, kBatches = 2, kEnd = 3, kRelayed = 4 };
enum HelloField : std::uint32_t { kLinkToken = 1 };
enum BatchField : std::uint32_t {
  kChannel = 1,
  kFirstSequence = 2,
  kSkips = 3,
  kPublishTime = 4,
  kLost = 5,
  kLostReason = 6,
  kMark = 7,
  kBehind = 8,
};

LossReason ToLossReason(std::uint64_t number) {
  // A reason of a later version is still a loss.
  return number > 0 && number < kLossReasonCount ? static_cast<LossReason>(number)
                                                 : LossReason::kMissing;
}

struct BatchParts {
  flow::Run run;
  std::vector<std::uint64_t> skips;
  std::uint64_t lost_reason = 0;
};

void TakeSkips(Reader& reader, std::vector<std::uint64_t>& skips) {
  if (!reader.IsLength()) {
    skips.push_back(reader.Varint());
    if (skips.size() > kMaxBatchMessages + 1) reader.Fail(Rule::kSequence);
    return;
  }
  std::string_view packed = reader.Bytes();
  while (!packed.empty()) {
    std::uint64_t value = 0;
    if (!TakeVarint(packed, value)) return reader.Fail(Rule::kVarint);
    if (skips.size() > kMaxBatchMessages) return reader.Fail(Rule::kSequence);
    skips.push_back(value);
  }
}

// Gives each message its number and the run its end.
bool Number(BatchParts& parts, std::size_t count) {
  flow::Run& run = parts.run;
  std::uint64_t cursor = run.first;
  if (run.first == 0 || run.first > kMaxSequence || !AdvanceNumber(cursor, run.lost)) return false;
  const bool skipping = !parts.skips.empty();
  if (skipping && parts.skips.size() != count + 1) return false;
  run.items.resize(count);
  for (std::size_t i = 0; i < count; ++i) {
    if (skipping && !AdvanceNumber(cursor, parts.skips[i])) return false;
    run.items[i] = {static_cast<std::uint32_t>(i), cursor};
    if (!AdvanceNumber(cursor, 1)) return false;
  }
  if (skipping && !AdvanceNumber(cursor, parts.skips[count])) return false;
  run.next = cursor;
  return run.behind <= (count == 0 ? run.next : run.items.front().sequence);
}

// Reads one Batch. Records are checked as they come; the rest when all is there.
WireError DecodeBatch(const std::shared_ptr<const std::string>& buffer, std::string_view body,
                      flow::Run& out) {
  Reader reader(body);
  BatchParts parts;
  RecordCollector records(buffer);
  flow::Run& run = parts.run;
  while (reader.Next()) {
    switch (reader.number()) {
      case kChannel: run.channel = static_cast<std::uint32_t>(reader.Varint(kChannels - 1)); break;
      case kFirstSequence: run.first = reader.Varint(); break;
      case kSkips: TakeSkips(reader, parts.skips); break;
      case kPublishTime: run.publish_time_us = static_cast<std::int64_t>(reader.Varint()); break;
      case kLost: run.lost = reader.Varint(); break;
      case kLostReason: parts.lost_reason = reader.Varint(); break;
      case kMark: run.mark = reader.Bool(); break;
      case kBehind: run.behind = reader.Varint(); break;
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
  for (std::size_t i = 0; i < records.count(); ++i) {
    const std::string_view subject = records.subject(i);
    if (i > 0 && subject == records.subject(i - 1)) continue;
    if (routing::ChannelOf(subject) != run.channel) return {Rule::kChannel, i};
  }
  if (!Number(parts, records.count())) return {Rule::kSequence};
  if (run.lost > 0) run.lost_reason = ToLossReason(parts.lost_reason);
  run.batch = records.Take();
  out = std::move(run);
  return {};
}

WireError DecodeHello(std::string_view body, std::string& token) {
  Reader reader(body);
  while (reader.Next()) {
    if (reader.number() == kLinkToken) {
      token = reader.Bytes();
    } else {
      reader.Skip();
    }
  }
  if (reader.rule() != Rule::kNone) return {reader.rule()};
  return {token.empty() || token.size() == kLinkTokenBytes ? Rule::kNone : Rule::kToken};
}

bool IsFull(const node::DataFrame& frame) {
  return frame.runs.size() + frame.relayed.size() == kMaxFrameBatches;
}

WireError DecodeFrame(const std::shared_ptr<const std::string>& buffer, std::string_view body,
                      ReceivedData& out) {
  Reader reader(body);
  while (reader.Next()) {
    WireError error;
    if (reader.number() == kBatches) {
      const std::string_view batch = reader.Bytes();
      if (reader.rule() != Rule::kNone) break;
      if (IsFull(out.frame)) return {Rule::kTooManyBatches};
      error = DecodeBatch(buffer, batch, out.frame.runs.emplace_back());
    } else if (reader.number() == kRelayed) {
      const std::string_view batch = reader.Bytes();
      if (reader.rule() != Rule::kNone) break;
      if (IsFull(out.frame)) return {Rule::kTooManyBatches};
      error = DecodeRelayed(buffer, batch, out.frame.relayed.emplace_back());
    } else if (reader.number() == kHello) {
      error = DecodeHello(reader.Bytes(), out.hello.emplace());
    } else if (reader.number() == kEnd) {
      out.frame.end = reader.Bool();
    } else {
      reader.Skip();
    }
    if (error.rule != Rule::kNone) return error;
  }
  return {reader.rule()};
}

// --- Encoding ------------------------------------------------------------------------------------

// Calls `visit` with how many numbers lie before each item and after the last.
template <class Visitor>
void ForEachSkip(const flow::Run& run, Visitor visit) {
  std::uint64_t cursor = run.first + run.lost;
  for (const flow::Item& item : run.items) {
    PM_CHECK(item.sequence >= cursor);
    visit(item.sequence - cursor);
    cursor = item.sequence + 1;
  }
  PM_CHECK(run.next >= cursor);
  visit(run.next - cursor);
}

// Bytes of the packed skips; 0 if no number is skipped.
std::size_t SkipBytes(const flow::Run& run) {
  std::size_t bytes = 0;
  bool any = false;
  ForEachSkip(run, [&](std::uint64_t skip) {
    bytes += VarintSize(skip);
    any |= skip != 0;
  });
  return any ? bytes : 0;
}

struct BatchSize {
  std::size_t skips = 0;
  std::size_t total = 0;  // of the batch's content
};

BatchSize SizeOf(const flow::Run& run) {
  PM_CHECK(run.items.empty() || run.batch != nullptr);
  BatchSize size;
  size.skips = SkipBytes(run);
  size.total =
      VarintFieldSize(run.channel) + VarintFieldSize(run.first) + BytesFieldSize(size.skips) +
      VarintFieldSize(static_cast<std::uint64_t>(run.publish_time_us)) + VarintFieldSize(run.lost) +
      VarintFieldSize(static_cast<std::uint64_t>(run.lost_reason)) +
      VarintFieldSize(run.mark ? 1 : 0) + VarintFieldSize(run.behind);
  if (!run.items.empty()) size.total += RecordBytes(*run.batch, run.items);
  return size;
}

void AppendBatch(Pieces& out, const flow::Run& run, const BatchSize& size) {
  Writer writer(out.tail());
  writer.Header(kBatches, size.total);
  writer.VarintField(kChannel, run.channel);
  writer.VarintField(kFirstSequence, run.first);
  if (size.skips > 0) {
    writer.Header(kSkips, size.skips);
    ForEachSkip(run, [&](std::uint64_t skip) { writer.Varint(skip); });
  }
  writer.VarintField(kPublishTime, static_cast<std::uint64_t>(run.publish_time_us));
  writer.VarintField(kLost, run.lost);
  writer.VarintField(kLostReason, static_cast<std::uint64_t>(run.lost_reason));
  writer.VarintField(kMark, run.mark ? 1 : 0);
  writer.VarintField(kBehind, run.behind);
  if (!run.items.empty()) AppendRecords(out, *run.batch, run.items);
}

}  // namespace

Result<ReceivedData, WireError> DecodeData(std::shared_ptr<const std::string> bytes) {
  if (bytes->size() > kMaxDataFrameBytes) return WireError{Rule::kFrameTooLarge};
  ReceivedData result;
  Reader reader(*bytes);
  bool seen = false;
  while (reader.Next()) {
    if (reader.number() != kFrame) {
      reader.Skip();
      continue;
    }
    const std::string_view body = reader.Bytes();
    if (reader.rule() != Rule::kNone) break;
    if (std::exchange(seen, true)) return WireError{Rule::kRepeated};
    const WireError error = DecodeFrame(bytes, body, result);
    if (error.rule != Rule::kNone) return error;
  }
  if (reader.rule() != Rule::kNone) return WireError{reader.rule()};
  return result;
}

Pieces EncodeData(const node::DataFrame& frame) {
  std::vector<BatchSize> sizes;
  sizes.reserve(frame.runs.size());
  std::vector<std::size_t> relayed_sizes;
  relayed_sizes.reserve(frame.relayed.size());
  std::size_t body = VarintFieldSize(frame.end ? 1 : 0);
  for (const flow::Run& run : frame.runs) {
    sizes.push_back(SizeOf(run));
    body += LengthFieldSize(sizes.back().total);
  }
  for (const node::Relayed& relayed : frame.relayed) {
    relayed_sizes.push_back(RelayedSize(relayed));
    body += LengthFieldSize(relayed_sizes.back());
  }
  Pieces out;
  const std::size_t size = LengthFieldSize(body);
  out.tail().reserve(std::min(size, kMinShared));
  Writer(out.tail()).Header(kFrame, body);
  for (std::size_t i = 0; i < frame.runs.size(); ++i) AppendBatch(out, frame.runs[i], sizes[i]);
  for (std::size_t i = 0; i < frame.relayed.size(); ++i) {
    AppendRelayed(out, kRelayed, frame.relayed[i], relayed_sizes[i]);
  }
  if (frame.end) Writer(out.tail()).VarintField(kEnd, 1);
  PM_CHECK(out.size() == size);
  return out;
}

std::string EncodeDataHello(std::string_view link_token) {
  const std::size_t hello = BytesFieldSize(link_token.size());
  std::string out;
  Writer writer(out);
  writer.Header(kFrame, LengthFieldSize(hello));
  writer.Header(kHello, hello);
  writer.BytesField(kLinkToken, link_token);
  return out;
}

}  // namespace peermesh::wire
