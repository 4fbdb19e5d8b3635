#include <algorithm>
#include <limits>
#include <utility>

#include "mesh/base/check.h"
#include "server/wire/api.h"
#include "server/wire/reader.h"
#include "server/wire/splice.h"

namespace peermesh::wire {
namespace {

// SubscribeResponse and ExchangeResponse; Delivery; Gap.
enum ResponseField : std::uint32_t { kDeliveries = 2, kGaps = 3 };
enum DeliveryField : std::uint32_t {
  kCount = 1,
  kOrigin = 2,
  kOriginName = 3,
  kEpoch = 4,
  kChannel = 5,
  kFirstSequence = 6,
  kSkips = 7,
  kPublishTime = 8,
  kMatched = 9,
  kMatchedCounts = 10,
};
enum GapField : std::uint32_t {
  kGapOrigin = 1,
  kGapEpoch = 2,
  kGapChannel = 3,
  kGapFrom = 4,
  kGapTo = 5,
  kGapReason = 6,
  kGapBefore = 7,
};

constexpr std::size_t kOriginBytes = 32;

// One Delivery or Gap on the wire.
struct Part {
  const flow::Delivery* delivery = nullptr;
  std::size_t begin = 0, end = 0;                  // of its items
  std::size_t matched_begin = 0, matched_end = 0;  // of its matched ids
  std::size_t before_message = 0;                  // of a gap
  std::size_t name = 0;                            // index into the names
  std::size_t skips_bytes = 0, matched_bytes = 0, counts_bytes = 0;
  std::size_t total = 0;  // of its content

  std::span<const flow::Item> items() const {
    return std::span(delivery->items).subspan(begin, end - begin);
  }
  std::span<const std::uint32_t> matched() const {
    return std::span(delivery->matched).subspan(matched_begin, matched_end - matched_begin);
  }
  std::span<const std::uint32_t> counts() const {
    if (delivery->matched_counts.empty()) return {};
    return std::span(delivery->matched_counts).subspan(begin, end - begin);
  }
};

std::size_t PackedBytes(std::span<const std::uint32_t> values) {
  std::size_t bytes = 0;
  for (const std::uint32_t value : values) bytes += VarintSize(value);
  return bytes;
}

// Numbers between an item and its predecessor.
std::uint64_t SkipBefore(std::span<const flow::Item> items, std::size_t i) {
  if (i == 0) return 0;
  PM_CHECK(items[i].sequence > items[i - 1].sequence);
  return items[i].sequence - items[i - 1].sequence - 1;
}

void Measure(Part& part, std::size_t name_bytes) {
  const flow::Delivery& delivery = *part.delivery;
  if (delivery.is_gap()) {
    part.total = LengthFieldSize(kOriginBytes) + VarintFieldSize(delivery.epoch) +
                 VarintFieldSize(delivery.channel) + VarintFieldSize(delivery.gap_from) +
                 VarintFieldSize(delivery.gap_to) +
                 VarintFieldSize(static_cast<std::uint64_t>(delivery.gap_reason)) +
                 VarintFieldSize(part.before_message);
    return;
  }
  const auto items = part.items();
  bool skipping = false;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const std::uint64_t skip = SkipBefore(items, i);
    skipping |= skip != 0;
    part.skips_bytes += VarintSize(skip);
  }
  if (!skipping) part.skips_bytes = 0;
  part.matched_bytes = PackedBytes(part.matched());
  part.counts_bytes = PackedBytes(part.counts());
  part.total = VarintFieldSize(items.size()) + LengthFieldSize(kOriginBytes) +
               BytesFieldSize(name_bytes) + VarintFieldSize(delivery.epoch) +
               VarintFieldSize(delivery.channel) + VarintFieldSize(items.front().sequence) +
               BytesFieldSize(part.skips_bytes) +
               VarintFieldSize(static_cast<std::uint64_t>(delivery.publish_time_us)) +
               BytesFieldSize(part.matched_bytes) + BytesFieldSize(part.counts_bytes);
}

// Cuts a delivery where a skip would not fit its 32 bits: a new run needs no skip at its start.
void Cut(const flow::Delivery& delivery, std::size_t name, std::vector<Part>& parts) {
  PM_CHECK(!delivery.items.empty());
  PM_CHECK(delivery.matched_counts.empty() ||
           delivery.matched_counts.size() == delivery.items.size());
  const bool cut_matched = !delivery.matched_counts.empty();
  Part part;
  part.delivery = &delivery;
  part.name = name;
  for (std::size_t i = 0; i < delivery.items.size(); ++i) {
    if (i > part.begin &&
        SkipBefore(delivery.items, i) > std::numeric_limits<std::uint32_t>::max()) {
      part.end = i;
      parts.push_back(part);
      part.begin = i;
      part.matched_begin = part.matched_end;
    }
    if (cut_matched) part.matched_end += delivery.matched_counts[i];
  }
  part.end = delivery.items.size();
  if (!cut_matched) part.matched_end = delivery.matched.size();
  PM_CHECK(part.matched_end == delivery.matched.size());
  // Without counts the same ids hold for every piece.
  if (!cut_matched) {
    for (auto it = parts.rbegin(); it != parts.rend() && it->delivery == &delivery; ++it) {
      it->matched_end = delivery.matched.size();
    }
  }
  parts.push_back(part);
}

void AppendPacked(std::string& out, std::uint32_t field, std::size_t bytes,
                  std::span<const std::uint32_t> values) {
  if (bytes == 0) return;
  Writer writer(out);
  writer.Header(field, bytes);
  for (const std::uint32_t value : values) writer.Varint(value);
}

void AppendOrigin(std::string& out, std::uint32_t field, const PeerId& origin) {
  Writer(out).Header(field, kOriginBytes);
  out.append(reinterpret_cast<const char*>(origin.bytes.data()), origin.bytes.size());
}

void AppendDelivery(std::string& out, const Part& part, std::string_view name) {
  const flow::Delivery& delivery = *part.delivery;
  const auto items = part.items();
  Writer writer(out);
  writer.Header(kDeliveries, part.total);
  writer.VarintField(kCount, items.size());
  AppendOrigin(out, kOrigin, delivery.origin);
  writer.BytesField(kOriginName, name);
  writer.VarintField(kEpoch, delivery.epoch);
  writer.VarintField(kChannel, delivery.channel);
  writer.VarintField(kFirstSequence, items.front().sequence);
  if (part.skips_bytes > 0) {
    writer.Header(kSkips, part.skips_bytes);
    for (std::size_t i = 0; i < items.size(); ++i) writer.Varint(SkipBefore(items, i));
  }
  writer.VarintField(kPublishTime, static_cast<std::uint64_t>(delivery.publish_time_us));
  AppendPacked(out, kMatched, part.matched_bytes, part.matched());
  AppendPacked(out, kMatchedCounts, part.counts_bytes, part.counts());
}

void AppendGap(std::string& out, const Part& part) {
  const flow::Delivery& gap = *part.delivery;
  Writer writer(out);
  writer.Header(kGaps, part.total);
  AppendOrigin(out, kGapOrigin, gap.origin);
  writer.VarintField(kGapEpoch, gap.epoch);
  writer.VarintField(kGapChannel, gap.channel);
  writer.VarintField(kGapFrom, gap.gap_from);
  writer.VarintField(kGapTo, gap.gap_to);
  writer.VarintField(kGapReason, static_cast<std::uint64_t>(gap.gap_reason));
  writer.VarintField(kGapBefore, part.before_message);
}

}  // namespace

Pieces EncodeDeliveries(std::span<const flow::Delivery> deliveries,
                        const std::function<std::string(const PeerId&)>& names) {
  std::vector<Part> parts;
  std::vector<std::string> known = {""};
  parts.reserve(deliveries.size());
  const PeerId* last_origin = nullptr;
  std::size_t messages = 0;
  std::size_t size = 0;
  for (const flow::Delivery& delivery : deliveries) {
    const std::size_t first = parts.size();
    if (delivery.is_gap()) {
      Part& gap = parts.emplace_back();
      gap.delivery = &delivery;
      gap.before_message = messages;
    } else {
      if (last_origin == nullptr || *last_origin != delivery.origin)
        known.push_back(names(delivery.origin));
      last_origin = &delivery.origin;
      Cut(delivery, known.size() - 1, parts);
      messages += delivery.items.size();
      size += RecordBytes(*delivery.batch, delivery.items);
    }
    for (std::size_t i = first; i < parts.size(); ++i) {
      Measure(parts[i], known[parts[i].name].size());
      size += LengthFieldSize(parts[i].total);
    }
  }
  Pieces out;
  std::string& head = out.tail();
  head.reserve(std::min(size, kMinShared));
  for (const Part& part : parts) {
    if (!part.delivery->is_gap()) AppendDelivery(head, part, known[part.name]);
  }
  for (const Part& part : parts) {
    if (part.delivery->is_gap()) AppendGap(head, part);
  }
  for (const flow::Delivery& delivery : deliveries) {
    if (!delivery.is_gap()) AppendRecords(out, *delivery.batch, delivery.items);
  }
  PM_CHECK(out.size() == size);
  return out;
}

}  // namespace peermesh::wire
